package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
)

func TestOutageRefusesAsksAndKeepsResults(t *testing.T) {
	t.Parallel()
	st := &faulty{Store: memory(t, newPool(domain.BackendMemory))}
	release := make(chan struct{})
	p := launch(t, options(st), newRunner(func(_ context.Context, task domain.Task) plan.Settle {
		<-release
		return plan.Settle{Ref: task.Ref(), Units: task.Units, Verdict: plan.VerdictCompleted}
	}))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(5))))

	st.set(func(f *faulty) { f.down = true })
	close(release) // five results come in while nothing answers
	began := time.Now()
	err := answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("late")}))
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
	require.Less(t, time.Since(began), soon)
	var e *domain.Error
	require.ErrorAs(t, err, &e)
	require.Positive(t, e.RetryAfter)
	_, err = p.Cancel(t.Context(), poolID, plan.Cancel{TaskID: "task-0"})
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "at once from now on")

	st.set(func(f *faulty) { f.down = false })
	for i := range 5 {
		wantStatus(t, st, domain.TaskID(fmt.Sprint("task-", i)), domain.StatusCompleted)
	}
	eventually(t, func() bool {
		return answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("late")})) == nil
	}, func() string { return "submissions are still refused" })
	wantStatus(t, st, "late", domain.StatusCompleted)
	wantBalance(t, st)
}

func TestShortOutageIsNotNoticed(t *testing.T) {
	t.Parallel()
	st := &faulty{Store: memory(t, newPool(domain.BackendMemory))}
	opts := options(st)
	opts.Patience = soon
	p := launch(t, opts, newRunner(nil))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(1))))
	st.set(func(f *faulty) { f.down = true })
	time.AfterFunc(30*time.Millisecond, func() { st.set(func(f *faulty) { f.down = false }) })
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("patient")})))
	wantStatus(t, st, "patient", domain.StatusCompleted)
}

func TestBackendThatIsDownAtStart(t *testing.T) {
	t.Parallel()
	st := &faulty{Store: memory(t, newPool(domain.BackendMemory)), down: true}
	p := launch(t, options(st), newRunner(nil))
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(answerOr(p.Submit(t.Context(), poolID, submits(1)))))
	require.Zero(t, st.turnCount(), "no turn before this process is registered")
	st.set(func(f *faulty) { f.down = false })
	eventually(t, func() bool { return answerOr(p.Submit(t.Context(), poolID, submits(1))) == nil },
		func() string { return "submissions are still refused" })
	wantStatus(t, st, "task-0", domain.StatusCompleted)
}

func TestUnknownCommitIsResolved(t *testing.T) {
	t.Parallel()
	tests := map[string]commitFault{
		"went through":                     {durable: true},
		"went through, learned late":       {durable: true, lookups: 3},
		"did not go through":               {durable: false},
		"did not go through, learned late": {durable: false, lookups: 3},
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := &faulty{Store: memory(t, newPool(domain.BackendMemory))}
			opts := options(st)
			opts.Patience = soon
			p := launch(t, opts, newRunner(nil))
			require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("first")})))
			wantStatus(t, st, "first", domain.StatusCompleted)

			st.set(func(f *faulty) { f.commit = []commitFault{fault, fault} }) // of the start, then of what settles
			answers, err := p.Submit(t.Context(), poolID, submits(3))
			require.NoError(t, err)
			for _, a := range answers {
				require.Nil(t, a.Err)
				require.False(t, a.Known, "decided once")
			}
			for i := range 3 {
				wantStatus(t, st, domain.TaskID(fmt.Sprint("task-", i)), domain.StatusCompleted)
			}
			for ref, n := range p.run.started() {
				require.Equal(t, 1, n, "attempt %v", ref)
			}
			require.Len(t, p.run.started(), 4)
			wantBalance(t, st)
		})
	}
}

// A turn that was looked for and not found is refused when it arrives after all, also before any other
// turn has been taken.
func TestUnknownCommitThatArrivesLate(t *testing.T) {
	t.Parallel()
	st := &faulty{Store: memory(t, newPool(domain.BackendMemory))}
	p := launch(t, options(st), newRunner(nil))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("first")})))
	wantStatus(t, st, "first", domain.StatusCompleted)

	var late error
	seen := 0
	st.set(func(f *faulty) {
		f.commit = []commitFault{{durable: false}}
		f.after = func() {
			lost := st.lostTurns()
			if seen += len(lost); seen != 2 { // the call after the lost one: that which looks for it
				return
			}
			_, late = st.Store.Turn(t.Context(), store.TurnSpec{
				Pool:   poolID,
				Gather: func() *plan.Requests { return &plan.Requests{} },
				Decide: func(plan.Snapshot, *plan.Requests) plan.Decisions { return lost[0] },
			})
		}
	})
	answers, err := p.Submit(t.Context(), poolID, submits(3))
	require.NoError(t, err)
	require.ErrorIs(t, late, store.ErrGuard)
	for _, a := range answers {
		require.False(t, a.Known, "decided once")
	}
	for i := range 3 {
		wantStatus(t, st, domain.TaskID(fmt.Sprint("task-", i)), domain.StatusCompleted)
	}
	for ref, n := range p.run.started() {
		require.Equal(t, 1, n, "attempt %v", ref)
	}
	wantBalance(t, st)
}

func TestCallersOfAnUnknownCommitAreNotKeptWaiting(t *testing.T) {
	t.Parallel()
	st := &faulty{Store: memory(t, newPool(domain.BackendMemory))}
	p := launch(t, options(st), newRunner(nil))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("first")})))
	wantStatus(t, st, "first", domain.StatusCompleted)

	st.set(func(f *faulty) { f.commit = []commitFault{{durable: true, lookups: 1 << 30}} })
	err := answerOr(p.Submit(t.Context(), poolID, submits(1)))
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
	st.set(func(f *faulty) { f.unknowns = 0 })
	wantStatus(t, st, "task-0", domain.StatusCompleted)
	answers, err := p.Submit(t.Context(), poolID, submits(1))
	require.NoError(t, err)
	require.True(t, answers[0].Known, "the same submission again is answered as the first")
	for ref, n := range p.run.started() {
		require.Equal(t, 1, n, "attempt %v", ref)
	}
}

// poisonous refuses every turn that carries one of the ids.
func poisonous(ids ...domain.TaskID) func(*plan.Requests) error {
	return func(r *plan.Requests) error {
		for i := range r.Submits {
			if slices.Contains(ids, r.Submits[i].TaskID) {
				return fmt.Errorf("%w: %w", store.ErrData, errInjected)
			}
		}
		return nil
	}
}

func TestPoisonIsFoundAndTheOthersGoThrough(t *testing.T) {
	t.Parallel()
	st := &faulty{Store: memory(t, newPool(domain.BackendMemory)), poison: poisonous("task-7", "task-31")}
	p := launch(t, options(st), newRunner(nil))
	answers, err := p.Submit(t.Context(), poolID, submits(50))
	require.NoError(t, err)
	for i, a := range answers {
		id := domain.TaskID(fmt.Sprint("task-", i))
		if i == 7 || i == 31 {
			require.Equal(t, domain.CodeInvalid, a.Err.Code)
			_, err := st.Task(t.Context(), poolID, id)
			require.ErrorIs(t, err, store.ErrNotFound)
			continue
		}
		require.Nil(t, a.Err, "%d", i)
		wantStatus(t, st, id, domain.StatusCompleted)
	}
	wantBalance(t, st)
}

func TestPoisonousResultFailsItsTask(t *testing.T) {
	t.Parallel()
	st := &faulty{Store: memory(t, newPool(domain.BackendMemory)), poison: func(r *plan.Requests) error {
		for i := range r.Settles {
			if string(r.Settles[i].Result) == `"poison"` {
				return fmt.Errorf("%w: %w", store.ErrData, errInjected)
			}
		}
		return nil
	}}
	p := launch(t, options(st), newRunner(func(_ context.Context, task domain.Task) plan.Settle {
		s := plan.Settle{Ref: task.Ref(), Units: task.Units, Verdict: plan.VerdictCompleted, Result: []byte(`"good"`)}
		if task.TaskID == "task-3" {
			s.Result = []byte(`"poison"`)
		}
		return s
	}))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(8))))
	task := wantStatus(t, st, "task-3", domain.StatusFailed)
	require.Equal(t, domain.ReasonResultInvalid, task.Reason.Code)
	for i := range 8 {
		if i != 3 {
			wantStatus(t, st, domain.TaskID(fmt.Sprint("task-", i)), domain.StatusCompleted)
		}
	}
	eventually(t, func() bool { return len(p.run.Holding(poolID)) == 0 }, func() string { return "units leaked" })
	wantBalance(t, st)
}

func TestPoolThatRefusesEverythingBlamesNobody(t *testing.T) {
	t.Parallel()
	var refuse error
	st := &faulty{Store: memory(t, newPool(domain.BackendMemory)), poison: func(*plan.Requests) error { return refuse }}
	p := launch(t, options(st), newRunner(nil))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("first")})))
	wantStatus(t, st, "first", domain.StatusCompleted)
	st.set(func(*faulty) { refuse = fmt.Errorf("%w: %w", store.ErrData, errInjected) })
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(answerOr(p.Submit(t.Context(), poolID, submits(4)))))
	st.set(func(*faulty) { refuse = nil })
	eventually(t, func() bool { return answerOr(p.Submit(t.Context(), poolID, submits(4))) == nil },
		func() string { return "the pool does not recover" })
	wantStatus(t, st, "task-3", domain.StatusCompleted)
}

func TestGuardMeansAgain(t *testing.T) {
	t.Parallel()
	left := 12
	st := &faulty{Store: memory(t, newPool(domain.BackendMemory)), poison: func(r *plan.Requests) error {
		if left == 0 || r.Empty() {
			return nil
		}
		left--
		return fmt.Errorf("%w: %w", store.ErrGuard, errInjected)
	}}
	opts := options(st)
	opts.Patience = soon
	p := launch(t, opts, newRunner(nil))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(10))))
	for i := range 10 {
		wantStatus(t, st, domain.TaskID(fmt.Sprint("task-", i)), domain.StatusCompleted)
	}
	for ref, n := range p.run.started() {
		require.Equal(t, 1, n, "attempt %v", ref)
	}
}

func TestPanicInThePlanFailsOnlyItsCause(t *testing.T) {
	t.Parallel()
	st := memory(t, newPool(domain.BackendMemory))
	opts := scheduler.WithDecide(options(st), func(snap plan.Snapshot, reqs *plan.Requests) plan.Decisions {
		for i := range reqs.Submits {
			if reqs.Submits[i].TaskID == "task-2" {
				panic(errors.New("a bug"))
			}
		}
		return plan.Turn(snap, reqs)
	})
	p := launch(t, opts, newRunner(nil))
	answers, err := p.Submit(t.Context(), poolID, submits(6))
	require.NoError(t, err)
	for i, a := range answers {
		if i == 2 {
			require.Equal(t, domain.CodeInternal, a.Err.Code)
			continue
		}
		require.Nil(t, a.Err)
		wantStatus(t, st, domain.TaskID(fmt.Sprint("task-", i)), domain.StatusCompleted)
	}
	wantBalance(t, st)
}

func TestRowHeldBySomebodyElseDelaysOnlyItsRequest(t *testing.T) {
	t.Parallel()
	held := true
	st := &faulty{Store: memory(t, newPool(domain.BackendMemory)), poison: func(r *plan.Requests) error {
		for i := range r.Settles {
			if held && r.Settles[i].Ref.JobID == 1 {
				return fmt.Errorf("%w: %w", store.ErrGuard, errInjected)
			}
		}
		return nil
	}}
	p := launch(t, options(st), newRunner(nil))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(9))))
	for i := 1; i < 9; i++ {
		wantStatus(t, st, domain.TaskID(fmt.Sprint("task-", i)), domain.StatusCompleted)
	}
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("later")})))
	wantStatus(t, st, "later", domain.StatusCompleted)
	wantStatus(t, st, "task-0", domain.StatusRunning)
	st.set(func(*faulty) { held = false })
	wantStatus(t, st, "task-0", domain.StatusCompleted)
	wantBalance(t, st)
}

func TestAskForARowHeldBySomebodyElseIsToldSo(t *testing.T) {
	t.Parallel()
	st := &faulty{Store: memory(t, newPool(domain.BackendMemory)), poison: func(r *plan.Requests) error {
		if len(r.Cancels) > 0 {
			return fmt.Errorf("%w: %w", store.ErrGuard, errInjected)
		}
		return nil
	}}
	p := launch(t, options(st), newRunner(forever))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(1))))
	_, err := p.Cancel(t.Context(), poolID, plan.Cancel{TaskID: "task-0"})
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
}
