package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/parkinglot/parkinglot/internal/app"
	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/workers"
)

// localRun is the whole program running in this process: everything that serve does.
type localRun struct {
	app.Running

	stop  context.CancelFunc
	ended chan error
}

// local starts the program on a schema (of Postgres) with an executor.
func (b *bench) local(ctx context.Context, c *Case, schema string, run workers.ExecutorFunc) (*localRun, error) {
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "config.json")
	if err := writeConfig(path, b.url, schema, c, nil); err != nil {
		return nil, err
	}
	cfg, err := config.Load(config.Source{Path: path, Environ: os.Environ()})
	if err != nil {
		return nil, err
	}
	registry := workers.NewRegistry()
	if err := registry.Register("default", run); err != nil {
		return nil, fmt.Errorf("register the executor: %w", err)
	}
	l := &localRun{ended: make(chan error, 1)}
	ctx, l.stop = context.WithCancel(ctx)
	ready := make(chan app.Running, 1)
	go func() {
		l.ended <- app.Serve(ctx, cfg, app.Options{
			Listen: "127.0.0.1:0", Registry: registry, Log: slog.New(slog.DiscardHandler),
			Ready: func(r app.Running) { ready <- r },
		})
	}()
	select {
	case l.Running = <-ready:
		return l, nil
	case err := <-l.ended:
		l.stop()
		return nil, fmt.Errorf("serve: %w", err)
	}
}

// close stops the program; tasks that run may end.
func (l *localRun) close() error {
	l.stop()
	return <-l.ended
}

// submit submits task n and returns the refusal, if it is refused.
func (l *localRun) submit(ctx context.Context, c *Case, n int) error {
	pool, task := submission(c, n)
	answers, err := l.Service.Submit(ctx, pool, task)
	if err != nil {
		return err
	}
	if answers[0].Err != nil {
		return answers[0].Err
	}
	return nil
}

// lifecycles submits tasks and waits until all of them have ended.
func (l *localRun) lifecycles(ctx context.Context, c *Case, first, count int) error {
	err := submitAll(ctx, c.Submitters, first, count, func(ctx context.Context, n int) error { return l.submit(ctx, c, n) })
	if err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	return l.untilIdle(ctx)
}

// totals sums up the counters of all pools.
func (l *localRun) totals(ctx context.Context) (t domain.Counters, err error) {
	pools, err := l.Service.Pools(ctx)
	if err != nil {
		return t, fmt.Errorf("look at the pools: %w", err)
	}
	for i := range pools {
		p := &pools[i].Counters
		t.TurnNo += p.TurnNo
		t.Running += p.Running
		t.Queued += p.Queued
		t.Waiting += p.Waiting
		t.MessageSeq += p.MessageSeq
	}
	return t, nil
}

func (l *localRun) untilIdle(ctx context.Context) error {
	const pause = 4 * time.Millisecond
	return eventually(ctx, pause, func() (bool, error) {
		t, err := l.totals(ctx)
		return err == nil && t.Running+t.Queued+t.Waiting == 0, err
	})
}

// eventually looks until something is so, and gives up after a while.
func eventually(ctx context.Context, pause time.Duration, look func() (bool, error)) error {
	for deadline := time.Now().Add(2 * patience); ; {
		done, err := look()
		switch {
		case done || err != nil:
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("tasks have not ended after %s", 2*patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// idle is the executor that does nothing.
func idle(context.Context, workers.Task) (json.RawMessage, error) { return nil, nil }

// home makes the tables that a case begins with.
func (b *bench) home(ctx context.Context, c *Case) (schema string, done func() error, err error) {
	switch {
	case c.Backend != domain.BackendPostgres:
		return "", func() error { return nil }, nil
	case c.Finished > 0 || c.Queued > 0:
		return b.fixture(ctx, c)
	}
	return b.schema(ctx)
}

// measureLocal measures lifecycles of the program in this process.
func measureLocal(ctx context.Context, b *bench, c *Case) (m Metrics, err error) {
	schema, done, err := b.home(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	release := func() {}
	if c.Held {
		if release, err = b.hold(ctx); err != nil {
			return nil, err
		}
	}
	l, err := b.local(ctx, c, schema, idle)
	if err == nil {
		m, err = b.measureLifecycles(ctx, c, l)
		err = errors.Join(err, l.close())
	}
	release()
	if err != nil {
		return nil, err
	}
	return m, b.rows(ctx, c, schema, m, c.Tasks+warmUp)
}

// measureLifecycles measures what lifecycles of a program that runs cost, and proves them.
func (b *bench) measureLifecycles(ctx context.Context, c *Case, l *localRun) (Metrics, error) {
	begun, err := l.totals(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.lifecycles(ctx, c, 0, warmUp); err != nil {
		return nil, err
	}
	before, err := l.totals(ctx)
	if err != nil {
		return nil, err
	}
	from, err := b.meter.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.lifecycles(ctx, c, warmUp, c.Tasks); err != nil {
		return nil, err
	}
	to, err := b.meter.read(ctx)
	if err != nil {
		return nil, err
	}
	after, err := l.totals(ctx)
	if err != nil {
		return nil, err
	}
	m := costs(from, to, c.Tasks)
	m[PerTurn] = float64(c.Tasks) / float64(after.TurnNo-before.TurnNo)
	if outcomes := after.MessageSeq - begun.MessageSeq; outcomes != int64(c.Tasks+warmUp) {
		return nil, fmt.Errorf("%d outcomes of %d tasks", outcomes, c.Tasks+warmUp)
	}
	if c.Finished > 0 {
		return m, nil // counted, and reconciled when the fixture is put back
	}
	return m, prove(ctx, l.Addr, int64(c.Tasks+warmUp))
}

// rows adds what was written to the tables since they are there; n lifecycles were.
// What Postgres did while another backend was measured says nothing.
func (b *bench) rows(ctx context.Context, c *Case, schema string, m Metrics, n int) error {
	if c.Backend != domain.BackendPostgres {
		for _, metric := range []Metric{PostgresCPU, WAL, Statements} {
			delete(m, metric)
		}
		return nil
	}
	if c.Finished > 0 || c.Queued > 0 {
		return nil
	}
	written, err := b.meter.rowsWritten(ctx, schema)
	if err != nil {
		return err
	}
	m[Rows] = float64(written) / float64(n)
	m[RowsASecond] = m[Rows] * m[PerSecond]
	return nil
}

// hold opens a transaction elsewhere that sees the tables as they are now.
func (b *bench) hold(ctx context.Context) (release func(), err error) {
	pool, err := b.connect(ctx, "public", 1)
	if err != nil {
		return nil, err
	}
	// An id as well as a snapshot: both kinds of horizon stand still.
	if _, err := pool.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()"); err != nil {
		pool.Close()
		return nil, fmt.Errorf("hold a transaction open: %w", err)
	}
	return pool.Close, nil
}
