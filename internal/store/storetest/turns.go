package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

var turnTests = map[string]func(*testing.T, *bundle){
	"unknown pool":                   testTurnUnknownPool,
	"rows come back as written":      testTurnRoundTrip,
	"a lifecycle":                    testTurnLifecycle,
	"gather comes before the clock":  testTurnGather,
	"idle writes nothing":            testTurnIdle,
	"time never goes back":           testTurnTime,
	"counters refuse over capacity":  testTurnCapacity,
	"guards refuse a changed row":    testTurnGuardTask,
	"guards refuse a second turn":    testTurnGuardTurn,
	"guards refuse a changed pool":   testTurnGuardPool,
	"pool change and lanes":          testTurnPoolChange,
	"committed":                      testTurnCommitted,
	"prune":                          testTurnPrune,
	"reconcile finds what is wrong":  testTurnReconcile,
	"a cancelled context is nothing": testTurnCancelled,
}

func testTurnUnknownPool(t *testing.T, b *bundle) {
	_, err := b.try(t.Context(), "nowhere", plan.Requests{})
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = b.Reconcile(t.Context(), "nowhere")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// testTurnRoundTrip writes a row by hand with every field set and reads it back.
func testTurnRoundTrip(t *testing.T, b *bundle) {
	b.pool(t, "p")
	now := b.clock.Now()
	at := func(d time.Duration) *time.Time { x := now.Add(d); return &x }
	full := domain.Task{
		PoolID: "p", JobID: 1, TaskID: "a:b.c-d_1", Submission: 1, BodyHash: []byte{0, 1, 254, 255},
		Tenant: "Zoë & Co. <ü>", Requested: domain.PriorityCritical, Priority: domain.PriorityHigh, Lane: "Zoë & Co. <ü>", Rank: 1 << 60,
		Kind: domain.KindGPUVRAM, Units: 7, Status: domain.StatusRunning,
		Reason:  domain.Reason{Code: domain.ReasonWorkerLost, Message: "the worker's gone: \"1\"\n\t日本"},
		Attempt: 2, MaxAttempts: 3, Overtaken: 4, Executor: "x", Timeout: 90 * time.Second,
		Deadline: at(time.Hour), CreatedAt: now, StartedAt: at(time.Microsecond), CancelAsked: at(time.Second),
		Holder: me, RiverJobID: 0, Mailbox: &domain.MailboxKey{Tenant: "acme", UserID: "u:1", SessionID: "s/2"},
		Labels:  map[string]string{"k": "v", "Ключ": "значение", "": "empty key", `q"'\`: `v"'\`, "<&>": "<&>"},
		Payload: []byte(`{"b" : 1, "a":[1e400, "\ud83d\ude00 😀"] }`), Result: []byte(`null`),
	}
	queued := domain.Task{
		PoolID: "p", JobID: 2, TaskID: "plain", Submission: 1, BodyHash: []byte("h"), Tenant: "t", Kind: domain.KindIO, Units: 1,
		Status: domain.StatusQueued, Attempt: 1, MaxAttempts: 2, Executor: "x", Timeout: time.Second, CreatedAt: now,
		NotBefore: at(time.Minute), Rank: -5,
	}
	_, err := b.decide(t.Context(), "p", plan.Requests{}, func(s plan.Snapshot, rq *plan.Requests) plan.Decisions {
		c := s.Counters
		c.TurnNo, c.TurnID, c.At, c.JobSeq = 1, rq.TurnID, s.Now, 2
		c.ActiveUnits, c.Running, c.Waiting, c.VirtualTime, c.RankSeq, c.NextDueAt = 7, 1, 1, -3, 9, at(time.Minute)
		return plan.Decisions{Now: s.Now, Inserted: []domain.Task{full, queued}, Counters: c}
	})
	require.NoError(t, err)

	got, err := b.Task(t.Context(), "p", full.TaskID)
	require.NoError(t, err)
	want := full
	want.Payload = nil
	require.Equal(t, want, got)

	live, err := b.Attempts(t.Context(), []domain.Ref{full.Ref()})
	require.NoError(t, err)
	want = full
	want.Result = nil
	require.Equal(t, map[domain.Ref]domain.Task{full.Ref(): want}, live)

	got, err = b.Task(t.Context(), "p", queued.TaskID)
	require.NoError(t, err)
	require.Equal(t, queued, got)

	view, err := b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, domain.Counters{
		TurnNo: 1, TurnID: "turn-1", At: now, ActiveUnits: 7, Ceiling: 10, Running: 1, Waiting: 1, VirtualTime: -3,
		JobSeq: 2, RankSeq: 9, NextDueAt: at(time.Minute),
	}, view.Counters)

	list, err := b.ListTasks(t.Context(), store.TaskFilter{Pool: "p", Limit: 10})
	require.NoError(t, err)
	want = full
	want.Payload, want.Result = nil, nil
	require.Equal(t, []domain.Task{queued, want}, list)
}

func testTurnLifecycle(t *testing.T, b *bundle) {
	b.pool(t, "p")
	box := domain.MailboxKey{Tenant: "acme", UserID: "u"}
	d := b.submit(t, "p", task("big", units(8), mailbox(box)), task("next", units(5), mailbox(box)))
	require.Equal(t, []domain.TaskID{"big"}, ids(d.Started))
	b.agrees(t, "p")

	d = b.complete(t, "p", d.Started...)
	require.Equal(t, []domain.TaskID{"big"}, ids(d.Ended))
	require.Equal(t, []domain.TaskID{"next"}, ids(d.Started))
	b.agrees(t, "p")

	done, err := b.Task(t.Context(), "p", "big")
	require.NoError(t, err)
	require.Equal(t, domain.StatusCompleted, done.Status)
	require.JSONEq(t, `{"ok":true}`, string(done.Result))
	require.Equal(t, b.clock.Now(), *done.FinishedAt)

	view, err := b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, domain.Units(5), view.ActiveUnits)
	require.Equal(t, int64(2), view.TurnNo)
	usages, err := b.TenantUsages(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, domain.Units(5), usages[0].ActiveUnits)

	messages, err := b.Messages(t.Context(), store.MailboxFilter{Tenant: "acme", UserID: "u", Limit: 10})
	require.NoError(t, err)
	require.Len(t, messages, 1)
	require.Equal(t, domain.TaskID("big"), messages[0].TaskID)

	// A late result of the same attempt by somebody else changes no row.
	before, err := b.Task(t.Context(), "p", "big")
	require.NoError(t, err)
	d = b.turn(t, "p", plan.Requests{Settles: []plan.Settle{{Ref: done.Ref(), Verdict: plan.VerdictFailed}}})
	require.NotNil(t, d.Answers.Settles[0].Err)
	after, err := b.Task(t.Context(), "p", "big")
	require.NoError(t, err)
	require.Equal(t, before, after)
	b.agrees(t, "p")
}

func testTurnGather(t *testing.T, b *bundle) {
	b.pool(t, "p")
	gathered := 0
	var seen plan.Snapshot
	_, err := b.Turn(t.Context(), store.TurnSpec{
		Pool: "p",
		Gather: func() *plan.Requests {
			gathered++
			b.clock.Advance(time.Second)
			return &plan.Requests{TurnID: "t", Worker: me, Submits: []plan.Submit{task("a")}}
		},
		Decide: func(s plan.Snapshot, rq *plan.Requests) plan.Decisions {
			seen = s
			return plan.Turn(s, rq)
		},
	})
	require.NoError(t, err)
	require.Positive(t, gathered)
	require.LessOrEqual(t, gathered, 2)
	require.Equal(t, b.clock.Now(), seen.Now, "now is read after the last gathering")
}

func testTurnIdle(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.submit(t, "p", task("a"))
	before := b.state(t, "p")
	d, err := b.decide(t.Context(), "p", plan.Requests{}, func(s plan.Snapshot, rq *plan.Requests) plan.Decisions {
		rq.Submits = []plan.Submit{task("b")}
		d := plan.Turn(s, rq)
		d.Idle = true
		return d
	})
	require.NoError(t, err)
	require.True(t, d.Idle)
	require.Equal(t, before, b.state(t, "p"))
	require.True(t, b.turn(t, "p", plan.Requests{}).Idle)
	require.Equal(t, before, b.state(t, "p"))
}

func testTurnTime(t *testing.T, b *bundle) {
	b.pool(t, "p")
	late := b.clock.Now()
	b.submit(t, "p", task("a"))
	b.clock.Advance(-time.Hour)
	require.Equal(t, late, b.look(t, "p", plan.Requests{}).Now)
	b.submit(t, "p", task("b"))
	got, err := b.Task(t.Context(), "p", "b")
	require.NoError(t, err)
	require.Equal(t, late, got.CreatedAt)

	b.clock.Advance(2*time.Hour + 999*time.Nanosecond)
	require.Equal(t, b.clock.Now().Truncate(time.Microsecond), b.look(t, "p", plan.Requests{}).Now)
}

// tamper is plan.Turn with something wrong in what it decides.
func tamper(with func(*plan.Decisions)) func(plan.Snapshot, *plan.Requests) plan.Decisions {
	return func(s plan.Snapshot, rq *plan.Requests) plan.Decisions {
		d := plan.Turn(s, rq)
		with(&d)
		return d
	}
}

func testTurnCapacity(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.submit(t, "p", task("a", units(6)))
	before := b.state(t, "p")
	for name, wrong := range map[string]func(*plan.Decisions){
		"more than the ceiling": func(d *plan.Decisions) { d.Counters.ActiveUnits = 11 },
		"less than nothing":     func(d *plan.Decisions) { d.Counters.ActiveUnits = -1 },
		"running":               func(d *plan.Decisions) { d.Counters.Running = -1 },
		"waiting":               func(d *plan.Decisions) { d.Counters.Waiting = -1 },
		"queued":                func(d *plan.Decisions) { d.Counters.Queued = -1 },
		"queued by class":       func(d *plan.Decisions) { d.Counters.QueuedBy[2]++ },
	} {
		_, err := b.decide(t.Context(), "p", plan.Requests{Submits: []plan.Submit{task("b")}}, tamper(wrong))
		require.ErrorIs(t, err, store.ErrData, name)
		require.Equal(t, before, b.state(t, "p"), name)
	}
}

func testTurnGuardTask(t *testing.T, b *bundle) {
	b.pool(t, "p")
	a := b.submit(t, "p", task("a"), task("b", units(10), mailbox(domain.MailboxKey{Tenant: "acme"}))).Started[0]
	before := b.state(t, "p")
	for name, wrong := range map[string]func(*plan.Decisions){
		"status":  func(d *plan.Decisions) { d.Changed[0].FromStatus = domain.StatusQueued },
		"attempt": func(d *plan.Decisions) { d.Changed[0].FromAttempt = 2 },
		"no row":  func(d *plan.Decisions) { d.Changed[0].Task.JobID = 99 },
		"second of two": func(d *plan.Decisions) {
			d.Changed[len(d.Changed)-1].FromAttempt = 9
		},
	} {
		d, err := b.decide(t.Context(), "p", plan.Requests{
			Settles: []plan.Settle{{Ref: a.Ref(), Units: a.Units, Verdict: plan.VerdictCompleted}},
			Submits: []plan.Submit{task("c")},
		}, tamper(wrong))
		require.ErrorIs(t, err, store.ErrGuard, name)
		require.NotEmpty(t, d.Changed, "the decisions come with the error")
		require.Equal(t, before, b.state(t, "p"), name)
	}
	b.complete(t, "p", a) // and the pool is not wedged
	b.agrees(t, "p")
}

func testTurnGuardTurn(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.submit(t, "p", task("a"))
	before := b.state(t, "p")
	_, err := b.decide(t.Context(), "p", plan.Requests{Submits: []plan.Submit{task("b")}},
		tamper(func(d *plan.Decisions) { d.Counters.TurnNo = 1 }))
	require.ErrorIs(t, err, store.ErrGuard)
	require.Equal(t, before, b.state(t, "p"))
}

func testTurnGuardPool(t *testing.T, b *bundle) {
	p := b.pool(t, "p")
	larger := domain.Units(20)
	change := plan.Requests{Changes: []plan.PoolChange{{MaxUnits: &larger, Actor: "ops"}}}
	d := b.turn(t, "p", change)
	require.Equal(t, p.Version+1, d.Pool.Version)
	view, err := b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, larger, view.MaxUnits)
	require.Equal(t, p.Version+1, view.Version)
	require.Equal(t, larger, view.Ceiling)
}

func testTurnPoolChange(t *testing.T, b *bundle) {
	capped := func(p *domain.Pool) {
		p.Tenants = map[domain.Tenant]domain.TenantPolicy{"capped": {MaxUnits: 2}, "Zoë": {Weight: 3, MaxQueueDepth: 50}}
		p.Executors = []string{"default", "other"}
	}
	b.pool(t, "p", capped)
	b.park(t, "p", task("c1", tenant("capped")), task("z1", tenant("Zoë")))
	require.Equal(t, "capped", laneOf(t, b, "c1"))
	require.Empty(t, laneOf(t, b, "z1"))

	policy := poolOf(b.Backend(), "p")
	policy.Tenants = map[domain.Tenant]domain.TenantPolicy{"Zoë": {MaxUnits: 3}}
	d := b.turn(t, "p", plan.Requests{NoStart: true, Changes: []plan.PoolChange{{Policy: &policy, Actor: "ops"}}})
	require.ElementsMatch(t, []domain.Tenant{"capped", "Zoë"}, d.Relane)
	require.Empty(t, laneOf(t, b, "c1"))
	require.Equal(t, "Zoë", laneOf(t, b, "z1"))
	require.Equal(t, []domain.TaskID{"c1", "z1"}, ids(b.look(t, "p", plan.Requests{}).Candidates))
	view, err := b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, *d.Pool, view.Pool)
	b.agrees(t, "p")
}

func laneOf(t *testing.T, b *bundle, id domain.TaskID) string {
	t.Helper()
	got, err := b.Task(t.Context(), "p", id)
	require.NoError(t, err)
	return got.Lane
}

func testTurnCommitted(t *testing.T, b *bundle) {
	b.pool(t, "p")
	_, err := b.try(t.Context(), "p", plan.Requests{TurnID: "mine", Submits: []plan.Submit{task("a")}})
	require.NoError(t, err)
	for _, c := range []struct {
		pool domain.PoolID
		no   int64
		id   string
		want bool
	}{{"p", 1, "mine", true}, {"p", 1, "theirs", false}, {"p", 2, "mine", false}, {"q", 1, "mine", false}} {
		got, err := b.TurnCommitted(t.Context(), c.pool, c.no, c.id)
		require.NoError(t, err)
		require.Equal(t, c.want, got, c)
	}
}

func testTurnPrune(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.pool(t, "q")
	for i := range 6 {
		b.submit(t, "p", many("p", i+1)[i])
		b.submit(t, "q", many("q", i+1)[i])
	}
	before := b.state(t, "p")
	n, err := b.PruneTurns(t.Context(), "p", 2)
	require.NoError(t, err)
	require.Equal(t, int64(5), n) // turns 0 to 4 of 0 to 6
	require.Equal(t, before, b.state(t, "p"))
	for no, want := range map[int64]bool{4: false, 5: true, 6: true} {
		got, err := b.TurnCommitted(t.Context(), "p", no, turnIDAt(no))
		require.NoError(t, err)
		require.Equal(t, want, got, no)
	}
	n, err = b.PruneTurns(t.Context(), "p", 2)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = b.PruneTurns(t.Context(), "q", 100)
	require.NoError(t, err)
	require.Zero(t, n)
	b.submit(t, "p", task("after"))
	b.agrees(t, "p")
}

// turnIDAt is the id of turn no of pool p in testTurnPrune, which turns p and q in turn.
func turnIDAt(no int64) string { return fmt.Sprintf("turn-%d", 2*no-1) }

func testTurnReconcile(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.submit(t, "p", task("a", units(4)), task("b", units(9)), task("c", tenant("other"), units(7)))
	b.agrees(t, "p")
	_, err := b.decide(t.Context(), "p", plan.Requests{Submits: []plan.Submit{task("d", units(8))}}, tamper(func(d *plan.Decisions) {
		d.Counters.ActiveUnits = 5
		d.Counters.Running = 3
		d.Counters.Waiting = 2
		d.Counters.Queued++
		d.Counters.QueuedBy[domain.PriorityLow]++
		d.Tenants = append(d.Tenants, domain.TenantUsage{Tenant: "other", ActiveUnits: 2, Queued: 4}, domain.TenantUsage{Tenant: "ghost", Queued: 1})
	}))
	require.NoError(t, err)
	diffs, err := b.Reconcile(t.Context(), "p")
	require.NoError(t, err)
	require.Subset(t, diffs, []store.Difference{
		{What: "active_units", Counter: 5, Rows: 4},
		{What: "running", Counter: 3, Rows: 1},
		{What: "waiting", Counter: 2, Rows: 0},
		{What: "queued", Counter: 4, Rows: 3},
		{What: "tenant other active_units", Counter: 2, Rows: 0},
		{What: "tenant other queued", Counter: 4, Rows: 1},
		{What: "tenant ghost queued", Counter: 1, Rows: 0},
	})
}

func testTurnCancelled(t *testing.T, b *bundle) {
	b.pool(t, "p")
	before := b.state(t, "p")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.try(ctx, "p", plan.Requests{Submits: []plan.Submit{task("a")}})
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Equal(t, before, b.state(t, "p"))
	b.submit(t, "p", task("a"))
}
