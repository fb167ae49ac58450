package riverrt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
	"github.com/parkinglot/parkinglot/internal/store"
)

// WorkerOptions are what NewWorker needs.
type WorkerOptions struct {
	// DB is used by River to fetch and finish jobs, and for one LISTEN connection. Its
	// sessions should have NarrowPlans.
	DB     *pgxpool.Pool
	Schema string // of River's tables; empty: the connections' search path
	// ID is the worker's incarnation, at most 100 characters: what attempted_by says.
	ID domain.WorkerID
	// Pools are the pools whose tasks this process runs, with how many at once (1 to
	// 10,000).
	Pools map[domain.PoolID]int
	// Runner runs the attempts.
	Runner *attempts.Runner
	// Attempts returns the tasks of those attempts that are live, with payload
	// (store.Tasks.Attempts).
	Attempts func(ctx context.Context, refs []domain.Ref) (map[domain.Ref]domain.Task, error)
	// Carrier is that of the turns of this process, which tells this Worker (and no other) of
	// what they start; nil: it hears of everything through DB.
	Carrier *Carrier
	// PollOnly: DB has no sessions to LISTEN on. New jobs are found at the poll, a second
	// apart while nothing runs.
	PollOnly bool
	Log      *slog.Logger // nil: slog.Default()
}

// Worker fetches the River jobs of worker pools and runs what they carry: one
// River client for all pools of the process. Its methods are safe for concurrent
// use.
type Worker struct {
	opts   WorkerOptions
	reader *reader

	mu      sync.Mutex
	client  *river.Client[pgx.Tx] // nil: not started, or drained
	here    *local                // what the Carrier knows of the client
	drained bool
}

// NewWorker returns a Worker that does nothing before Start.
func NewWorker(opts WorkerOptions) (*Worker, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Carrier == nil {
		opts.Carrier = &Carrier{}
	}
	w := &Worker{opts: opts, reader: newReader(opts.Attempts)}
	if _, _, err := w.newClient(opts.ID); err != nil { // faults are told before anything runs
		return nil, err
	}
	return w, nil
}

// newClient returns a client, and what the Carrier has to know of it.
func (w *Worker) newClient(id domain.WorkerID) (*river.Client[pgx.Tx], *local, error) {
	conf := config(w.opts.Schema, w.opts.Log)
	conf.ID = string(id)
	conf.PollOnly = w.opts.PollOnly
	conf.CompletedJobRetentionPeriod = retention
	conf.CancelledJobRetentionPeriod = retention
	conf.DiscardedJobRetentionPeriod = retention
	conf.Queues = make(map[string]river.QueueConfig, len(w.opts.Pools))
	for pool, concurrency := range w.opts.Pools {
		if concurrency < 1 || concurrency > river.QueueNumWorkersMax {
			return nil, nil, fmt.Errorf("pool %q: concurrency %d must be from 1 to %d", pool, concurrency, river.QueueNumWorkersMax)
		}
		conf.Queues[QueueName(pool)] = river.QueueConfig{MaxWorkers: concurrency}
	}
	conf.Workers = river.NewWorkers()
	if err := river.AddWorkerSafely(conf.Workers, &riverWorker{worker: w}); err != nil {
		return nil, nil, fmt.Errorf("register the River worker: %w", err)
	}
	here := &local{queues: make(map[string]struct{}, len(conf.Queues)), wakes: newWakes(), runner: w.opts.Runner}
	for queue := range conf.Queues {
		here.queues[queue] = struct{}{}
	}
	client, err := river.NewClient[pgx.Tx](&driver{Driver: riverpgxv5.New(w.opts.DB), wakes: here.wakes, origin: w.opts.Carrier.origin}, conf)
	if err != nil {
		return nil, nil, fmt.Errorf("make a River client that works: %w", err)
	}
	return client, here, nil
}

// Start begins to fetch. ctx bounds the start only; Drain ends the work. Without
// pools it does nothing.
func (w *Worker) Start(ctx context.Context) error {
	return w.start(ctx, w.opts.ID)
}

func (w *Worker) start(ctx context.Context, id domain.WorkerID) error {
	if len(w.opts.Pools) == 0 {
		return nil
	}
	client, here, err := w.newClient(id)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.drained {
		return nil
	}
	if !w.opts.PollOnly { // then neither its wakes nor hints of stops are heard
		w.opts.Carrier.local.Store(here) // before the first fetch, which finds what has been committed until then
	}
	// River ends all work with the context of Start; ours ends with Drain.
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		w.opts.Carrier.local.CompareAndSwap(here, nil)
		return fmt.Errorf("start River: %w", err)
	}
	w.client, w.here = client, here
	return nil
}

// Restart goes on under a new id, after the incarnation under the old one has been
// given up and what it held abandoned. It tries until it succeeds or ctx ends, and
// does not wait for what the old client still runs.
func (w *Worker) Restart(ctx context.Context, id domain.WorkerID) error {
	w.stopFetching(ctx)
	wait := newBackOff()
	for {
		err := w.start(ctx, id)
		if err == nil {
			return nil
		}
		w.opts.Log.WarnContext(ctx, "River cannot be started under the worker's new id; trying again", "worker", id, "error", err)
		select {
		case <-time.After(wait.NextBackOff()):
		case <-ctx.Done():
			return err
		}
	}
}

// stopFetching lets the client finish what it has fetched, and returns a channel
// that is closed when it has; nil: there is no client.
func (w *Worker) stopFetching(ctx context.Context) <-chan struct{} {
	w.mu.Lock()
	client := w.client
	w.client = nil
	w.opts.Carrier.local.CompareAndSwap(w.here, nil)
	w.mu.Unlock()
	if client == nil {
		return nil
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := client.Stop(context.WithoutCancel(ctx)); err != nil {
			w.opts.Log.Warn("River did not stop cleanly", "error", err)
		}
	}()
	return stopped
}

// riverGrace is how long Drain waits for River to finish its own rows.
const riverGrace = 5 * time.Second

// Drain stops fetching, waits until everything that the Runner holds (native
// attempts of the process included) has ended, hands back what still runs when ctx
// ends, and stops River. After it the Worker cannot be started again. The error is
// that of Runner.Drain.
func (w *Worker) Drain(ctx context.Context) error {
	w.mu.Lock()
	w.drained = true
	w.mu.Unlock()
	stopped := w.stopFetching(ctx)
	err := w.opts.Runner.Drain(ctx)
	if stopped == nil {
		return err
	}
	select {
	case <-stopped:
	case <-time.After(riverGrace):
		w.opts.Log.Warn("River has not stopped in time; the process ends all the same")
	}
	return err
}

// riverWorker is River's view of a Worker.
type riverWorker struct {
	river.WorkerDefaults[Args]

	worker *Worker
}

// Timeout implements river.Worker: none, because it would count from the fetch and
// end in a retry of River's.
func (*riverWorker) Timeout(*river.Job[Args]) time.Duration { return -1 }

// Work implements river.Worker. Whatever becomes of the attempt is reported through
// a turn, which deletes the River job as well; an error only says that there was
// no report.
func (r *riverWorker) Work(ctx context.Context, job *river.Job[Args]) error {
	ref := job.Args.ref()
	log := func() *slog.Logger { // not made for nothing
		return r.worker.opts.Log.With("pool", ref.PoolID, "job", ref.JobID, "attempt", ref.Attempt, "river_job", job.ID)
	}
	// Registered before it is read: a cancellation either is in the row already, or
	// reaches the registered attempt.
	attempt, ok := r.worker.opts.Runner.Begin(ref)
	if !ok {
		log().ErrorContext(ctx, "two River jobs carry the same attempt; the second is dropped")
		return nil
	}
	task, handed := attempt.Handed()
	var err error
	if !handed {
		task, err = r.load(attempt.Context(), ref, log) //nolint:contextcheck // the attempt ends by its own context, not by River's
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		attempt.Forget()
		log().InfoContext(ctx, "the attempt had ended before its River job ran; nothing is executed")
		return nil
	case err != nil:
		attempt.Forget()
		return err
	}
	if attempt.Foreign(&task) {
		return attempt.Decline(task, job.ID)
	}
	return attempt.Run(task, job.ID)
}

// load reads the task, again and again while the backend does not answer: the
// units are taken, so nobody else would run it sooner. When ctx ends it tries once
// more, so that the attempt can be reported, and gives up.
//
// The first time it is read together with others, so any of them may be to blame for
// an error; from then on alone.
func (r *riverWorker) load(ctx context.Context, ref domain.Ref, log func() *slog.Logger) (domain.Task, error) {
	wait := newBackOff()
	read := r.worker.reader.together
	for {
		last := ctx.Err() != nil
		if last {
			read = r.worker.reader.alone
		}
		task, err := read(ref)
		if err == nil || errors.Is(err, store.ErrNotFound) {
			return task, err
		}
		if last {
			return task, fmt.Errorf("read the task of attempt %d of job %d of pool %s: %w", ref.Attempt, ref.JobID, ref.PoolID, err)
		}
		log().WarnContext(ctx, "the task of a River job cannot be read; trying again", "error", err)
		read = r.worker.reader.alone
		select {
		case <-time.After(wait.NextBackOff()):
		case <-ctx.Done():
		}
	}
}

func newBackOff() *backoff.ExponentialBackOff {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 20*time.Millisecond, time.Second
	return wait
}
