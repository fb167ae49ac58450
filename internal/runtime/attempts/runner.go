package attempts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/workers"
)

// settleGrace is how long Drain waits for the reports of what it has stopped.
const settleGrace = 5 * time.Second

// Options are what New needs.
type Options struct {
	Registry *workers.Registry
	// Settle reports the end of an attempt and keeps trying until ctx ends
	// (scheduler.Scheduler.Settle).
	Settle func(ctx context.Context, settle plan.Settle) (plan.Answer, error)
	// Recorder gets the executors' own record of when they really ran; nil: none.
	Recorder Recorder
	// WorkerTTL is scheduler.Options.WorkerTTL, after which others take this process for dead.
	WorkerTTL time.Duration // 0: the scheduler's default
	Metrics   Metrics       // nil: none
	MaxResult int           // bytes; 0: workers.DefaultMaxResult
	StopGrace time.Duration // 0: workers.DefaultStopGrace
	Log       *slog.Logger  // nil: slog.Default()
}

// Metrics hears what executors do. Its methods must not block and are called from
// many goroutines.
type Metrics interface {
	// Entered is called before an executor runs. waited is the time since the turn
	// that started the task, by the clocks of the backend and of this process.
	Entered(pool domain.PoolID, waited time.Duration)
	// Ended is called when an attempt's outcome is decided.
	Ended(pool domain.PoolID, executor string, verdict workers.Verdict, ran time.Duration)
	// Leaking is called with 1 when an executor outlives its attempt, with -1 when it
	// has returned at last.
	Leaking(pool domain.PoolID, delta int)
}

// Runner runs attempts, one goroutine of its caller each, and knows which ones run.
// One Runner serves all runtimes of a process. It implements scheduler.Holder. All
// methods are safe for concurrent use.
type Runner struct {
	opts Options
	// base is the parent of every executor's context and ends with Close.
	base context.Context
	end  context.CancelCauseFunc
	// drains is closed when Drain is called.
	drains chan struct{}

	mu       sync.Mutex
	held     map[domain.Ref]*Attempt
	draining bool          // what begins from now on is handed back unrun
	emptied  chan struct{} // closed and replaced whenever held becomes empty

	handed      map[domain.Ref]handed // started by this process, begun nowhere yet
	handedBytes int
	ageLimit    time.Duration
	expiring    bool   // expire will be called
	doubts      uint64 // counts what has made all that was handed over worthless
}

// New returns a Runner.
func New(opts Options) *Runner {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Metrics == nil {
		opts.Metrics = noMetrics{}
	}
	base, end := context.WithCancelCause(context.Background())
	return &Runner{
		opts:     opts,
		base:     base,
		end:      end,
		drains:   make(chan struct{}),
		held:     make(map[domain.Ref]*Attempt),
		emptied:  make(chan struct{}),
		handed:   make(map[domain.Ref]handed),
		ageLimit: ageLimit(opts.WorkerTTL),
	}
}

// Begin registers an attempt, so that Holding names it and Stop reaches it from
// now on. The caller must call Run or Forget of what it gets. False: the attempt
// is already here.
func (r *Runner) Begin(ref domain.Ref) (*Attempt, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, here := r.held[ref]; here {
		return nil, false
	}
	ctx, cancel := context.WithCancelCause(r.base)
	a := &Attempt{runner: r, ref: ref, ctx: ctx, cancel: cancel, handed: r.take(ref)}
	r.held[ref] = a
	if r.draining {
		cancel(workers.ErrHandBack)
	}
	return a, true
}

func (r *Runner) forget(ref domain.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, ref)
	if len(r.held) == 0 {
		close(r.emptied)
		r.emptied = make(chan struct{})
	}
}

// Stop ends the executors of cancelled attempts. Attempts that are not here are
// ignored.
func (r *Runner) Stop(refs []domain.Ref) { r.cancel(refs, workers.ErrCancelled) }

// Abandon ends the executors of attempts on which this process has lost its hold.
// Of those only work that was done all the same is still reported.
func (r *Runner) Abandon(refs []domain.Ref) { r.cancel(refs, workers.ErrLost) }

func (r *Runner) cancel(refs []domain.Ref, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.distrust()
	for _, ref := range refs {
		if a, here := r.held[ref]; here {
			a.cancel(cause)
		}
	}
}

// Holding returns the attempts of a pool that are here: about to run, running, or
// ended and not yet settled. In no particular order.
func (r *Runner) Holding(pool domain.PoolID) []domain.Ref {
	r.mu.Lock()
	defer r.mu.Unlock()
	var refs []domain.Ref
	for ref := range r.held {
		if ref.PoolID == pool {
			refs = append(refs, ref)
		}
	}
	return refs
}

// Len returns how many attempts are here.
func (r *Runner) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.held)
}

// Drain waits until everything that is here has ended and is settled. When ctx
// ends before, it stops what still runs and hands it back. What begins after the
// call is handed back unrun. It returns an error that counts what is still not
// settled a few seconds after that; the reaper will settle those as lost.
func (r *Runner) Drain(ctx context.Context) error {
	r.mu.Lock()
	if !r.draining {
		r.draining = true
		close(r.drains)
	}
	r.mu.Unlock()
	if r.waitEmpty(ctx) {
		return nil
	}
	r.mu.Lock()
	running := slices.Collect(maps.Keys(r.held))
	r.mu.Unlock()
	r.opts.Log.Warn("the grace is over; running attempts are handed back", "attempts", len(running))
	r.cancel(running, workers.ErrHandBack)

	grace := r.opts.StopGrace
	if grace <= 0 {
		grace = workers.DefaultStopGrace
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace+settleGrace)
	defer cancel()
	if r.waitEmpty(late) {
		return nil
	}
	return fmt.Errorf("%d attempts could not be settled before the end", r.Len())
}

// waitEmpty waits until nothing is here; false: ctx ended before.
func (r *Runner) waitEmpty(ctx context.Context) bool {
	for {
		r.mu.Lock()
		n, emptied := len(r.held), r.emptied
		r.mu.Unlock()
		if n == 0 {
			return true
		}
		select {
		case <-emptied:
		case <-ctx.Done():
			return false
		}
	}
}

// errClosed ends what still runs when the Runner is closed.
var errClosed = errors.New("the process ends")

// Close ends everything at once, reports included. Call Drain before.
func (r *Runner) Close() { r.end(errClosed) }

type noMetrics struct{}

func (noMetrics) Entered(domain.PoolID, time.Duration)                        {}
func (noMetrics) Ended(domain.PoolID, string, workers.Verdict, time.Duration) {}
func (noMetrics) Leaking(domain.PoolID, int)                                  {}
