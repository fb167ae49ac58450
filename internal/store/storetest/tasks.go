package storetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

var taskTests = map[string]func(*testing.T, *bundle){
	"the newest row":    testTaskNewest,
	"list":              testTaskList,
	"position":          testTaskPosition,
	"position in lanes": testTaskPositionLanes,
	"scene":             testTaskScene,
	"scene of a queue that was not read whole": testTaskSceneCut,
	"attempts":           testTaskAttempts,
	"held":               testTaskHeld,
	"pools are separate": testTaskPools,
	"labels":             testTaskLabels,
}

func testTaskNewest(t *testing.T, b *bundle) {
	b.pool(t, "p", func(p *domain.Pool) { p.MaxUnits = 1; p.MaxQueueDepth = 0 })
	d := b.submit(t, "p", task("runs"))
	for range 2 {
		b.turn(t, "p", plan.Requests{Submits: []plan.Submit{task("again", labels(map[string]string{"a": "b"}))}})
	}
	got, err := b.Task(t.Context(), "p", "again")
	require.NoError(t, err)
	require.Equal(t, 2, got.Submission)
	require.Equal(t, domain.StatusRejected, got.Status)
	require.Equal(t, map[string]string{"a": "b"}, got.Labels)
	require.Nil(t, got.Payload)

	b.complete(t, "p", d.Started...)
	b.submit(t, "p", task("again"))
	got, err = b.Task(t.Context(), "p", "again")
	require.NoError(t, err)
	require.Equal(t, 3, got.Submission)
	require.Equal(t, domain.StatusRunning, got.Status)

	_, err = b.Task(t.Context(), "p", "never")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = b.Task(t.Context(), "q", "again")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func testTaskList(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.pool(t, "q")
	for i := range 12 {
		who := []domain.Tenant{"a", "b", "c"}[i%3]
		b.submit(t, "p", task(domain.TaskID(fmt.Sprintf("t%02d", i)), tenant(who), units(2),
			labels(map[string]string{"i": fmt.Sprint(i % 2), "all": "x"})))
	}
	b.submit(t, "q", task("elsewhere"))
	list := func(f store.TaskFilter) []domain.TaskID {
		if f.Pool == "" {
			f.Pool = "p"
		}
		if f.Limit == 0 {
			f.Limit = 100
		}
		tasks, err := b.ListTasks(t.Context(), f)
		require.NoError(t, err)
		for i := range tasks {
			require.Nil(t, tasks[i].Payload)
			if tasks[i].PoolID == "p" {
				require.Equal(t, "x", tasks[i].Labels["all"])
			}
		}
		return ids(tasks)
	}
	require.Len(t, list(store.TaskFilter{}), 12)
	require.Equal(t, []domain.TaskID{"t11", "t10", "t09"}, list(store.TaskFilter{Limit: 3}))
	require.Equal(t, []domain.TaskID{"t08", "t07", "t06"}, list(store.TaskFilter{Limit: 3, Before: 10}))
	require.Equal(t, []domain.TaskID{"t04", "t03", "t02", "t01", "t00"}, list(store.TaskFilter{Status: domain.StatusRunning}))
	require.Equal(t, []domain.TaskID{"t09", "t06", "t03", "t00"}, list(store.TaskFilter{Tenant: "a"}))
	require.Equal(t, []domain.TaskID{"t09", "t03"}, list(store.TaskFilter{Tenant: "a", Label: [2]string{"i", "1"}}))
	require.Equal(t, []domain.TaskID{"t03"}, list(store.TaskFilter{Tenant: "a", Label: [2]string{"i", "1"}, Status: domain.StatusRunning, Before: 12}))
	require.Empty(t, list(store.TaskFilter{Label: [2]string{"i", "2"}}))
	require.Empty(t, list(store.TaskFilter{Label: [2]string{"none", ""}}))
	require.Equal(t, []domain.TaskID{"elsewhere"}, list(store.TaskFilter{Pool: "q"}))

	all, err := b.ListTasks(t.Context(), store.TaskFilter{Limit: 100})
	require.NoError(t, err)
	require.Len(t, all, 13, "without a pool: of all pools")
}

func testTaskPosition(t *testing.T, b *bundle) {
	b.pool(t, "p", func(p *domain.Pool) { p.MaxAttempts = 2 })
	d := b.submit(t, "p", task("runs", units(9)), task("retry", units(1)))
	b.submit(t, "p", many("n", 5)...)
	b.submit(t, "p", task("high", class(domain.PriorityHigh)), task("low", class(domain.PriorityLow)), task("high2", class(domain.PriorityHigh)))
	b.turn(t, "p", plan.Requests{NoStart: true, Settles: []plan.Settle{{Ref: d.Started[1].Ref(), Verdict: plan.VerdictFailed, Retryable: true}}})
	position := func(id domain.TaskID) int64 {
		got, err := b.Task(t.Context(), "p", id)
		require.NoError(t, err)
		n, err := b.Position(t.Context(), "p", got.JobID)
		require.NoError(t, err)
		return n
	}
	for id, want := range map[domain.TaskID]int64{
		"high": 1, "high2": 2, "n-0000": 3, "n-0004": 7, "low": 8, "runs": 0, "retry": 0,
	} {
		require.Equal(t, want, position(id), id)
	}
	n, err := b.Position(t.Context(), "p", 99)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = b.Position(t.Context(), "q", 1)
	require.NoError(t, err)
	require.Zero(t, n)
}

func testTaskPositionLanes(t *testing.T, b *bundle) {
	b.pool(t, "p", capLanes)
	for i := range 30 {
		who := []domain.Tenant{"cap1", "free", "cap2"}[i%3]
		b.park(t, "p", task(domain.TaskID(fmt.Sprintf("t%02d", i)), tenant(who), class(domain.Priority(i*7%4))))
	}
	for i, c := range b.look(t, "p", plan.Requests{}).Candidates {
		n, err := b.Position(t.Context(), "p", c.JobID)
		require.NoError(t, err)
		require.Equal(t, int64(i+1), n, c.TaskID)
	}
}

// testTaskScene: a reader sees what a turn would, and with it the task, its place and who
// holds units.
func testTaskScene(t *testing.T, b *bundle) {
	b.pool(t, "p", capLanes, func(p *domain.Pool) { p.MaxUnits = 10 })
	d := b.submit(t, "p", task("r1", units(8), tenant("free")), task("r2", tenant("cap1")))
	require.Len(t, d.Started, 2)
	for i := range 12 {
		who := []domain.Tenant{"cap1", "free", "cap2"}[i%3]
		b.park(t, "p", task(domain.TaskID(fmt.Sprintf("t%02d", i)), tenant(who), class(domain.Priority(i*7%4))))
	}
	seen := b.look(t, "p", plan.Requests{})
	scene, err := b.Scene(t.Context(), "p", "t05", b.clock.Now())
	require.NoError(t, err)
	require.Equal(t, domain.TaskID("t05"), scene.Task.TaskID)
	require.Equal(t, seen.Pool, scene.Pool)
	require.Equal(t, seen.Counters, scene.Counters)
	require.Equal(t, seen.Candidates, scene.Candidates)
	require.Equal(t, seen.Tenants, scene.Tenants)
	require.False(t, scene.CandidatesCut)
	require.Equal(t, seen.Candidates[scene.Position-1].TaskID, scene.Task.TaskID)
	require.Len(t, scene.Holders, 2)
	require.Equal(t, domain.TaskID("r1"), scene.Holders[0].TaskID)
	require.Equal(t, me, scene.Holders[0].Holder)

	scene, err = b.Scene(t.Context(), "p", "r2", b.clock.Now())
	require.NoError(t, err)
	require.Zero(t, scene.Position)
	require.Equal(t, me, scene.Task.Holder)
	require.Equal(t, domain.Units(1), scene.Tenants["cap1"].ActiveUnits)

	_, err = b.Scene(t.Context(), "p", "never", b.clock.Now())
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = b.Scene(t.Context(), "q", "t05", b.clock.Now())
	require.ErrorIs(t, err, store.ErrNotFound)
}

// testTaskSceneCut: of every lane the front is read, and that it is not all is told.
func testTaskSceneCut(t *testing.T, b *bundle) {
	b.pool(t, "p", capLanes, func(p *domain.Pool) { p.MaxQueueDepth = 1000 })
	b.park(t, "p", many("n", plan.CandidateLimit+2)...)
	b.park(t, "p", task("other", tenant("cap1")))
	scene, err := b.Scene(t.Context(), "p", "n-0257", b.clock.Now())
	require.NoError(t, err)
	require.True(t, scene.CandidatesCut)
	require.Len(t, scene.Candidates, plan.CandidateLimit+1)
	require.Equal(t, domain.TaskID("other"), scene.Candidates[plan.CandidateLimit].TaskID)
	require.Equal(t, int64(plan.CandidateLimit+2), scene.Position)
}

func testTaskAttempts(t *testing.T, b *bundle) {
	b.pool(t, "p", func(p *domain.Pool) { p.MaxAttempts = 2; p.RetryBackoff = domain.Backoff{} })
	b.pool(t, "q")
	d := b.submit(t, "p", task("a", labels(map[string]string{"k": "v"})), task("b"), task("waits", units(10)))
	a, second := d.Started[0].Ref(), d.Started[1].Ref()
	other := b.submit(t, "q", task("c")).Started[0].Ref()
	require.Equal(t, a.JobID, other.JobID, "jobs are told apart by their pool")
	read := func(refs ...domain.Ref) map[domain.Ref]domain.Task {
		t.Helper()
		live, err := b.Attempts(t.Context(), refs)
		require.NoError(t, err)
		return live
	}
	require.Empty(t, read())
	require.Empty(t, read(
		domain.Ref{PoolID: "p", JobID: 1, Attempt: 2},
		domain.Ref{PoolID: "p", JobID: 3, Attempt: 0}, // waits
		domain.Ref{PoolID: "q", JobID: 2, Attempt: 1},
		domain.Ref{PoolID: "nowhere", JobID: 1, Attempt: 1},
	))

	live := read(other, second, domain.Ref{PoolID: "q", JobID: 7, Attempt: 1}, a, a)
	require.Len(t, live, 3)
	for ref, id := range map[domain.Ref]domain.TaskID{a: "a", second: "b", other: "c"} {
		got := live[ref]
		require.Equal(t, id, got.TaskID)
		require.Equal(t, ref, got.Ref())
		require.JSONEq(t, `{"task":"`+string(id)+`"}`, string(got.Payload))
	}
	require.Equal(t, map[string]string{"k": "v"}, live[a].Labels)
	require.Nil(t, live[second].Labels)

	b.turn(t, "p", plan.Requests{NoStart: true, Losts: []plan.Lost{{Ref: a, Holder: me}}})
	require.Len(t, read(a, second), 1, "fenced: the attempt was lost")
	b.turn(t, "p", plan.Requests{})
	again, err := b.Task(t.Context(), "p", "a")
	require.NoError(t, err)
	live = read(a, again.Ref())
	require.NotContains(t, live, a)
	if again.Status == domain.StatusRunning {
		require.Contains(t, live, again.Ref())
	} else {
		require.Empty(t, live)
	}
}

func testTaskHeld(t *testing.T, b *bundle) {
	b.pool(t, "p", func(p *domain.Pool) { p.MaxUnits = 100 })
	for i := range 10 {
		who := []domain.WorkerID{"w1", "w2"}[i%2]
		_, err := b.try(t.Context(), "p", plan.Requests{Worker: who, Submits: []plan.Submit{many("t", i+1)[i]}})
		require.NoError(t, err)
	}
	held := func(who domain.WorkerID, after domain.JobID, limit int) []domain.TaskID {
		tasks, err := b.Held(t.Context(), "p", who, after, limit)
		require.NoError(t, err)
		return ids(tasks)
	}
	require.Len(t, held("", 0, 100), 10)
	require.Equal(t, []domain.TaskID{"t-0000", "t-0002", "t-0004"}, held("w1", 0, 3))
	require.Equal(t, []domain.TaskID{"t-0006", "t-0008"}, held("w1", 5, 3))
	require.Empty(t, held("w3", 0, 3))
	tasks, err := b.Held(t.Context(), "p", "w2", 0, 1)
	require.NoError(t, err)
	b.complete(t, "p", tasks...)
	require.Equal(t, []domain.TaskID{"t-0003"}, held("w2", 0, 1))
}

func testTaskLabels(t *testing.T, b *bundle) {
	s, ok := b.Store.(store.Labels)
	require.True(t, ok, "native pools need their labels")
	b.pool(t, "p")
	b.submit(t, "p", task("a", labels(map[string]string{"k": "v"})), task("b"), task("c", units(10), labels(map[string]string{"x": "y", "z": ""})))
	got, err := s.Labels(t.Context(), "p", []domain.JobID{1, 2, 3, 4})
	require.NoError(t, err)
	require.Equal(t, map[domain.JobID]map[string]string{1: {"k": "v"}, 3: {"x": "y", "z": ""}}, got)
	got, err = s.Labels(t.Context(), "q", []domain.JobID{1})
	require.NoError(t, err)
	require.Empty(t, got)
}

// testTaskPools has the same task ids and job ids in two pools.
func testTaskPools(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.pool(t, "q")
	box := mailbox(domain.MailboxKey{Tenant: "acme", UserID: "u"})
	p := b.submit(t, "p", task("a", box), task("b", units(10)))
	before := b.state(t, "p")
	q := b.submit(t, "q", task("a", box), task("b"), task("c", tenant("other")))
	b.complete(t, "q", q.Started...)
	after := b.state(t, "p")
	after.Messages = nil // the mailbox is shared
	require.Equal(t, before, after)
	require.Equal(t, p.Started[0].JobID, q.Started[0].JobID)

	got, err := b.Task(t.Context(), "p", "a")
	require.NoError(t, err)
	require.Equal(t, domain.StatusRunning, got.Status)
	got, err = b.Task(t.Context(), "q", "a")
	require.NoError(t, err)
	require.Equal(t, domain.StatusCompleted, got.Status)
	b.agrees(t, "p")
	b.agrees(t, "q")
}
