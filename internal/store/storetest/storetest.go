// Package storetest is the conformance suite of store.Store: what package store
// promises, proven for each dialect, one file a noun. A dialect passes it with
//
//	func TestConformance(t *testing.T) {
//		t.Parallel()
//		storetest.Run(t, func(t *testing.T) (store.Store, *storetest.Clock) {
//			clock := storetest.NewClock()
//			s, err := sqlite.Open(t.Context(), sqlite.Options{Now: clock.Now})
//			require.NoError(t, err)
//			t.Cleanup(func() { require.NoError(t, s.Close()) })
//			return s, clock
//		})
//	}
//
// Where dialects differ by nature the difference is a Trait that the dialect
// declares and the suite proves; nothing is skipped. Model is the reference that
// the randomized differential test compares them with.
//
// The suite says nothing about a dialect's own affairs: files, connections,
// sessions, River. Those tests are beside the dialect.
package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Open returns an empty store of the test's own, and the clock that it reads.
// It closes the store when the test ends.
type Open func(t *testing.T) (store.Store, *Clock)

// Trait is a difference between dialects that is there by nature.
type Trait string

// The traits.
const (
	// Fleet: other processes may have the same backend open, so the store is a
	// store.Waker as well.
	Fleet Trait = "fleet"
	// ParallelPools: turns of different pools take place at the same time.
	ParallelPools Trait = "parallel pools"
)

// Run proves what package store promises of the stores that open returns.
func Run(t *testing.T, open Open, traits ...Trait) {
	t.Helper()
	t.Run("Traits", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		_, waker := s.(store.Waker)
		require.Equal(t, slices.Contains(traits, Fleet), waker, "a store.Waker is what declares the trait Fleet")
	})
	for _, noun := range []struct {
		name  string
		tests map[string]func(*testing.T, *bundle)
	}{
		{"Turns", turnTests},
		{"Snapshot", snapshotTests},
		{"Data", dataTests},
		{"Pools", poolTests},
		{"Tasks", taskTests},
		{"Audit", auditTests},
		{"Mailbox", mailboxTests},
		{"Acknowledge", acknowledgeTests},
		{"Sweeps", sweepTests},
		{"Workers", workerTests},
		{"Leases", leaseTests},
		{"Concurrency", concurrencyTests},
	} {
		t.Run(noun.name, func(t *testing.T) {
			t.Parallel()
			for name, test := range noun.tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, setup(t, open, traits))
				})
			}
		})
	}
}

// bundle is a store under test with what a test needs around it.
type bundle struct {
	store.Store
	clock  *Clock
	traits []Trait
	turns  int // taken, to name them
}

func setup(t *testing.T, open Open, traits []Trait) *bundle {
	t.Helper()
	s, clock := open(t)
	require.NoError(t, s.EnsureAudit(t.Context(), clock.Now()))
	return &bundle{Store: s, clock: clock, traits: traits}
}

// me is the worker that takes the suite's turns.
const me = domain.WorkerID("host-1-a")

// poolOf returns a pool of ten units that keeps everything in the backend under test.
func poolOf(backend domain.Backend, id domain.PoolID) domain.Pool {
	return domain.Pool{
		PoolID: id, Name: "Pool " + string(id), State: domain.PoolActive, MaxUnits: 10, MaxQueueDepth: 100_000,
		DefaultTimeout: time.Minute, QueueBackend: backend, MailboxBackend: backend, Runtime: domain.RuntimeNative,
		Policy: domain.PolicyPriority, ResourceKind: domain.KindCPU, MaxOvertakes: 16, MaxAttempts: 1,
		RetryBackoff: domain.Backoff{Base: time.Second, Max: time.Minute},
	}
}

// pool creates a pool, changed by with.
func (b *bundle) pool(t *testing.T, id domain.PoolID, with ...func(*domain.Pool)) domain.Pool {
	t.Helper()
	p := poolOf(b.Backend(), id)
	for _, change := range with {
		change(&p)
	}
	stored, err := b.CreatePool(t.Context(), p, b.clock.Now())
	require.NoError(t, err)
	return stored
}

// try takes one turn with plan.Turn.
func (b *bundle) try(ctx context.Context, pool domain.PoolID, rq plan.Requests) (plan.Decisions, error) {
	return b.decide(ctx, pool, rq, plan.Turn)
}

// decide takes one turn with a function of the test's own.
func (b *bundle) decide(ctx context.Context, pool domain.PoolID, rq plan.Requests,
	decide func(plan.Snapshot, *plan.Requests) plan.Decisions,
) (plan.Decisions, error) {
	if rq.TurnID == "" {
		b.turns++
		rq.TurnID = fmt.Sprintf("turn-%d", b.turns)
	}
	if rq.Worker == "" {
		rq.Worker = me
	}
	return b.Turn(ctx, store.TurnSpec{Pool: pool, Gather: func() *plan.Requests { return &rq }, Decide: decide})
}

// turn takes one turn that must succeed.
func (b *bundle) turn(t *testing.T, pool domain.PoolID, rq plan.Requests) plan.Decisions {
	t.Helper()
	d, err := b.try(t.Context(), pool, rq)
	require.NoError(t, err)
	return d
}

// submit submits and requires that nobody is refused.
func (b *bundle) submit(t *testing.T, pool domain.PoolID, tasks ...plan.Submit) plan.Decisions {
	t.Helper()
	d := b.turn(t, pool, plan.Requests{Submits: tasks})
	for _, a := range d.Answers.Submits {
		require.Nil(t, a.Err)
	}
	return d
}

// park queues tasks although there may be room: what a draining process does. Free
// units are what makes a store read the queue.
func (b *bundle) park(t *testing.T, pool domain.PoolID, tasks ...plan.Submit) {
	t.Helper()
	d := b.turn(t, pool, plan.Requests{Submits: tasks, NoStart: true})
	for _, a := range d.Answers.Submits {
		require.Nil(t, a.Err)
		require.Equal(t, domain.StatusQueued, a.Task.Status)
	}
}

// complete settles running tasks of a turn as completed.
func (b *bundle) complete(t *testing.T, pool domain.PoolID, tasks ...domain.Task) plan.Decisions {
	t.Helper()
	var rq plan.Requests
	for i := range tasks {
		rq.Settles = append(rq.Settles, plan.Settle{
			Ref: tasks[i].Ref(), Units: tasks[i].Units, Verdict: plan.VerdictCompleted, Result: []byte(`{"ok":true}`),
		})
	}
	return b.turn(t, pool, rq)
}

// look reads the snapshot that requests would be decided on, and changes nothing.
func (b *bundle) look(t *testing.T, pool domain.PoolID, rq plan.Requests) plan.Snapshot {
	t.Helper()
	var seen plan.Snapshot
	_, err := b.decide(t.Context(), pool, rq, func(s plan.Snapshot, _ *plan.Requests) plan.Decisions {
		seen = s
		return plan.Decisions{Idle: true}
	})
	require.NoError(t, err)
	return seen
}

// state is everything a reader can see of a pool, to prove that nothing changed.
type state struct {
	Pool     store.PoolView
	Tenants  []domain.TenantUsage
	Tasks    []domain.Task
	Events   []domain.Event
	Messages []domain.Message
	Outbox   []domain.Message
}

func (b *bundle) state(t *testing.T, pool domain.PoolID) state {
	t.Helper()
	ctx := t.Context()
	var s state
	var err error
	s.Pool, err = b.Pool(ctx, pool)
	require.NoError(t, err)
	s.Tenants, err = b.TenantUsages(ctx, pool)
	require.NoError(t, err)
	s.Tasks, err = b.ListTasks(ctx, store.TaskFilter{Pool: pool, Limit: 1000})
	require.NoError(t, err)
	s.Events, err = b.Events(ctx, store.EventFilter{Pool: pool, Limit: 10_000})
	require.NoError(t, err)
	for _, u := range append(s.Tenants, domain.TenantUsage{Tenant: "acme"}) {
		m, err := b.Messages(ctx, store.MailboxFilter{Tenant: u.Tenant, AllUsers: true, Limit: 500})
		require.NoError(t, err)
		s.Messages = append(s.Messages, m...)
	}
	s.Outbox, err = b.Outbox(ctx, 1000)
	require.NoError(t, err)
	return s
}

// agrees requires that counters equal rows.
func (b *bundle) agrees(t *testing.T, pool domain.PoolID) {
	t.Helper()
	diffs, err := b.Reconcile(t.Context(), pool)
	require.NoError(t, err)
	require.Empty(t, diffs)
}

// task returns a submission of one unit by tenant acme, changed by with.
func task(id domain.TaskID, with ...func(*plan.Submit)) plan.Submit {
	hash := sha256.Sum256([]byte(id))
	s := plan.Submit{
		TaskID: id, BodyHash: hash[:], Tenant: "acme", Priority: domain.PriorityNormal, Units: 1, Executor: "default",
		Payload: []byte(`{"task":"` + string(id) + `"}`),
	}
	for _, change := range with {
		change(&s)
	}
	return s
}

func units(n domain.Units) func(*plan.Submit)        { return func(s *plan.Submit) { s.Units = n } }
func tenant(name domain.Tenant) func(*plan.Submit)   { return func(s *plan.Submit) { s.Tenant = name } }
func class(p domain.Priority) func(*plan.Submit)     { return func(s *plan.Submit) { s.Priority = p } }
func deadline(at time.Time) func(*plan.Submit)       { return func(s *plan.Submit) { s.Deadline = &at } }
func labels(l map[string]string) func(*plan.Submit)  { return func(s *plan.Submit) { s.Labels = l } }
func mailbox(k domain.MailboxKey) func(*plan.Submit) { return func(s *plan.Submit) { s.Mailbox = &k } }
func payload(json []byte) func(*plan.Submit)         { return func(s *plan.Submit) { s.Payload = json } }

// ids returns the task ids of a list, in its order.
func ids(tasks []domain.Task) []domain.TaskID {
	list := make([]domain.TaskID, len(tasks))
	for i := range tasks {
		list[i] = tasks[i].TaskID
	}
	return list
}

// many returns n submissions prefix-0000, prefix-0001, …
func many(prefix string, n int, with ...func(*plan.Submit)) []plan.Submit {
	list := make([]plan.Submit, n)
	for i := range list {
		list[i] = task(domain.TaskID(fmt.Sprintf("%s-%04d", prefix, i)), with...)
	}
	return list
}
