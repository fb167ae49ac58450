package plan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// started returns the ids of what a turn started, in the order of the starts.
func started(d plan.Decisions) []domain.TaskID {
	var ids []domain.TaskID
	for i := range d.Started {
		ids = append(ids, d.Started[i].TaskID)
	}
	return ids
}

func TestOrder(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) func(*plan.Submit) { return by(epoch.Add(d)) }
	arrivals := []plan.Submit{
		task("low", 1, at(domain.PriorityLow), in(time.Minute)),
		task("late", 1, in(time.Hour)),
		task("never", 1),
		task("soon", 1, in(time.Minute)),
		task("critical", 1, at(domain.PriorityCritical)),
		task("high", 1, at(domain.PriorityHigh)),
	}
	for policy, want := range map[domain.PriorityPolicy][]domain.TaskID{
		domain.PolicyFIFO:     {"low", "late", "never", "soon", "critical", "high"},
		domain.PolicyPriority: {"critical", "high", "late", "never", "soon", "low"},
		domain.PolicyDeadline: {"critical", "high", "soon", "late", "never", "low"},
		domain.PolicyFair:     {"critical", "high", "late", "never", "soon", "low"},
	} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			l := setup(t, withPolicy(policy))
			l.submit(task("run", 10))
			l.submit(arrivals...)
			run := l.task("run")
			d := l.turn(plan.Requests{Settles: []plan.Settle{{Ref: run.Ref(), Verdict: plan.VerdictCompleted}}})
			require.Equal(t, want, started(d))

			// The same when they arrive together and nothing was there before.
			l = setup(t, withPolicy(policy))
			require.Equal(t, want, started(l.turn(plan.Requests{Submits: arrivals})))
		})
	}
}

func TestFIFOHasOneClass(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("run", 10), task("a", 1, at(domain.PriorityCritical)))
	a := l.task("a")
	require.Equal(t, domain.PriorityNormal, a.Priority)
	require.Equal(t, domain.PriorityCritical, a.Requested)
}

func TestFairSharesByWeight(t *testing.T) {
	t.Parallel()
	l := setup(t, withPolicy(domain.PolicyFair), withTenant("gold", domain.TenantPolicy{Weight: 3}),
		func(p *domain.Pool) { p.MaxUnits, p.MaxQueueDepth = 1, 1000 })
	l.submit(task("run", 1, of("x")))
	for i := range 120 {
		l.submit(task(domain.TaskID(fmt.Sprintf("silver%d", i)), 1, of("silver")))
	}
	for i := range 120 { // gold comes late, and is not behind all of silver
		l.submit(task(domain.TaskID(fmt.Sprintf("gold%d", i)), 1, of("gold")))
	}
	share := map[domain.Tenant]int{}
	running := l.task("run")
	for range 80 {
		d := l.turn(plan.Requests{Settles: []plan.Settle{{Ref: running.Ref(), Verdict: plan.VerdictCompleted}}})
		require.Len(t, d.Started, 1)
		running = d.Started[0]
		share[running.Tenant]++
	}
	require.InDelta(t, 60, share["gold"], 2)
	require.InDelta(t, 20, share["silver"], 2)
}

func TestFairCountsUnits(t *testing.T) {
	t.Parallel()
	l := setup(t, withPolicy(domain.PolicyFair), func(p *domain.Pool) { p.MaxUnits, p.MaxQueueDepth, p.MaxOvertakes = 4, 1000, 0 })
	l.submit(task("run", 4, of("x")))
	for i := range 100 {
		l.submit(task(domain.TaskID(fmt.Sprintf("big%d", i)), 4, of("big")), task(domain.TaskID(fmt.Sprintf("small%d", i)), 1, of("small")))
	}
	units := map[domain.Tenant]domain.Units{}
	live := []domain.Task{l.task("run")}
	for units["big"]+units["small"] < 160 {
		d := l.turn(plan.Requests{Settles: []plan.Settle{{Ref: live[0].Ref(), Verdict: plan.VerdictCompleted}}})
		live = append(live[1:], d.Started...)
		for i := range d.Started {
			units[d.Started[i].Tenant] += d.Started[i].Units
		}
	}
	require.InDelta(t, float64(units["big"]), float64(units["small"]), 8)
}

func TestFairGivesNoCreditForIdling(t *testing.T) {
	t.Parallel()
	l := setup(t, withPolicy(domain.PolicyFair), func(p *domain.Pool) { p.MaxUnits = 1 })
	for i := range 50 { // busy alone for a while; starts on arrival are charged as well
		id := domain.TaskID(fmt.Sprintf("busy%d", i))
		l.submit(task(id, 1, of("busy")))
		if i < 49 {
			l.settle(id, plan.VerdictCompleted)
		}
	}
	l.submit(task("b1", 1, of("busy")), task("n1", 1, of("new")), task("b2", 1, of("busy")), task("n2", 1, of("new")))
	var order []domain.TaskID
	running := l.task("busy49")
	for range 4 {
		d := l.turn(plan.Requests{Settles: []plan.Settle{{Ref: running.Ref(), Verdict: plan.VerdictCompleted}}})
		running = d.Started[0]
		order = append(order, running.TaskID)
	}
	require.Equal(t, []domain.TaskID{"n1", "b1", "n2", "b2"}, order)
}

func TestRejectedSubmissionsAreNotCharged(t *testing.T) {
	t.Parallel()
	l := setup(t, withPolicy(domain.PolicyFair), func(p *domain.Pool) { p.MaxQueueDepth = 1 })
	l.submit(task("run", 10, of("x")))
	for i := range 20 {
		l.submit(task(domain.TaskID(fmt.Sprintf("a%d", i)), 10))
	}
	require.Equal(t, int64(10*plan.TagScale), l.m.Tenants["acme"].FinishTag)
}

func TestOvertakingIsBounded(t *testing.T) {
	t.Parallel()
	for _, overtakes := range []int{0, 1, 3, 16} {
		t.Run(fmt.Sprint(overtakes), func(t *testing.T) {
			t.Parallel()
			l := setup(t, func(p *domain.Pool) { p.MaxOvertakes, p.MaxQueueDepth = overtakes, 1000 })
			l.submit(task("run", 9), task("head", 10))
			for i := range 40 {
				l.submit(task(domain.TaskID(fmt.Sprintf("s%d", i)), 1))
			}
			passed := 0
			for i := range 40 {
				id := domain.TaskID(fmt.Sprintf("s%d", i))
				if l.task(id).Status != domain.StatusRunning {
					break
				}
				passed++
				l.settle(id, plan.VerdictCompleted)
			}
			require.Equal(t, overtakes, passed)
			l.settle("run", plan.VerdictCompleted)
			l.requireStatus(domain.StatusRunning, "head")
		})
	}
}

func TestOvertakesAreCountedOnEveryClassHead(t *testing.T) {
	t.Parallel()
	l := setup(t, withPolicy(domain.PolicyPriority), func(p *domain.Pool) { p.MaxOvertakes = 2 })
	l.submit(task("run", 8))
	l.submit(task("critical", 5, at(domain.PriorityCritical)), task("normal", 5), task("normal2", 5))
	l.submit(task("s1", 1, at(domain.PriorityLow)))
	require.Equal(t, []int{1, 1, 0}, []int{l.task("critical").Overtaken, l.task("normal").Overtaken, l.task("normal2").Overtaken})
	l.submit(task("s2", 1, at(domain.PriorityHigh)))
	require.Equal(t, []int{2, 1}, []int{l.task("critical").Overtaken, l.task("normal").Overtaken}, "high is ahead of normal")
	l.settle("s1", plan.VerdictCompleted)
	l.submit(task("s3", 1, at(domain.PriorityHigh)), task("s4", 1, at(domain.PriorityCritical)))
	l.requireStatus(domain.StatusQueued, "s3", "s4") // what is free is kept for the one in front
}

func TestACriticalNewcomerCannotResetTheCount(t *testing.T) {
	t.Parallel()
	l := setup(t, withPolicy(domain.PolicyPriority), func(p *domain.Pool) { p.MaxOvertakes = 3 })
	l.submit(task("run", 8), task("head", 10))
	l.submit(task("s1", 1))
	l.settle("s1", plan.VerdictCompleted)
	l.submit(task("boss", 9, at(domain.PriorityCritical)))
	l.cancel("boss")
	l.submit(task("s2", 1), task("s3", 1))
	l.settle("s2", plan.VerdictCompleted)
	l.submit(task("s4", 1))
	l.requireStatus(domain.StatusQueued, "s4")
	require.Equal(t, 3, l.task("head").Overtaken)
}

func TestTenantCap(t *testing.T) {
	t.Parallel()
	l := setup(t, withTenant("acme", domain.TenantPolicy{MaxUnits: 5}))
	l.submit(task("a1", 4), task("a2", 3), task("a3", 1), task("b", 3, of("other")))
	l.requireStatus(domain.StatusRunning, "a1", "b")
	l.requireStatus(domain.StatusQueued, "a2", "a3") // a3 would fit, and is behind a2 in its lane
	require.Equal(t, "acme", l.task("a2").Lane)
	require.Empty(t, l.task("b").Lane)
	require.Zero(t, l.task("a2").Overtaken, "what its own cap keeps back is not overtaken")
	l.settle("a1", plan.VerdictCompleted)
	l.requireStatus(domain.StatusRunning, "a2", "a3")
}

func TestSmallTasksOfACappedTenantLeaveRoomForItsFirst(t *testing.T) {
	t.Parallel()
	l := setup(t, withTenant("acme", domain.TenantPolicy{MaxUnits: 5}))
	l.submit(task("run", 6, of("x")))
	l.submit(task("first", 5), task("small", 1), task("other", 1, of("y")))
	l.requireStatus(domain.StatusQueued, "first", "small") // small would push first over the cap
	l.requireStatus(domain.StatusRunning, "other")
}

func TestACappedBacklogHidesNobody(t *testing.T) {
	t.Parallel()
	l := setup(t, withTenant("acme", domain.TenantPolicy{MaxUnits: 2}))
	l.m.Limits.Candidates = 3
	for i := range 20 {
		l.submit(task(domain.TaskID(fmt.Sprintf("a%d", i)), 2))
	}
	for i := range 8 {
		l.submit(task(domain.TaskID(fmt.Sprintf("b%d", i)), 1, of("other")))
	}
	require.Equal(t, domain.Units(10), l.m.Counters.ActiveUnits)
}

func TestBoundedReadsAskForMore(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.m.Limits.Candidates = 2
	l.submit(task("run", 10))
	for i := range 7 {
		l.submit(task(domain.TaskID(fmt.Sprintf("t%d", i)), 1))
	}
	run := l.task("run")
	d := l.turn(plan.Requests{Settles: []plan.Settle{{Ref: run.Ref(), Verdict: plan.VerdictCompleted}}})
	var turns [][]domain.TaskID
	for {
		turns = append(turns, started(d))
		if !d.Again {
			break
		}
		d = l.turn(plan.Requests{})
	}
	require.Equal(t, [][]domain.TaskID{{"t0", "t1"}, {"t2", "t3"}, {"t4", "t5"}, {"t6"}}, turns)
}

func TestNewcomersWaitBehindWhatWasNotRead(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.m.Limits.Candidates = 2
	l.submit(task("run", 10), task("t0", 1), task("t1", 1), task("t2", 1))
	run := l.task("run")
	d := l.turn(plan.Requests{
		Settles: []plan.Settle{{Ref: run.Ref(), Verdict: plan.VerdictCompleted}},
		Submits: []plan.Submit{task("new", 1)},
	})
	require.Equal(t, []domain.TaskID{"t0", "t1"}, started(d))
	l.requireStatus(domain.StatusQueued, "new", "t2")
	require.True(t, d.Again)
	require.Equal(t, []domain.TaskID{"t2", "new"}, started(l.turn(plan.Requests{})))
}

func TestALaneThatWasReadWholeIsNotCut(t *testing.T) {
	t.Parallel()
	l := setup(t, withTenant("acme", domain.TenantPolicy{MaxUnits: 2}))
	l.m.Limits.Candidates = 2
	l.submit(task("a0", 2), task("a1", 1), task("a2", 1), task("a3", 1), task("big", 9, of("x")))
	l.submit(task("new", 1, of("x"))) // passes big, the only one waiting in its lane
	l.requireStatus(domain.StatusRunning, "new")
}

func TestNothingReadMeansNothingStarts(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("run", 10), task("t0", 10))
	req := &plan.Requests{Submits: []plan.Submit{task("new", 1)}, Cancels: nil, Worker: "w1"}
	l.setUnits(12)
	snap := l.m.Snapshot(l.now, req)
	snap.Candidates, snap.CandidatesCut = nil, true
	d := plan.Turn(snap, req)
	require.Empty(t, d.Started)
	require.True(t, d.Again)
}

func TestIdle(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 10), task("b", 10))
	before := l.m.Counters
	d := l.turn(plan.Requests{})
	require.True(t, d.Idle)
	require.Equal(t, before, d.Counters)
	require.False(t, d.Again)
}

func TestTimeNeverGoesBack(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 10))
	req := &plan.Requests{Submits: []plan.Submit{task("b", 1)}}
	snap := l.m.Snapshot(l.now, req)
	snap.Now = l.now.Add(-time.Hour)
	d := plan.Turn(snap, req)
	require.Equal(t, l.now, d.Now)
	require.Equal(t, l.now, d.Counters.At)
}

func TestSameInputSameDecisions(t *testing.T) {
	t.Parallel()
	l := setup(t, withPolicy(domain.PolicyFair), withAttempts(3), withTenant("acme", domain.TenantPolicy{MaxUnits: 5}))
	l.submit(task("a", 4), task("b", 4, of("x")), task("c", 4, of("y")), task("d", 2, of("z")))
	a := l.task("a")
	req := func() *plan.Requests {
		return &plan.Requests{
			TurnID: "t", Settles: []plan.Settle{{Ref: a.Ref(), Verdict: plan.VerdictFailed, Retryable: true}},
			Submits: []plan.Submit{task("e", 1, of("x")), task("f", 1, of("q"))}, Cancels: []plan.Cancel{{TaskID: "c"}},
		}
	}
	first := plan.Turn(l.m.Snapshot(l.now, req()), req())
	for range 20 {
		require.Equal(t, first, plan.Turn(l.m.Snapshot(l.now, req()), req()))
	}
}
