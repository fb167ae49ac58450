package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Holder is what really runs in this process: the side of a runtime that the
// scheduler must be able to ask and to stop. Its methods never block, and are
// called from many goroutines.
type Holder interface {
	// Stop asks attempts to end: their executors' contexts end with the cause
	// "cancelled", and each is settled with plan.VerdictCancelled. Refs that are
	// not held here are ignored.
	Stop(refs []domain.Ref)
	// Abandon tells that this process has lost its hold on attempts: their
	// executors' contexts end with the cause "lost" and nothing is settled for what had not
	// finished. Refs that are not held here are ignored.
	Abandon(refs []domain.Ref)
	// Distrust tells that attempts which are not held here yet may have been asked to stop, or
	// may have ended: what the runtime knows of them from the turn that started them does not
	// count any more.
	Distrust()
	// Holding returns the attempts of the pool that are really running here,
	// including those whose results are not yet settled.
	Holding(pool domain.PoolID) []domain.Ref
}

// Starter is the native runtime: it runs what a turn of this process started in
// a native pool.
type Starter interface {
	Holder
	// Start runs tasks after the commit of the turn that started them. Tasks that
	// were inserted in that turn carry their payload; of the others the starter
	// loads it. Never blocks.
	Start(tasks []domain.Task)
}

// Pool names a pool that this process takes turns for, and the backend of its
// queue.
type Pool struct {
	ID      domain.PoolID
	Backend domain.Backend
}

// Feed takes what turns of this process have written, once it is durable, for those
// who follow a mailbox or the trail. Its methods never block, are called from many
// goroutines, and do not change what they are given. What other processes write is told
// by WatchElsewhere.
type Feed interface {
	// Posted takes messages that are now in mailboxes of the backend, in order within a source.
	Posted(backend domain.Backend, messages []domain.Message)
	// Recorded takes events that are now in the trail of the backend, in order.
	Recorded(backend domain.Backend, events []domain.Event)
}

type noFeed struct{}

func (noFeed) Posted(domain.Backend, []domain.Message) {}
func (noFeed) Recorded(domain.Backend, []domain.Event) {}

// Options are what New needs.
type Options struct {
	// Worker is this process's first incarnation. ID must be new; empty: one is made.
	Worker store.Worker
	// Reborn returns the incarnation that follows one that was given up on a
	// backend (marked dead by others, or cut off from the backend for too long). What
	// the process ran there has been abandoned by then. A River client that runs under the
	// old id is restarted under the new one here. nil: the same with a new id.
	Reborn func(ctx context.Context, backend domain.Backend, old store.Worker) store.Worker
	// Outdated is called when a heartbeat finds that a backend's schema is not for this
	// program any more: the process should drain and end, soon, because newer ones wait for
	// that. Called again with every heartbeat; must not block. nil: it is only logged.
	Outdated func(err error)
	// Stores are the opened backends. The scheduler does not close them.
	Stores map[domain.Backend]store.Store
	// Pools are those this process takes turns for. They must be stored already
	// (store.CreatePool). More can be added with AddPool.
	Pools []Pool
	// Starter runs native tasks. nil: this process starts nothing in native pools.
	Starter Starter
	// Runs reports whether the starter has all these executors, those of a native pool; of a
	// pool where it lacks one this process starts nothing, and wakes those that may. It is
	// called in turns and must not block. nil: it has all there are.
	Runs func(pool domain.PoolID, executors []string) bool
	// Holders are the other runtimes of this process (River's).
	Holders []Holder
	Log     *slog.Logger // nil: slog.Default()
	Metrics Metrics      // nil: none
	// Feed is handed what this process writes; nil: nobody.
	Feed Feed

	// SafetyPoll is how often a backend shared with other processes is looked at
	// in case a hint was lost. Default 1 s; negative: never.
	SafetyPoll time.Duration
	// HeartbeatEvery is how often this process says that it lives. Default 2 s.
	HeartbeatEvery time.Duration
	// WorkerTTL is how old a heartbeat may be before its process counts as dead, and
	// how long running work survives an outage of a shared backend. Default 6 s, at least
	// twice HeartbeatEvery. A process stops its executors Margin before that, and the
	// reaper waits Margin longer.
	WorkerTTL time.Duration
	// Margin covers what clocks and networks may be off by. Default WorkerTTL/6.
	Margin time.Duration
	// OwnershipEvery is how often the rows this process holds are compared with
	// what it runs. Default 5 s.
	OwnershipEvery time.Duration
	// Patience is how long a caller who asks for something waits for a backend that
	// does not answer before it is told so. Default 2 s.
	Patience time.Duration
	// TurnTimeout bounds one turn. Default 5 s.
	TurnTimeout time.Duration
	// InboxLimit bounds the requests waiting for a pool's next turns, results not
	// counted. Default 20,000.
	InboxLimit int
	// InboxBytes bounds the payloads of those. Default 256 MiB.
	InboxBytes int

	// TurnsKept is how many of a pool's turn rows are kept. Default 10,000.
	TurnsKept int

	// Retention is how long what is over is kept.
	Retention Retention

	// clock stands in for time.Now in this package's tests. What it reads is told to no
	// backend and compared with nothing that one wrote: it measures how long something takes.
	clock func() time.Time
	// decide stands in for plan.Turn in this package's tests.
	decide func(plan.Snapshot, *plan.Requests) plan.Decisions
}

// Retention is how long what is over is kept, by the backend's clock. Zero: for ever.
type Retention struct {
	Audit        time.Duration // events, by whole days (UTC)
	Tasks        time.Duration // rows of tasks after their end
	Unread       time.Duration // messages that nobody acknowledged
	Acknowledged time.Duration // messages after that
}

// Defaults of Options.
const (
	defaultSafetyPoll     = time.Second
	defaultHeartbeatEvery = 2 * time.Second
	defaultWorkerTTL      = 6 * time.Second
	defaultOwnershipEvery = 5 * time.Second
	defaultPatience       = 2 * time.Second
	defaultTurnTimeout    = 5 * time.Second
	defaultInboxLimit     = 20_000
	defaultInboxBytes     = 256 << 20
	defaultTurnsKept      = 10_000
)

// complete fills in defaults and returns every fault at once.
func (o *Options) complete() error {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = noMetrics{}
	}
	if o.Feed == nil {
		o.Feed = noFeed{}
	}
	if o.clock == nil {
		o.clock = time.Now
	}
	if o.decide == nil {
		o.decide = plan.Turn
	}
	if o.Worker.ID == "" {
		o.Worker.ID = domain.WorkerID(uuid.NewString())
	}
	if o.Reborn == nil {
		o.Reborn = func(_ context.Context, _ domain.Backend, old store.Worker) store.Worker {
			old.ID = domain.WorkerID(uuid.NewString())
			return old
		}
	}
	if o.Runs == nil {
		o.Runs = func(domain.PoolID, []string) bool { return true }
	}
	if o.Outdated == nil {
		o.Outdated = func(error) {}
	}
	setDefault(&o.SafetyPoll, defaultSafetyPoll)
	setDefault(&o.HeartbeatEvery, defaultHeartbeatEvery)
	setDefault(&o.WorkerTTL, defaultWorkerTTL)
	setDefault(&o.Margin, o.WorkerTTL/6)
	setDefault(&o.OwnershipEvery, defaultOwnershipEvery)
	setDefault(&o.Patience, defaultPatience)
	setDefault(&o.TurnTimeout, defaultTurnTimeout)
	setDefault(&o.InboxLimit, defaultInboxLimit)
	setDefault(&o.InboxBytes, defaultInboxBytes)
	setDefault(&o.TurnsKept, defaultTurnsKept)

	var faults []error
	if o.WorkerTTL < 2*o.HeartbeatEvery {
		faults = append(faults, fmt.Errorf("worker TTL %s must be at least twice the heartbeat interval %s", o.WorkerTTL, o.HeartbeatEvery))
	}
	if o.Margin < 0 || o.Margin > o.WorkerTTL/2 {
		faults = append(faults, fmt.Errorf("margin %s must be between 0 and half the worker TTL %s", o.Margin, o.WorkerTTL))
	}
	seen := make(map[domain.PoolID]bool, len(o.Pools))
	for _, p := range o.Pools {
		if seen[p.ID] {
			faults = append(faults, fmt.Errorf("pool %q is named twice", p.ID))
		}
		seen[p.ID] = true
		if o.Stores[p.Backend] == nil {
			faults = append(faults, fmt.Errorf("pool %q: backend %q is not open", p.ID, p.Backend))
		}
	}
	return errors.Join(faults...)
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}
