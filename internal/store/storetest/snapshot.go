package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

var snapshotTests = map[string]func(*testing.T, *bundle){
	"known is the newest row":     testSnapshotKnown,
	"held is what is named":       testSnapshotHeld,
	"candidates in order":         testSnapshotOrder,
	"candidates are cut by lane":  testSnapshotCut,
	"candidates that matter":      testSnapshotPlausible,
	"due, rested and the next":    testSnapshotTimers,
	"due is cut":                  testSnapshotDueCut,
	"tenants":                     testSnapshotTenants,
	"pool and counters":           testSnapshotPool,
	"big sets of ids":             testSnapshotManyIDs,
	"rows do not carry the heavy": testSnapshotLight,
}

func testSnapshotKnown(t *testing.T, b *bundle) {
	b.pool(t, "p", func(p *domain.Pool) { p.MaxUnits = 1; p.MaxQueueDepth = 0 })
	b.pool(t, "q")
	b.submit(t, "p", task("runs"))
	for range 3 { // rejected each time: the queue takes nobody
		d := b.turn(t, "p", plan.Requests{Submits: []plan.Submit{task("again")}})
		require.NotNil(t, d.Answers.Submits[0].Err)
	}
	b.submit(t, "q", task("elsewhere"))

	s := b.look(t, "p", plan.Requests{
		Submits: []plan.Submit{task("again"), task("new"), task("again")},
		Cancels: []plan.Cancel{{TaskID: "runs"}, {TaskID: "elsewhere"}},
		Forces:  []plan.Force{{TaskID: "nothing"}},
	})
	require.Len(t, s.Known, 2)
	require.Equal(t, 3, s.Known["again"].Submission)
	require.Equal(t, domain.StatusRejected, s.Known["again"].Status)
	require.Equal(t, task("again").BodyHash, s.Known["again"].BodyHash)
	require.Equal(t, domain.StatusRunning, s.Known["runs"].Status)
	require.Empty(t, s.Held)
}

func testSnapshotHeld(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.pool(t, "q")
	d := b.submit(t, "p", task("a"), task("b"), task("c"), task("waits", units(9)))
	b.submit(t, "q", task("x"), task("y"), task("z"))
	s := b.look(t, "p", plan.Requests{
		Settles: []plan.Settle{{Ref: d.Started[0].Ref()}, {Ref: domain.Ref{PoolID: "p", JobID: 4, Attempt: 7}}, {Ref: domain.Ref{PoolID: "p", JobID: 99}}},
		Losts:   []plan.Lost{{Ref: d.Started[2].Ref()}, {Ref: d.Started[0].Ref()}},
	})
	require.Len(t, s.Held, 3)
	require.Equal(t, domain.TaskID("a"), s.Held[1].TaskID)
	require.Equal(t, me, s.Held[1].Holder)
	require.Equal(t, domain.TaskID("c"), s.Held[3].TaskID)
	require.Equal(t, domain.StatusQueued, s.Held[4].Status)
	require.Empty(t, s.Known)
}

// capLanes gives two tenants lanes of their own.
func capLanes(p *domain.Pool) {
	p.Tenants = map[domain.Tenant]domain.TenantPolicy{"cap1": {MaxUnits: 1}, "cap2": {MaxUnits: 1, MaxQueueDepth: 5000}}
}

func testSnapshotOrder(t *testing.T, b *bundle) {
	b.pool(t, "p", capLanes)
	b.pool(t, "other")
	b.park(t, "other", many("o", 20)...)
	b.park(t, "p",
		task("n1"), task("n2"), task("low", class(domain.PriorityLow)),
		task("c1", tenant("cap1")), task("c2", tenant("cap2"), class(domain.PriorityHigh)), task("n3"),
		task("top", class(domain.PriorityCritical)), task("c3", tenant("cap1"), class(domain.PriorityCritical)),
		task("high", class(domain.PriorityHigh)))
	s := b.look(t, "p", plan.Requests{})
	require.Equal(t, []domain.TaskID{"top", "c3", "c2", "high", "n1", "n2", "c1", "n3", "low"}, ids(s.Candidates))
	require.False(t, s.CandidatesCut)
	require.Equal(t, "cap1", s.Candidates[1].Lane)
}

func testSnapshotCut(t *testing.T, b *bundle) {
	b.pool(t, "p", capLanes, func(p *domain.Pool) { p.MaxUnits = 10_000 }) // all that is queued could start
	const limit = plan.CandidateLimit
	b.park(t, "p", many("a", limit, tenant("cap1"))...)
	b.park(t, "p", many("b", limit)...)
	s := b.look(t, "p", plan.Requests{})
	require.Len(t, s.Candidates, 2*limit)
	require.False(t, s.CandidatesCut)

	b.park(t, "p", many("c", 3, tenant("cap1"))...)
	b.park(t, "p", many("d", 2, tenant("cap2"))...)
	s = b.look(t, "p", plan.Requests{})
	require.True(t, s.CandidatesCut)
	require.Len(t, s.Candidates, 2*limit+2, "the backlog of one lane hides nobody else")
	require.Equal(t, domain.TaskID("a-0000"), s.Candidates[0].TaskID)
	require.Equal(t, []domain.TaskID{"d-0000", "d-0001"}, ids(s.Candidates[2*limit:]))
	for _, c := range s.Candidates {
		require.NotContains(t, c.TaskID, "c-")
	}
}

// testSnapshotPlausible: a store may read less of the queue than there is, never less
// than the free units could take, and it says so.
func testSnapshotPlausible(t *testing.T, b *bundle) {
	b.pool(t, "p", func(p *domain.Pool) { p.MaxUnits = 100 })
	d := b.submit(t, "p", many("r", 80)...)
	b.park(t, "p", many("q", 200)...)
	for name, c := range map[string]struct {
		rq   plan.Requests
		free int
	}{
		"free units":          {plan.Requests{}, 20},
		"and what is settled": {plan.Requests{Settles: []plan.Settle{{Ref: d.Started[0].Ref(), Units: 1}, {Ref: d.Started[1].Ref(), Units: 1}}}, 22},
	} {
		s := b.look(t, "p", c.rq)
		require.GreaterOrEqual(t, len(s.Candidates), c.free, name)
		require.Equal(t, len(s.Candidates) < 200, s.CandidatesCut, name)
		for i := range s.Candidates {
			require.Equal(t, domain.JobID(81+i), s.Candidates[i].JobID, name)
		}
		if s.CandidatesCut && s.LaneLimit > 0 {
			require.Len(t, s.Candidates, s.LaneLimit, name)
		}
	}
	// Whatever was read of it, turns that are asked for again start all that fits.
	for b.turn(t, "p", plan.Requests{}).Again {
	}
	view, err := b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, domain.Units(100), view.ActiveUnits)
	larger := domain.Units(150)
	for rq := (plan.Requests{Changes: []plan.PoolChange{{MaxUnits: &larger}}}); b.turn(t, "p", rq).Again; rq = (plan.Requests{}) {
	}
	view, err = b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, larger, view.ActiveUnits)
	b.agrees(t, "p")
}

func testSnapshotTimers(t *testing.T, b *bundle) {
	b.pool(t, "p", func(p *domain.Pool) { p.MaxAttempts = 3 })
	now := b.clock.Now()
	d := b.submit(t, "p", task("retries", units(2)), task("full", units(8)))
	at := func(s int) func(*plan.Submit) { return deadline(now.Add(time.Duration(s) * time.Second)) }
	b.submit(t, "p", task("late", at(50)), task("soon", at(30)), task("never"), task("next", at(40)), task("also", at(30)))
	require.Equal(t, now.Add(30*time.Second), *b.look(t, "p", plan.Requests{}).NextDueAt)

	retried := b.turn(t, "p", plan.Requests{Settles: []plan.Settle{{Ref: d.Started[0].Ref(), Verdict: plan.VerdictFailed, Retryable: true}}, NoStart: true})
	rests := retried.Answers.Settles[0].Task.NotBefore
	require.NotNil(t, rests)

	s := b.look(t, "p", plan.Requests{})
	require.Empty(t, s.Due)
	require.Empty(t, s.Rested)
	require.Equal(t, *rests, *s.NextDueAt)
	require.NotContains(t, ids(s.Candidates), domain.TaskID("retries"), "a backoff is outside the order")

	b.clock.Advance(30 * time.Second)
	s = b.look(t, "p", plan.Requests{})
	require.Equal(t, []domain.TaskID{"soon", "also"}, ids(s.Due), "at its deadline a task is due")
	require.Equal(t, []domain.TaskID{"retries"}, ids(s.Rested))
	require.Equal(t, now.Add(40*time.Second), *s.NextDueAt)
	require.False(t, s.DueCut)

	b.turn(t, "p", plan.Requests{NoStart: true})
	s = b.look(t, "p", plan.Requests{})
	require.Empty(t, s.Due)
	require.Empty(t, s.Rested)
	b.clock.Advance(time.Hour)
	b.turn(t, "p", plan.Requests{NoStart: true})
	require.Nil(t, b.look(t, "p", plan.Requests{}).NextDueAt)
	b.agrees(t, "p")
}

func testSnapshotDueCut(t *testing.T, b *bundle) {
	b.pool(t, "p")
	now := b.clock.Now()
	b.submit(t, "p", task("full", units(10)))
	tasks := many("d", plan.DueLimit+2)
	for i := range tasks { // the later submitted, the sooner due
		at := now.Add(time.Hour - time.Duration(i)*time.Millisecond)
		tasks[i].Deadline = &at
	}
	b.submit(t, "p", tasks...)
	b.clock.Advance(2 * time.Hour)
	s := b.look(t, "p", plan.Requests{})
	require.Len(t, s.Due, plan.DueLimit)
	require.True(t, s.DueCut)
	require.Equal(t, tasks[len(tasks)-1].TaskID, s.Due[0].TaskID, "oldest deadline first")

	require.True(t, b.turn(t, "p", plan.Requests{}).Again)
	s = b.look(t, "p", plan.Requests{})
	require.Equal(t, []domain.TaskID{tasks[1].TaskID, tasks[0].TaskID}, ids(s.Due))
	require.False(t, s.DueCut)
	b.turn(t, "p", plan.Requests{})
	b.agrees(t, "p")
}

func testSnapshotTenants(t *testing.T, b *bundle) {
	b.pool(t, "p", func(p *domain.Pool) {
		p.Tenants = map[domain.Tenant]domain.TenantPolicy{"cap1": {MaxUnits: 4}, "weighted": {Weight: 2}, "unseen": {MaxUnits: 1}}
	})
	d := b.submit(t, "p",
		task("r1", tenant("Ünï \"q\" <1>"), units(2)), task("r2", tenant("cap1"), units(3)), task("r3", tenant("idle"), units(2)),
		task("r4", tenant("weighted"), units(3)), task("w1", tenant("waits"), units(1)))
	s := b.look(t, "p", plan.Requests{
		Submits: []plan.Submit{task("new", tenant("weighted")), task("newer", tenant("brand-new"))},
		Settles: []plan.Settle{{Ref: d.Started[0].Ref(), Units: d.Started[0].Units}},
	})
	require.Equal(t, domain.TenantUsage{Tenant: "cap1", ActiveUnits: 3}, s.Tenants["cap1"], "a cap is always read")
	require.Equal(t, domain.TenantUsage{Tenant: "Ünï \"q\" <1>", ActiveUnits: 2}, s.Tenants["Ünï \"q\" <1>"], "of a held row")
	require.Equal(t, domain.TenantUsage{Tenant: "weighted", ActiveUnits: 3}, s.Tenants["weighted"], "of a request")
	require.Equal(t, domain.TenantUsage{Tenant: "waits", Queued: 1}, s.Tenants["waits"], "of a candidate")
	require.NotContains(t, s.Tenants, domain.Tenant("brand-new"))
	require.NotContains(t, s.Tenants, domain.Tenant("unseen"))
}

func testSnapshotPool(t *testing.T, b *bundle) {
	p := b.pool(t, "p", capLanes, func(p *domain.Pool) {
		p.Executors = []string{"default", "other"}
		p.RetryBackoff = domain.Backoff{Base: 1500 * time.Millisecond, Max: time.Hour}
		p.DefaultTimeout = 1234 * time.Millisecond
	})
	s := b.look(t, "p", plan.Requests{})
	require.Equal(t, p, s.Pool)
	require.Equal(t, domain.Counters{At: b.clock.Now(), Ceiling: 10}, s.Counters)
	require.Empty(t, s.Candidates)
	d := b.submit(t, "p", task("a"), task("b", units(10)))
	require.Equal(t, d.Counters, b.look(t, "p", plan.Requests{}).Counters)
}

func testSnapshotManyIDs(t *testing.T, b *bundle) {
	b.pool(t, "p", func(p *domain.Pool) { p.MaxUnits = plan.MaxRequests })
	d := b.submit(t, "p", many("m", plan.MaxRequests)...)
	require.Len(t, d.Started, plan.MaxRequests)
	rq := plan.Requests{Submits: many("m", plan.MaxRequests)}
	for i := range d.Started {
		rq.Settles = append(rq.Settles, plan.Settle{Ref: d.Started[i].Ref()})
	}
	s := b.look(t, "p", rq)
	require.Len(t, s.Known, plan.MaxRequests)
	require.Len(t, s.Held, plan.MaxRequests)
}

func testSnapshotLight(t *testing.T, b *bundle) {
	b.pool(t, "p")
	heavy := []func(*plan.Submit){labels(map[string]string{"k": "v"}), mailbox(domain.MailboxKey{Tenant: "acme", UserID: "u"})}
	d := b.submit(t, "p", task("a", heavy...), task("b", append(heavy, units(10))...))
	for name, got := range map[string]domain.Task{
		"known":     b.look(t, "p", plan.Requests{Cancels: []plan.Cancel{{TaskID: "a"}}}).Known["a"],
		"held":      b.look(t, "p", plan.Requests{Settles: []plan.Settle{{Ref: d.Started[0].Ref()}}}).Held[1],
		"candidate": b.look(t, "p", plan.Requests{}).Candidates[0],
	} {
		require.Nil(t, got.Payload, name)
		require.Nil(t, got.Labels, name)
		require.Equal(t, "u", got.Mailbox.UserID, name)
		want, err := b.Task(t.Context(), "p", got.TaskID)
		require.NoError(t, err)
		require.Equal(t, light(want), got, "%s: all else as stored", name)
	}
}
