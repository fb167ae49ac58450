// Package native is the runtime that runs tasks in goroutines of the process whose
// turn started them. It serves every backend and writes nothing of its own.
//
// It bounds nothing: what runs at once is what the pools' units admit.
package native

import (
	"context"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Runtime implements scheduler.Starter; the methods of its Runner are those of
// scheduler.Holder.
type Runtime struct {
	*attempts.Runner

	tasks func(domain.PoolID) store.Tasks
	log   *slog.Logger
}

// New returns a Runtime that runs its attempts in runner. tasks returns where the
// tasks of a native pool are read. A nil log is slog.Default.
func New(runner *attempts.Runner, tasks func(domain.PoolID) store.Tasks, log *slog.Logger) *Runtime {
	if log == nil {
		log = slog.Default()
	}
	return &Runtime{Runner: runner, tasks: tasks, log: log}
}

// started is a task on its way to its executor.
type started struct {
	attempt *attempts.Attempt
	task    domain.Task
}

// Start runs tasks, each in a goroutine of its own, and returns at once. When it
// returns they are held. Payloads and labels that tasks do not carry are loaded
// together for each pool.
func (r *Runtime) Start(tasks []domain.Task) {
	light := make(map[domain.PoolID][]started)
	for i := range tasks {
		attempt, ok := r.Begin(tasks[i].Ref())
		if !ok {
			r.log.Error("an attempt was started twice; the second start is ignored", "pool", tasks[i].PoolID, "task", tasks[i].TaskID)
			continue
		}
		s := started{attempt: attempt, task: tasks[i]}
		if s.task.Payload == nil {
			light[s.task.PoolID] = append(light[s.task.PoolID], s)
			continue
		}
		go s.run()
	}
	for pool, batch := range light {
		go r.loadAndRun(pool, batch)
	}
}

// run reports what it has to say itself; an error is in the log already.
func (s started) run() { _ = s.attempt.Run(s.task, 0) }

// loadTimeout bounds one attempt to load payloads.
const loadTimeout = 10 * time.Second

func (r *Runtime) loadAndRun(pool domain.PoolID, batch []started) {
	jobs := make([]domain.JobID, len(batch))
	for i := range batch {
		jobs[i] = batch[i].task.JobID
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 20*time.Millisecond, time.Second
	for {
		in, err := r.tryLoad(pool, jobs)
		if err == nil {
			for _, s := range batch {
				s.task.Payload, s.task.Labels = in.Payloads[s.task.JobID], in.Labels[s.task.JobID]
				go s.run()
			}
			return
		}
		// Those that are stopped meanwhile need no payload; the rest waits on.
		if batch = runStopped(batch); len(batch) == 0 {
			return
		}
		r.log.Warn("payloads of started tasks cannot be read; trying again", "pool", pool, "tasks", len(batch), "error", err)
		time.Sleep(wait.NextBackOff())
	}
}

func (r *Runtime) tryLoad(pool domain.PoolID, jobs []domain.JobID) (store.Inputs, error) {
	ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
	defer cancel()
	return store.ReadInputs(ctx, r.tasks(pool), pool, jobs)
}

// runStopped lets the attempts report whose context has ended, and returns the
// others.
func runStopped(batch []started) []started {
	var rest []started
	for _, s := range batch {
		if s.attempt.Context().Err() != nil {
			go s.run()
			continue
		}
		rest = append(rest, s)
	}
	return rest
}
