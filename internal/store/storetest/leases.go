package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

var leaseTests = map[string]func(*testing.T, *bundle){
	"granted by a turn":         testLeaseGranted,
	"extended":                  testLeaseExtended,
	"extended to the timeout":   testLeaseTimeout,
	"asked to end":              testLeaseAsked,
	"ended with the attempt":    testLeaseEnded,
	"expired":                   testLeaseExpired,
	"lost only when expired":    testLeaseLost,
	"of nobody is an orphan":    testLeaseOrphans,
	"listed":                    testLeaseListed,
	"seen by who names its job": testLeaseSnapshot,
	"refused":                   testLeaseRefused,
}

func web(p *domain.Pool) { p.Runtime = domain.RuntimeWeb }

func lessee(worker string, tasks int, ttl time.Duration) plan.Lessee {
	return plan.Lessee{Worker: worker, Tasks: tasks, TTL: ttl, Secret: []byte("of " + worker)}
}

// leased submits tasks to a new web pool and leases all of them to worker w.
func (b *bundle) leased(t *testing.T, pool domain.PoolID, ttl time.Duration, tasks ...plan.Submit) []domain.Lease {
	t.Helper()
	d := b.turn(t, pool, plan.Requests{Submits: tasks, Lessees: []plan.Lessee{lessee("w", len(tasks), ttl)}})
	require.Len(t, d.Answers.Lessees[0].Leases, len(tasks))
	return d.Answers.Lessees[0].Leases
}

func (b *bundle) extend(t *testing.T, ids ...domain.LeaseID) []domain.Lease {
	t.Helper()
	leases, err := b.ExtendLeases(t.Context(), ids, b.clock.Now())
	require.NoError(t, err)
	return leases
}

func (b *bundle) expired(t *testing.T) []domain.Lease {
	t.Helper()
	leases, err := b.ExpiredLeases(t.Context(), domain.Lease{}, b.clock.Now(), 1000)
	require.NoError(t, err)
	return leases
}

func (b *bundle) leases(t *testing.T, pool domain.PoolID) []domain.Lease {
	t.Helper()
	leases, err := b.ListLeases(t.Context(), store.LeaseFilter{Pool: pool, Limit: 1000})
	require.NoError(t, err)
	return leases
}

func testLeaseGranted(t *testing.T, b *bundle) {
	b.pool(t, "p", web)
	b.submit(t, "p", many("t", 5, units(3))...)
	view, err := b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.EqualValues(t, 5, view.Queued, "nobody asked for them")

	d := b.turn(t, "p", plan.Requests{Lessees: []plan.Lessee{lessee("w1", 2, time.Second), lessee("w2", 2, time.Second)}})
	require.Equal(t, []domain.TaskID{"t-0000", "t-0001", "t-0002"}, ids(d.Started), "three of three units fit into ten")
	require.Len(t, d.Answers.Lessees[0].Leases, 2)
	require.Len(t, d.Answers.Lessees[1].Leases, 1)
	want := domain.Lease{
		ID: d.Leased[0].ID, Ref: domain.Ref{PoolID: "p", JobID: 1, Attempt: 1}, Worker: "w1", TTL: time.Second,
		GrantedAt: d.Now, ExpiresAt: d.Now.Add(time.Second), TimeoutAt: d.Now.Add(time.Minute),
	}
	require.Equal(t, want, b.leases(t, "p")[0])
	require.Equal(t, d.Leased, b.leases(t, "p"))
	task, err := b.Task(t.Context(), "p", "t-0002")
	require.NoError(t, err)
	require.Equal(t, domain.LeaseHolder("w2"), task.Holder)
	b.agrees(t, "p")
}

func testLeaseExtended(t *testing.T, b *bundle) {
	b.pool(t, "p", web)
	b.pool(t, "q", web)
	ls := append(b.leased(t, "p", 6*time.Second, many("t", 3)...), b.leased(t, "q", 4*time.Second, task("x"))...)
	now := b.clock.Advance(2 * time.Second)
	forged := domain.NewLeaseID(ls[1].Ref, "guessed")
	got := b.extend(t, ls[3].ID, forged, ls[2].ID, "nonsense", ls[0].ID, ls[0].ID, domain.NewLeaseID(domain.Ref{PoolID: "r", JobID: 1, Attempt: 1}, "x"))
	want := []domain.Lease{ls[0], ls[2], ls[3]}
	want[0].ExpiresAt, want[1].ExpiresAt, want[2].ExpiresAt = now.Add(6*time.Second), now.Add(6*time.Second), now.Add(4*time.Second)
	require.Equal(t, want, got)
	require.Equal(t, ls[1], b.leases(t, "p")[1], "who guessed extended nothing")
	require.Empty(t, b.extend(t))

	b.clock.Advance(time.Hour)
	got, err := b.ExtendLeases(t.Context(), []domain.LeaseID{ls[0].ID}, time.Time{})
	require.NoError(t, err)
	require.Len(t, got, 1, "the backend's clock")
}

func testLeaseTimeout(t *testing.T, b *bundle) {
	b.pool(t, "p", web, func(p *domain.Pool) { p.DefaultTimeout = 5 * time.Second })
	l := b.leased(t, "p", 4*time.Second, task("a"))[0]
	require.Equal(t, l.GrantedAt.Add(4*time.Second), l.ExpiresAt)
	b.clock.Advance(3 * time.Second)
	require.Equal(t, l.TimeoutAt, b.extend(t, l.ID)[0].ExpiresAt, "five seconds, not seven")
	require.Empty(t, b.expired(t))
	b.clock.Advance(2 * time.Second)
	require.Equal(t, l.TimeoutAt, b.extend(t, l.ID)[0].ExpiresAt, "a heartbeat does not stop the timeout")
	late := b.expired(t)
	require.Len(t, late, 1)
	d := b.turn(t, "p", plan.Requests{Losts: []plan.Lost{{Ref: l.Ref, Holder: domain.LeaseHolder("w")}}})
	require.Equal(t, domain.StatusExpired, d.Answers.Losts[0].Task.Status)
	require.Equal(t, domain.ReasonTimeout, d.Answers.Losts[0].Task.Reason.Code)
	require.Empty(t, b.leases(t, "p"))
	b.agrees(t, "p")
}

func testLeaseAsked(t *testing.T, b *bundle) {
	b.pool(t, "p", web, func(p *domain.Pool) { p.MaxAttempts = 3 })
	ls := b.leased(t, "p", 4*time.Second, many("t", 2)...)
	asked := b.clock.Advance(2 * time.Second)
	b.turn(t, "p", plan.Requests{Cancels: []plan.Cancel{{TaskID: "t-0000"}}})
	got := b.leases(t, "p")
	require.Equal(t, asked, *got[0].CancelAsked)
	require.Equal(t, ls[0].ExpiresAt, got[0].ExpiresAt, "it was shorter anyway")
	require.Equal(t, ls[1], got[1])

	b.clock.Advance(3 * time.Second)
	got = b.extend(t, ls[0].ID, ls[1].ID)
	require.Equal(t, asked.Add(4*time.Second), got[0].ExpiresAt, "one TTL to stop")
	require.Equal(t, b.clock.Now().Add(4*time.Second), got[1].ExpiresAt)
	b.clock.Advance(time.Second)
	d := b.turn(t, "p", plan.Requests{Losts: []plan.Lost{{Ref: ls[0].Ref, Holder: domain.LeaseHolder("w")}}})
	require.Equal(t, domain.StatusFailed, d.Answers.Losts[0].Task.Status)
	require.Equal(t, domain.ReasonCancelled, d.Answers.Losts[0].Task.Reason.Code)
	b.agrees(t, "p")
}

func testLeaseEnded(t *testing.T, b *bundle) {
	b.pool(t, "p", web, func(p *domain.Pool) { p.MaxAttempts, p.RetryBackoff = 5, domain.Backoff{} })
	ls := b.leased(t, "p", time.Second, many("t", 5)...)
	b.turn(t, "p", plan.Requests{
		Settles: []plan.Settle{
			{Ref: ls[0].Ref, Lease: ls[0].ID, Verdict: plan.VerdictCompleted, Result: []byte(`1`)},
			{Ref: ls[1].Ref, Lease: ls[1].ID, Verdict: plan.VerdictFailed, Retryable: true},
			{Ref: ls[2].Ref, Lease: ls[2].ID, Verdict: plan.VerdictHandBack},
		},
		Forces: []plan.Force{{TaskID: "t-0003", Status: domain.StatusFailed}},
	})
	require.Equal(t, ls[4:], b.leases(t, "p"))
	require.Empty(t, b.extend(t, ls[0].ID, ls[1].ID, ls[2].ID, ls[3].ID))

	// One that failed and starts again in the same turn goes from lease to lease.
	d := b.turn(t, "p", plan.Requests{
		Settles: []plan.Settle{{Ref: ls[4].Ref, Lease: ls[4].ID, Verdict: plan.VerdictFailed, Retryable: true}},
		Lessees: []plan.Lessee{lessee("v", 9, time.Second)},
	})
	require.Len(t, d.Leased, 3)
	require.Equal(t, d.Leased, sortedByStart(d.Leased, b.leases(t, "p")))
	require.Empty(t, b.extend(t, ls[4].ID))

	again := b.turn(t, "p", plan.Requests{Settles: []plan.Settle{{Ref: ls[0].Ref, Lease: ls[0].ID, Verdict: plan.VerdictCompleted}}})
	require.True(t, again.Answers.Settles[0].Known)
	late := b.turn(t, "p", plan.Requests{Settles: []plan.Settle{{Ref: ls[4].Ref, Lease: ls[4].ID, Verdict: plan.VerdictCompleted}}})
	require.Equal(t, domain.CodeConflict, late.Answers.Settles[0].Err.Code)
	require.Equal(t, domain.EventRefused, late.Events[0].Kind)
	b.agrees(t, "p")
}

// sortedByStart brings leases into the order of those that started.
func sortedByStart(started, leases []domain.Lease) []domain.Lease {
	var sorted []domain.Lease
	for _, s := range started {
		for _, l := range leases {
			if l.ID == s.ID {
				sorted = append(sorted, l)
			}
		}
	}
	return sorted
}

func testLeaseExpired(t *testing.T, b *bundle) {
	b.pool(t, "p", web)
	b.pool(t, "q", web)
	long := b.leased(t, "p", 3*time.Second, task("long"))[0]
	short := b.leased(t, "q", time.Second, many("s", 2)...)
	more := b.leased(t, "p", time.Second, task("more"))[0]
	b.clock.Advance(time.Second - time.Microsecond)
	require.Empty(t, b.expired(t))
	b.clock.Advance(time.Microsecond)
	require.Equal(t, []domain.Lease{more, short[0], short[1]}, b.expired(t))
	b.clock.Advance(2 * time.Second)
	require.Equal(t, []domain.Lease{more, short[0], short[1], long}, b.expired(t), "by expiry, pool and job")
	var paged []domain.Lease
	var after domain.Lease
	for range 4 {
		page, err := b.ExpiredLeases(t.Context(), after, b.clock.Now(), 1)
		require.NoError(t, err)
		require.Len(t, page, 1)
		paged, after = append(paged, page...), page[0]
	}
	require.Equal(t, b.expired(t), paged)
	end, err := b.ExpiredLeases(t.Context(), after, b.clock.Now(), 1)
	require.NoError(t, err)
	require.Empty(t, end)
	b.extend(t, short[1].ID)
	require.Equal(t, []domain.Lease{more, short[0], long}, b.expired(t))
}

func testLeaseLost(t *testing.T, b *bundle) {
	b.pool(t, "p", web)
	ls := b.leased(t, "p", 2*time.Second, many("t", 2)...)
	lose := func() []plan.Answer {
		return b.turn(t, "p", plan.Requests{Losts: []plan.Lost{
			{Ref: ls[0].Ref, Holder: domain.LeaseHolder("w")}, {Ref: ls[1].Ref, Holder: domain.LeaseHolder("w")},
		}}).Answers.Losts
	}
	b.clock.Advance(time.Second)
	for _, a := range lose() {
		require.Equal(t, domain.CodeConflict, a.Err.Code)
	}
	b.clock.Advance(time.Second)
	b.extend(t, ls[1].ID)
	answers := lose()
	require.Nil(t, answers[0].Err)
	require.Equal(t, domain.ReasonWorkerLost, answers[0].Task.Reason.Code)
	require.Equal(t, domain.CodeConflict, answers[1].Err.Code, "the heartbeat came first")
	require.Len(t, b.leases(t, "p"), 1)
	b.agrees(t, "p")
}

func testLeaseOrphans(t *testing.T, b *bundle) {
	b.pool(t, "p", web)
	b.leased(t, "p", time.Second, task("a"))
	b.clock.Advance(time.Hour)
	orphans, err := b.Orphans(t.Context(), "p", 0, 10)
	require.NoError(t, err)
	require.Empty(t, orphans, "expired or not, the lease is there")

	// Without its row nobody holds the task, and it can be lost.
	_, err = b.decide(t.Context(), "p", plan.Requests{Submits: []plan.Submit{task("b")}}, tamper(func(d *plan.Decisions) {
		d.Unleased = append(d.Unleased, 1)
	}))
	require.NoError(t, err)
	orphans, err = b.Orphans(t.Context(), "p", 0, 10)
	require.NoError(t, err)
	require.Equal(t, []domain.TaskID{"a"}, ids(orphans))
	d := b.turn(t, "p", plan.Requests{Losts: []plan.Lost{{Ref: orphans[0].Ref(), Holder: orphans[0].Holder}}})
	require.Nil(t, d.Answers.Losts[0].Err)
	b.agrees(t, "p")
}

func testLeaseListed(t *testing.T, b *bundle) {
	b.pool(t, "p", web)
	b.pool(t, "q", web)
	b.leased(t, "q", time.Second, task("x"))
	d := b.turn(t, "p", plan.Requests{
		Submits: many("t", 4), Lessees: []plan.Lessee{lessee("w1", 2, time.Second), lessee("w2", 2, time.Second)},
	})
	for name, c := range map[string]struct {
		filter store.LeaseFilter
		want   []domain.Lease
	}{
		"all":    {store.LeaseFilter{Pool: "p", Limit: 10}, d.Leased},
		"few":    {store.LeaseFilter{Pool: "p", Limit: 3}, d.Leased[:3]},
		"after":  {store.LeaseFilter{Pool: "p", After: 1, Limit: 2}, d.Leased[1:3]},
		"worker": {store.LeaseFilter{Pool: "p", Worker: "w2", Limit: 10}, d.Leased[2:]},
		"nobody": {store.LeaseFilter{Pool: "p", Worker: "w3", Limit: 10}, []domain.Lease{}},
		"pool":   {store.LeaseFilter{Pool: "r", Limit: 10}, []domain.Lease{}},
	} {
		got, err := b.ListLeases(t.Context(), c.filter)
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
}

func testLeaseSnapshot(t *testing.T, b *bundle) {
	b.pool(t, "p", web, func(p *domain.Pool) { p.MaxUnits, p.MaxOvertakes = 100, 0 })
	ls := b.leased(t, "p", time.Second, many("t", 4)...)
	b.submit(t, "p", many("q", 200)...)
	snap := b.look(t, "p", plan.Requests{
		Settles: []plan.Settle{{Ref: ls[0].Ref, Lease: ls[0].ID}, {Ref: ls[1].Ref}},
		Losts:   []plan.Lost{{Ref: ls[2].Ref, Holder: domain.LeaseHolder("w")}, {Ref: ls[3].Ref, Holder: "some process"}},
	})
	require.Equal(t, map[domain.JobID]domain.Lease{1: ls[0], 3: ls[2]}, snap.Leases, "who settles without one is no remote worker")
	require.Len(t, snap.Held, 4)

	snap = b.look(t, "p", plan.Requests{Lessees: []plan.Lessee{lessee("w", 3, time.Second), lessee("w", 2, time.Second)}})
	require.GreaterOrEqual(t, len(snap.Candidates), 5)
	d := b.turn(t, "p", plan.Requests{Lessees: []plan.Lessee{lessee("w", 90, time.Second)}})
	require.Len(t, d.Started, 90)
	require.Equal(t, domain.TaskID("q-0089"), d.Started[89].TaskID)
	b.agrees(t, "p")
}

func testLeaseRefused(t *testing.T, b *bundle) {
	b.pool(t, "p", web)
	before := b.state(t, "p")
	for name, wrong := range map[string]func(*domain.Lease){
		"NUL in the worker":  func(l *domain.Lease) { l.Worker = "a\x00" },
		"no TTL":             func(l *domain.Lease) { l.TTL = 0 },
		"beyond its timeout": func(l *domain.Lease) { l.ExpiresAt = l.TimeoutAt.Add(time.Second) },
	} {
		_, err := b.decide(t.Context(), "p", plan.Requests{
			Submits: []plan.Submit{task("a")}, Lessees: []plan.Lessee{lessee("w", 1, time.Second)},
		}, tamper(func(d *plan.Decisions) { wrong(&d.Leased[0]) }))
		require.ErrorIs(t, err, store.ErrData, name)
		require.Equal(t, before, b.state(t, "p"), name)
		require.Empty(t, b.leases(t, "p"))
	}
	b.leased(t, "p", time.Second, task("a"))
}
