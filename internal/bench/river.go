package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

type nothing struct {
	Number int `json:"number"`
}

// Kind implements river.JobArgs.
func (nothing) Kind() string { return "nothing" }

// idler tells when its Work was entered, and does nothing.
type idler struct {
	river.WorkerDefaults[nothing]

	entered chan<- time.Time // nil: nobody asks
}

// Work implements river.Worker.
func (i idler) Work(context.Context, *river.Job[nothing]) error {
	if i.entered != nil {
		i.entered <- time.Now()
	}
	return nil
}

// riverConns are enough that no submitter of River waits for a connection longer
// than Postgres can use them on the machines this runs on.
const riverConns = 40

// riverClient is River by itself on a schema of its own, tuned: a FetchCooldown of
// 1 ms instead of 100 ms, with which it would drop notifications.
type riverClient struct {
	*river.Client[pgx.Tx]

	schema string
	pool   *pgxpool.Pool
	ended  <-chan *river.Event
	cancel func()
	drop   func() error
}

func (b *bench) river(ctx context.Context, c *Case, entered chan<- time.Time) (_ *riverClient, err error) {
	r := &riverClient{}
	if r.schema, r.drop, err = b.schema(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close(ctx))
		}
	}()
	if r.pool, err = b.connect(ctx, r.schema, riverConns); err != nil {
		return nil, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, idler{entered: entered})
	r.Client, err = river.NewClient(riverpgxv5.New(r.pool), &river.Config{
		Schema: r.schema, Workers: workers, FetchCooldown: time.Millisecond,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: c.Slots}},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("make a River client: %w", err)
	}
	r.ended, r.cancel = r.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: c.Tasks + warmUp, Kinds: []river.EventKind{river.EventKindJobCompleted},
	})
	if err := r.Start(ctx); err != nil {
		return nil, fmt.Errorf("start River: %w", err)
	}
	return r, nil
}

func (r *riverClient) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if r.cancel != nil {
		_ = r.Stop(ctx) // nothing of it is used any more
		r.cancel()
	}
	if r.pool != nil {
		r.pool.Close()
	}
	return r.drop()
}

// insert inserts jobs and waits until all of them are completed.
func (r *riverClient) insert(ctx context.Context, submitters, first, count int) error {
	err := submitAll(ctx, submitters, first, count, func(ctx context.Context, n int) error {
		_, err := r.Insert(ctx, nothing{Number: n}, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	return r.await(ctx, count)
}

func (r *riverClient) await(ctx context.Context, count int) error {
	for range count {
		select {
		case <-r.ended:
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(patience):
			return fmt.Errorf("no job ended for %s", patience)
		}
	}
	return nil
}

// measureRiver measures River by itself: Insert one at a time, no-op work, done when
// the job's row is completed.
func measureRiver(ctx context.Context, b *bench, c *Case) (m Metrics, err error) {
	r, err := b.river(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	if err := r.insert(ctx, c.Submitters, 0, warmUp); err != nil {
		return nil, err
	}
	from, err := b.meter.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.insert(ctx, c.Submitters, warmUp, c.Tasks); err != nil {
		return nil, err
	}
	to, err := b.meter.read(ctx)
	if err != nil {
		return nil, err
	}
	return costs(from, to, c.Tasks), r.prove(ctx, c.Tasks+warmUp)
}

// measureIdleRiver measures from the call of Insert until Work is entered.
func measureIdleRiver(ctx context.Context, b *bench, c *Case) (m Metrics, err error) {
	entered := make(chan time.Time, 1)
	r, err := b.river(ctx, c, entered)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	took, err := oneByOne(ctx, c.Tasks, entered, func(ctx context.Context, n int) error {
		_, err := r.Insert(ctx, nothing{Number: n}, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.await(ctx, c.Tasks+idleWarmUp); err != nil {
		return nil, err
	}
	return latencies(took), r.prove(ctx, c.Tasks+idleWarmUp)
}

// prove checks that every job is completed.
func (r *riverClient) prove(ctx context.Context, jobs int) error {
	var done int
	if err := r.pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state = 'completed'").Scan(&done); err != nil {
		return fmt.Errorf("count the jobs: %w", err)
	}
	if done != jobs {
		return fmt.Errorf("%d of %d jobs are completed", done, jobs)
	}
	return nil
}
