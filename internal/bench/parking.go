package bench

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/app"
	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/workers"
)

const poolID = domain.PoolID("bench")

// runParking measures the whole program in this process: everything that serve
// does, with an executor that does nothing. What it did is then proven, so that no
// speed is bought with a promise.
func runParking(ctx context.Context, l load, runtime string) (m measured, err error) {
	dir, err := os.MkdirTemp("", "parkinglot-bench-")
	if err != nil {
		return measured{}, fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	cfg, err := parkingConfig(filepath.Join(dir, "config.json"), l, runtime)
	if err != nil {
		return measured{}, err
	}
	registry := workers.NewRegistry()
	idle := workers.ExecutorFunc(func(context.Context, workers.Task) (json.RawMessage, error) { return nil, nil })
	if err := registry.Register("default", idle); err != nil {
		return measured{}, fmt.Errorf("register the executor: %w", err)
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ready, ended := make(chan app.Running, 1), make(chan error, 1)
	go func() {
		ended <- app.Serve(serving, cfg, app.Options{
			Listen: "127.0.0.1:0", Registry: registry, Log: slog.New(slog.DiscardHandler),
			Ready: func(r app.Running) { ready <- r },
		})
	}()
	select {
	case running := <-ready:
		m, err = drive(ctx, running, l)
	case err := <-ended:
		return measured{}, fmt.Errorf("serve: %w", err)
	}
	stop()
	return m, errors.Join(err, <-ended)
}

func parkingConfig(path string, l load, runtime string) (*config.Config, error) {
	raw, err := json.Marshal(map[string]any{
		"database": map[string]any{"url": l.url, "schema": l.schema},
		"limits":   map[string]any{"worker_concurrency": l.slots},
		"pools": []any{map[string]any{
			"pool_id": poolID, "max_units": l.slots, "max_queue_depth": l.tasks,
			"queue_backend": "postgres", "mailbox_backend": "postgres", "runtime_adapter": runtime,
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("make a configuration: %w", err)
	}
	const mode = 0o600
	if err := os.WriteFile(path, raw, mode); err != nil {
		return nil, fmt.Errorf("write a configuration: %w", err)
	}
	return config.Load(config.Source{Path: path, Environ: os.Environ()})
}

// drive submits the tasks and waits until all have ended.
func drive(ctx context.Context, running app.Running, l load) (measured, error) {
	run := func(first, count int) error {
		err := submitAll(ctx, l.submitters, first, count, func(ctx context.Context, n int) error {
			answers, err := running.Service.Submit(ctx, poolID, []plan.Submit{submission(n)})
			switch {
			case err != nil:
				return err
			case answers[0].Err != nil:
				return answers[0].Err
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("submit: %w", err)
		}
		return untilIdle(ctx, running.Service)
	}
	if err := run(0, warmUp); err != nil {
		return measured{}, err
	}
	before, err := running.Service.Pool(ctx, poolID)
	if err != nil {
		return measured{}, fmt.Errorf("look at the pool: %w", err)
	}
	begin := time.Now()
	if err := run(warmUp, l.tasks); err != nil {
		return measured{}, err
	}
	m := measured{took: time.Since(begin)}
	after, err := running.Service.Pool(ctx, poolID)
	if err != nil {
		return measured{}, fmt.Errorf("look at the pool: %w", err)
	}
	m.turns = after.TurnNo - before.TurnNo
	return m, prove(ctx, running.Addr, int64(l.tasks+warmUp))
}

func submission(n int) plan.Submit {
	id := "bench-" + strconv.Itoa(n)
	tenant := domain.Tenant("tenant-" + strconv.Itoa(n%4))
	hash := sha256.Sum256([]byte(id))
	return plan.Submit{
		TaskID: domain.TaskID(id), BodyHash: hash[:], Tenant: tenant, Priority: domain.PriorityNormal, Units: 1,
		Executor: "default", Mailbox: &domain.MailboxKey{Tenant: tenant, UserID: "bench"},
		Payload: []byte(`{"number":` + strconv.Itoa(n) + `}`),
	}
}

func untilIdle(ctx context.Context, service api.Service) error {
	const pause = 2 * time.Millisecond
	for deadline := time.Now().Add(time.Minute); ; {
		pool, err := service.Pool(ctx, poolID)
		switch {
		case err != nil:
			return fmt.Errorf("look at the pool: %w", err)
		case pool.Running+pool.Queued+pool.Waiting == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("after a minute %d tasks run and %d are queued", pool.Running, pool.Queued)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// prove checks every promise, and that every task completed.
func prove(ctx context.Context, addr string, tasks int64) error {
	api, err := client.NewClient("http://" + addr)
	if err != nil {
		return fmt.Errorf("client of %s: %w", addr, err)
	}
	report, err := history.Check(ctx, history.Server{API: api}, history.Options{Keep: 3})
	if err != nil {
		return err
	}
	if report.Violations > 0 {
		return fmt.Errorf("%d violations: %v", report.Violations, report.First)
	}
	if done := report.Pools[0].Outcomes[domain.StatusCompleted]; done != tasks {
		return fmt.Errorf("%d of %d tasks completed", done, tasks)
	}
	return nil
}
