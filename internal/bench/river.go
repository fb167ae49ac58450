package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

type nothing struct {
	Number int `json:"number"`
}

// Kind implements river.JobArgs.
func (nothing) Kind() string { return "nothing" }

type idler struct {
	river.WorkerDefaults[nothing]
}

// Work implements river.Worker.
func (idler) Work(context.Context, *river.Job[nothing]) error { return nil }

// riverConns are enough that no submitter of River waits for a connection longer
// than Postgres can use them on the machines this runs on.
const riverConns = 40

// runRiver measures River by itself: Insert one at a time, no-op work, settled when
// the job's row is completed.
func runRiver(ctx context.Context, l load) (measured, error) {
	config, err := pgxpool.ParseConfig(l.url)
	if err != nil {
		return measured{}, fmt.Errorf("parse the database URL: %w", err)
	}
	config.MaxConns = riverConns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return measured{}, fmt.Errorf("connect: %w", err)
	}
	defer pool.Close()
	workers := river.NewWorkers()
	river.AddWorker(workers, idler{})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema: l.schema, Workers: workers, FetchCooldown: time.Millisecond,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: l.slots}},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return measured{}, fmt.Errorf("make a River client: %w", err)
	}
	ended, cancel := client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: l.tasks + warmUp, Kinds: []river.EventKind{river.EventKindJobCompleted},
	})
	defer cancel()
	if err := client.Start(ctx); err != nil {
		return measured{}, fmt.Errorf("start River: %w", err)
	}
	defer func() { _ = client.Stop(context.WithoutCancel(ctx)) }() // nothing of it is used any more
	run := func(first, count int) error {
		err := submitAll(ctx, l.submitters, first, count, func(ctx context.Context, n int) error {
			_, err := client.Insert(ctx, nothing{Number: n}, nil)
			return err
		})
		if err != nil {
			return fmt.Errorf("insert: %w", err)
		}
		return await(ctx, ended, count)
	}
	if err := run(0, warmUp); err != nil {
		return measured{}, err
	}
	begin := time.Now()
	err = run(warmUp, l.tasks)
	return measured{took: time.Since(begin)}, err
}

func await(ctx context.Context, ended <-chan *river.Event, count int) error {
	for range count {
		select {
		case <-ended:
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute):
			return errors.New("no job ended for a minute")
		}
	}
	return nil
}
