package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
	"github.com/parkinglot/parkinglot/internal/runtime/native"
	"github.com/parkinglot/parkinglot/internal/runtime/riverrt"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/telemetry"
	"github.com/parkinglot/parkinglot/workers"
)

// process is what serve and work have in common: a scheduler over opened
// backends, and the runtimes that run what it starts. run owns every goroutine.
type process struct {
	cfg      *config.Config
	log      *slog.Logger
	metrics  *telemetry.Metrics
	backends *backends
	homes    map[domain.PoolID]domain.Backend
	// watch runs beside the scheduler until its context ends.
	watch func(context.Context)

	runner    *attempts.Runner
	river     *riverrt.Worker // nil: this process runs no worker pools
	scheduler *scheduler.Scheduler
	feeds     *feeds
	record    *attempts.RecordFile // nil: no record is kept

	drift    *drift
	outdated chan error // holds why this program must end, once it must
}

// newProcess wires scheduler and runtimes. Of pools (as they are stored) this
// process takes turns; with starts it runs tasks of the native ones, and those of
// worker pools with the given concurrency (0: none). wanted are the pools as the
// configuration has them. Who follows a stream is told when ctx ends.
func newProcess(ctx context.Context, cfg *config.Config, role string, b *backends, pools, wanted []domain.Pool, registry *workers.Registry, concurrency int, log *slog.Logger) (_ *process, err error) {
	p := &process{
		cfg: cfg, log: log, metrics: telemetry.NewMetrics(), backends: b,
		homes: make(map[domain.PoolID]domain.Backend, len(pools)), watch: func(context.Context) {},
		outdated: make(chan error, 1),
		drift:    newDrift(wanted, registry, role == "serve"),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.closeRecord())
		}
	}()
	turns := make([]scheduler.Pool, 0, len(pools))
	workerPools := map[domain.PoolID]int{}
	for i := range pools {
		p.homes[pools[i].PoolID] = pools[i].QueueBackend
		turns = append(turns, scheduler.Pool{ID: pools[i].PoolID, Backend: pools[i].QueueBackend})
		if pools[i].Runtime == domain.RuntimeWorker && concurrency > 0 {
			workerPools[pools[i].PoolID] = concurrency
		}
	}
	if err := p.newRunner(registry); err != nil {
		return nil, err
	}
	p.feeds = newFeeds(b.stores, cfg.Limits.SafetyPoll(), p.metrics, ctx.Done(), log)
	worker := newWorker(role)
	opts := scheduler.Options{
		Worker: worker, Stores: b.stores, Pools: turns, Log: log, Metrics: p.metrics, Feed: p.feeds, Reborn: p.reborn,
		SafetyPoll: cfg.Limits.SafetyPoll(), HeartbeatEvery: cfg.Limits.Heartbeat(), WorkerTTL: cfg.Limits.WorkerTTL(),
		TurnsKept: int(cfg.Retention.TurnRows), Runs: p.drift.runs,
		Retention: scheduler.Retention{
			Audit: cfg.Retention.Audit(), Tasks: cfg.Retention.Tasks(),
			Unread: cfg.Retention.Unread(), Acknowledged: cfg.Retention.Acknowledged(),
		},
		Outdated: func(err error) {
			select {
			case p.outdated <- err:
			default: // it knows
			}
		},
	}
	if len(workerPools) > 0 {
		p.river, err = riverrt.NewWorker(riverrt.WorkerOptions{
			DB: b.postgres.side, Schema: cfg.Database.Schema, ID: worker.ID, Pools: workerPools,
			Runner: p.runner, Attempts: b.postgres.store.Attempts, Carrier: b.postgres.carrier, PollOnly: b.postgres.pollOnly, Log: log,
		})
		if err != nil {
			return nil, fmt.Errorf("worker pools: %w", err)
		}
	}
	// The runner is one for all runtimes: as the native starter it is a holder, too.
	opts.Starter = native.New(p.runner, p.tasks, log)
	if p.scheduler, err = scheduler.New(opts); err != nil {
		return nil, err //nolint:wrapcheck // says "scheduler" itself
	}
	return p, nil
}

func (p *process) newRunner(registry *workers.Registry) error {
	opts := attempts.Options{
		Registry: registry, WorkerTTL: p.cfg.Limits.WorkerTTL(), MaxResult: int(p.cfg.Limits.MaxResultBytes), Log: p.log, Metrics: p.metrics,
		Settle: func(ctx context.Context, settle plan.Settle) (plan.Answer, error) {
			return p.scheduler.Settle(ctx, settle)
		},
	}
	if path := os.Getenv(attempts.RecordVariable); path != "" {
		var err error
		if p.record, err = attempts.OpenRecord(path, p.log); err != nil {
			return err //nolint:wrapcheck // says what and where
		}
		opts.Recorder = p.record
	}
	p.runner = attempts.New(opts)
	return nil
}

func (p *process) closeRecord() error {
	if p.record == nil {
		return nil
	}
	return p.record.Close() //nolint:wrapcheck // says what and where
}

// tasks returns where the tasks of a pool are read.
func (p *process) tasks(pool domain.PoolID) store.Tasks { return p.backends.stores[p.homes[pool]] }

// reborn makes the incarnation that follows one that was given up, and moves
// River's client to it: attempted_by must name the living.
func (p *process) reborn(ctx context.Context, backend domain.Backend, old store.Worker) store.Worker {
	fresh := old
	fresh.ID = newWorkerID()
	if backend == domain.BackendPostgres && p.river != nil {
		if err := p.river.Restart(ctx, fresh.ID); err != nil && ctx.Err() == nil {
			p.log.ErrorContext(ctx, "River could not be restarted under the new id", "error", err)
		}
	}
	return fresh
}

// run runs the process: everything up, work until ctx ends or the program is too old,
// everything down. up is called when the scheduler takes turns, and returns what ends with the drain (the
// HTTP server).
func (p *process) run(ctx context.Context, up func(context.Context) (down func(), err error)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// Turns outlive ctx: what runs must still be settled.
	turns, endTurns := context.WithCancel(context.WithoutCancel(ctx))
	defer endTurns()
	ended := make(chan error, 1)
	go func() { ended <- p.scheduler.Run(turns) }()
	watch, endWatch := context.WithCancel(turns)
	watched := make(chan struct{})
	go func() { defer close(watched); p.watch(watch) }()

	down, err := up(ctx)
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-p.outdated:
			err = fmt.Errorf("%w: start the newer program", err)
			stop() // the edge sees it as it sees SIGTERM
		case err = <-ended:
			err = errors.Join(errors.New("the scheduler has ended"), err)
			ended <- nil
		}
	}
	err = errors.Join(err, p.drain(ctx))
	if down != nil {
		down()
	}
	endWatch()
	<-watched
	endTurns()
	err = errors.Join(err, <-ended)
	p.runner.Close()
	p.log.InfoContext(ctx, "stopped")
	return errors.Join(err, p.closeRecord())
}

// drainTurns bounds the wait for turns under way when starting stops.
const drainTurns = 5 * time.Second

// drain stops starting, lets running tasks end for the grace, and hands back the
// rest.
func (p *process) drain(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	stop, cancel := context.WithTimeout(ctx, drainTurns)
	err := p.scheduler.Drain(stop)
	cancel()
	if err != nil {
		p.log.WarnContext(ctx, "turns are still under way", "error", err)
	}
	if n := p.runner.Len(); n > 0 {
		p.log.InfoContext(ctx, "stopping: running tasks may end", "tasks", n, "grace", p.cfg.Limits.Grace().String())
	}
	grace, cancel := context.WithTimeout(ctx, p.cfg.Limits.Grace())
	defer cancel()
	if p.river != nil {
		return p.river.Drain(grace) //nolint:wrapcheck // says what it counts
	}
	return p.runner.Drain(grace) //nolint:wrapcheck // says what it counts
}
