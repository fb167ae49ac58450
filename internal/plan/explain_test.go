package plan_test

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/plan/plantest"
)

// TestExplanationsAreWhatTurnsDo runs random sequences of turns and explains every
// queued task after each: the explanation must come true in the turn that it speaks of.
func TestExplanationsAreWhatTurnsDo(t *testing.T) {
	t.Parallel()
	for round := range 8 {
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				w := newWorld(t)
				for range rapid.IntRange(1, 12).Draw(t, "turns") {
					w.now = w.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
					req := w.requests()
					req.NoStart = req.NoStart || rapid.Bool().Draw(t, "parks")
					w.turn(req)
					w.explain()
				}
			})
		})
	}
}

// explain explains every queued task, and checks it against a turn.
func (w *world) explain() {
	snap := w.m.Snapshot(w.now, &plan.Requests{})
	if len(snap.Due) > 0 || len(snap.Rested) > 0 {
		return // the next turn changes the order first
	}
	order := w.m.Order()
	for i := range w.m.Tasks {
		if w.m.Tasks[i].Status != domain.StatusQueued {
			continue
		}
		s := plan.Scene{Snapshot: snap, Task: w.m.Tasks[i], Drain: plan.Drain{PerSecond: 1, Over: time.Minute}}
		s.Position = int64(slices.IndexFunc(order, func(t domain.Task) bool { return t.JobID == s.Task.JobID })) + 1
		(&promise{T: w.T, scene: &s, e: plan.Explain(&s)}).check()
	}
}

// promise is an explanation, and what it says of the future.
type promise struct {
	*rapid.T
	scene *plan.Scene
	e     plan.Explanation
}

func (p *promise) check() {
	e, task := p.e, &p.scene.Task
	require.NotEmpty(p.T, e.Message)
	require.LessOrEqual(p.T, int64(len(e.Ahead)), max(0, e.Position-1))
	for i := range e.Ahead {
		require.NotEqual(p.T, task.JobID, e.Ahead[i].JobID)
	}
	starts := p.starts(func(*plan.Snapshot) {})
	require.Equal(p.T, starts, e.Code == plan.WhyStarting || e.Code == plan.WhyNoWorker, "%s: %s", e.Code, e.Message)
	switch e.Code {
	case plan.WhyNoWorker:
		require.Equal(p.T, domain.RuntimeWeb, p.scene.Pool.Runtime)
		require.Zero(p.T, e.ShortUnits)
	case plan.WhyStarting:
		require.NotEqual(p.T, domain.RuntimeWeb, p.scene.Pool.Runtime)
		require.Zero(p.T, e.ShortUnits)
	case plan.WhyUnits:
		require.Positive(p.T, e.ShortUnits)
		require.True(p.T, p.starts(frees(e.ShortUnits)), "%d units free do not start it", e.ShortUnits)
		require.False(p.T, p.starts(frees(e.ShortUnits-1)), "less than %d units start it", e.ShortUnits)
	case plan.WhyOrder:
		if e.ShortUnits > 0 {
			require.True(p.T, p.starts(frees(e.ShortUnits)), "%d units free do not start it and those in front of it", e.ShortUnits)
		}
	case plan.WhyHeadKeptFree:
		require.LessOrEqual(p.T, task.Units, e.FreeUnits)
		require.GreaterOrEqual(p.T, e.Head.Overtaken, p.scene.Pool.MaxOvertakes)
		require.NotEqual(p.T, task.JobID, e.Head.JobID)
		require.True(p.T, p.starts(func(s *plan.Snapshot) { s.Pool.MaxOvertakes = math.MaxInt; frees(unlimited)(s) }))
	case plan.WhyTenantCap:
		require.False(p.T, p.starts(frees(unlimited)), "the tenant's cap does not hold it back")
		if e.TenantShort > 0 {
			require.True(p.T, p.starts(func(s *plan.Snapshot) {
				frees(unlimited)(s)
				s.Tenants = maps.Clone(s.Tenants)
				u := s.Tenants[task.Tenant]
				u.ActiveUnits -= e.TenantShort
				s.Tenants[task.Tenant] = u
			}) || p.scene.CandidatesCut, "%d units of the tenant's do not start it", e.TenantShort)
		}
	case plan.WhyBackoff:
		require.NotNil(p.T, task.NotBefore)
	case plan.WhyDisabled:
		require.Equal(p.T, domain.PoolDisabled, p.scene.Pool.State)
	case plan.WhyCapacityZero:
		require.Zero(p.T, p.scene.Pool.MaxUnits)
	case plan.WhyNeverFits:
		require.False(p.T, p.starts(frees(unlimited)))
	default:
		require.Fail(p.T, "unexpected", "%s: %s", e.Code, e.Message)
	}
}

const unlimited domain.Units = 1 << 40

func frees(n domain.Units) func(*plan.Snapshot) {
	return func(s *plan.Snapshot) { s.Counters.ActiveUnits -= n }
}

// starts reports whether the next turn starts the task, after a change; in a web pool
// for somebody who takes everything.
func (p *promise) starts(change func(*plan.Snapshot)) bool {
	snap := p.scene.Snapshot
	snap.Candidates = slices.Clone(snap.Candidates)
	change(&snap)
	d := plan.Turn(snap, &plan.Requests{Lessees: []plan.Lessee{lessee("w", math.MaxInt32)}})
	return slices.ContainsFunc(d.Started, func(t domain.Task) bool { return t.JobID == p.scene.Task.JobID })
}

// scene is the lot as an explanation of the task sees it.
func (l *lot) scene(id domain.TaskID) *plan.Scene {
	s := &plan.Scene{Snapshot: l.m.Snapshot(l.now, &plan.Requests{}), Task: l.task(id)}
	s.Position = int64(slices.IndexFunc(l.m.Order(), func(t domain.Task) bool { return t.TaskID == id })) + 1
	s.Tenants[s.Task.Tenant] = l.m.Tenants[s.Task.Tenant]
	return s
}

func (l *lot) why(id domain.TaskID) plan.Explanation {
	l.t.Helper()
	return plan.Explain(l.scene(id))
}

func TestExplain(t *testing.T) {
	t.Parallel()
	worker := func(p *domain.Pool) { p.Runtime = domain.RuntimeWorker }
	for name, c := range map[string]struct {
		opts    []func(*domain.Pool)
		do      func(*lot)
		message string
		want    plan.Explanation
	}{
		"units": {
			do:      func(l *lot) { l.submit(task("runs", 7), task("x", 5)) },
			message: "It is next. It needs 5 units and 3 are free: 2 more have to come free.",
			want:    plan.Explanation{Code: plan.WhyUnits, Position: 1, FreeUnits: 3, ShortUnits: 2, TenantUnits: 7},
		},
		"order": {
			do:      func(l *lot) { l.submit(task("runs", 7), task("first", 5), task("x", 4)) },
			message: "1 tasks go first. It needs 4 units itself; 3 are free.",
			want:    plan.Explanation{Code: plan.WhyOrder, Position: 2, FreeUnits: 3, ShortUnits: 6, TenantUnits: 7},
		},
		"kept free": {
			opts:    []func(*domain.Pool){func(p *domain.Pool) { p.MaxOvertakes = 1 }},
			do:      func(l *lot) { l.submit(task("runs", 7), task("head", 5), task("passes", 1), task("x", 2)) },
			message: "It would fit, but 2 free units are kept for task head, which needs 5 and has been overtaken 1 times.",
			want:    plan.Explanation{Code: plan.WhyHeadKeptFree, Position: 2, FreeUnits: 2, ShortUnits: 5, TenantUnits: 8},
		},
		"cap": {
			opts:    []func(*domain.Pool){withTenant("acme", domain.TenantPolicy{MaxUnits: 4})},
			do:      func(l *lot) { l.submit(task("runs", 3), task("first", 2), task("x", 1)) },
			message: "Tenant acme uses 3 of the 4 units it may use at a time; this task needs 1, after those the tenant submitted before it.",
			want:    plan.Explanation{Code: plan.WhyTenantCap, Position: 2, FreeUnits: 7, TenantUnits: 3, TenantLimit: 4, TenantShort: 2},
		},
		"no worker": {
			opts:    []func(*domain.Pool){web},
			do:      func(l *lot) { l.submit(task("x", 1)) },
			message: "It fits and its turn has come; no worker has asked for a task of this pool since.",
			want:    plan.Explanation{Code: plan.WhyNoWorker, Position: 1, FreeUnits: 10},
		},
		"backoff": {
			opts: []func(*domain.Pool){withAttempts(2)},
			do: func(l *lot) {
				l.submit(task("x", 1))
				l.settle("x", plan.VerdictFailed, retryable)
			},
			message: "Attempt 1 failed; it is tried again from 2026-01-02T03:04:15Z on.",
			want:    plan.Explanation{Code: plan.WhyBackoff, FreeUnits: 10},
		},
		"disabled": {
			do: func(l *lot) {
				l.submit(task("runs", 10), task("x", 1))
				l.setState(domain.PoolDisabled)
			},
			message: "The pool is disabled and starts nothing until it is resumed.",
			want:    plan.Explanation{Code: plan.WhyDisabled, Position: 1, TenantUnits: 10},
		},
		"no capacity": {
			do: func(l *lot) {
				l.submit(task("runs", 10), task("x", 1))
				l.setUnits(0)
			},
			message: "The pool has no capacity: its max_units is 0.",
			want:    plan.Explanation{Code: plan.WhyCapacityZero, Position: 1, FreeUnits: -10, TenantUnits: 10},
		},
		"never fits": {
			do: func(l *lot) {
				l.submit(task("runs", 5), task("x", 9))
				l.setUnits(5)
			},
			message: "It needs 9 units, more than the pool has or its tenant may use now: it is dropped when its turn comes.",
			want:    plan.Explanation{Code: plan.WhyNeverFits, Position: 1, TenantUnits: 5},
		},
		"deadline": {
			do: func(l *lot) {
				l.submit(task("runs", 10), task("x", 1, by(l.now.Add(time.Minute))))
				l.now = l.now.Add(time.Hour)
			},
			message: "Its deadline has passed: it expires with one of the pool's next turns.",
			want:    plan.Explanation{Code: plan.WhyDeadline, Position: 1, TenantUnits: 10},
		},
		"running": {
			do:      func(l *lot) { l.submit(task("x", 1)) },
			message: "It runs: attempt 1 of 1.",
			want:    plan.Explanation{Code: plan.WhyRunning, FreeUnits: 9, TenantUnits: 1},
		},
		"unclaimed": {
			opts:    []func(*domain.Pool){worker},
			do:      func(l *lot) { l.submit(task("x", 1)) },
			message: "It has started and its units are taken, but no worker process has fetched it. Is one running for this pool?",
			want:    plan.Explanation{Code: plan.WhyUnclaimed, FreeUnits: 9, TenantUnits: 1},
		},
		"cancelling": {
			do: func(l *lot) {
				l.submit(task("x", 1))
				l.cancel("x")
			},
			message: "It runs, and was asked to stop; it ends when its executor has.",
			want:    plan.Explanation{Code: plan.WhyCancelling, FreeUnits: 9, TenantUnits: 1},
		},
		"ended": {
			do: func(l *lot) {
				l.submit(task("x", 1))
				l.settle("x", plan.VerdictCompleted)
			},
			message: "It has ended: completed.",
			want:    plan.Explanation{Code: plan.WhyEnded, FreeUnits: 10},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := setup(t, c.opts...)
			c.do(l)
			got := l.why("x")
			require.Equal(t, c.message, got.Message)
			got.Message, got.Ahead, got.Head = "", nil, nil
			require.Equal(t, c.want, got)
		})
	}
}

func TestExplainNamesWhoIsAhead(t *testing.T) {
	t.Parallel()
	l := setup(t, withPolicy(domain.PolicyPriority))
	l.submit(task("runs", 10))
	for i := range 25 {
		l.submit(task(domain.TaskID("n"+strconv.Itoa(i)), 1))
	}
	l.submit(task("x", 1), task("urgent", 1, at(domain.PriorityCritical)))
	s := l.scene("x")
	s.Drain = plan.Drain{PerSecond: 2, Over: time.Minute}
	e := plan.Explain(s)
	require.Equal(t, int64(27), e.Position)
	require.Len(t, e.Ahead, 20)
	require.Equal(t, domain.TaskID("urgent"), e.Ahead[0].TaskID)
	require.Equal(t, domain.TaskID("n0"), e.Ahead[1].TaskID)
	require.Equal(t, l.now.Add(13500*time.Millisecond), *e.EstimatedStart)
}

func TestExplainBeyondWhatWasRead(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.m.Limits = plantest.Limits{Candidates: 2, Due: 10}
	l.submit(task("runs", 10), task("a", 1), task("b", 1), task("x", 1))
	e := l.why("x")
	require.Equal(t, plan.WhyOrder, e.Code)
	require.Equal(t, "More tasks are in front of it than were looked at.", e.Message)
	require.Zero(t, e.ShortUnits)
}
