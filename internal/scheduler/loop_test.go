package scheduler_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
)

func TestEverySubmissionRunsOnce(t *testing.T) {
	t.Parallel()
	st := memory(t, newPool(domain.BackendMemory))
	p := launch(t, options(st), newRunner(nil))

	const callers, each = 10, 20
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			reqs := make([]plan.Submit, each)
			for i := range reqs {
				reqs[i] = submit(strconv.Itoa(c) + "-" + strconv.Itoa(i))
			}
			answers, err := p.Submit(context.Background(), poolID, reqs)
			if err != nil || len(answers) != each {
				t.Errorf("submit: %d answers, %v", len(answers), err)
				return
			}
			for i, a := range answers {
				if a.Err != nil || a.Task.TaskID != reqs[i].TaskID {
					t.Errorf("answer %d: %v", i, a.Err)
				}
			}
		})
	}
	wg.Wait()
	for c := range callers {
		for i := range each {
			wantStatus(t, st, domain.TaskID(strconv.Itoa(c)+"-"+strconv.Itoa(i)), domain.StatusCompleted)
		}
	}
	starts := p.run.started()
	require.Len(t, starts, callers*each)
	for ref, n := range starts {
		require.Equal(t, 1, n, "%v", ref)
	}
	wantBalance(t, st)
}

func TestUnknownPool(t *testing.T) {
	t.Parallel()
	st := memory(t, newPool(domain.BackendMemory))
	p := launch(t, options(st, poolID, "configured-but-not-stored"), newRunner(nil))

	for _, id := range []domain.PoolID{"nowhere", "configured-but-not-stored"} {
		require.Equal(t, domain.CodeUnknownPool, domain.CodeOf(answerOr(p.Submit(t.Context(), id, submits(1)))), "%s", id)
	}
	require.Equal(t, domain.CodeUnknownPool, domain.CodeOf(p.AddPool(t.Context(), "nowhere", st.Backend())))
}

// answerOr returns the error of a call, or of its first answer.
func answerOr(answers []plan.Answer, err error) error {
	if err == nil && answers[0].Err != nil {
		return answers[0].Err
	}
	return err
}

func TestPoolsOfTwoBackendsAndOneAddedLater(t *testing.T) {
	t.Parallel()
	first, second := memory(t, newPool(domain.BackendMemory)), memory(t)
	later := newPool(domain.BackendFile, func(p *domain.Pool) { p.PoolID = "later" })
	create(t, second, later)
	opts := options(first)
	opts.Stores[domain.BackendFile] = second
	p := launch(t, opts, newRunner(nil))

	require.Equal(t, domain.CodeUnknownPool, domain.CodeOf(answerOr(p.Submit(t.Context(), "later", submits(1)))))
	require.NoError(t, p.AddPool(t.Context(), "later", domain.BackendFile))
	require.NoError(t, p.AddPool(t.Context(), "later", domain.BackendFile), "again changes nothing")
	for _, id := range []domain.PoolID{poolID, "later"} {
		require.NoError(t, answerOr(p.Submit(t.Context(), id, submits(1))))
	}
	wantStatus(t, first, "task-0", domain.StatusCompleted)
	eventually(t, func() bool {
		task, err := second.Task(t.Context(), "later", "task-0")
		return err == nil && task.Status == domain.StatusCompleted
	}, func() string { return "the task in the second backend did not complete" })
}

func TestTimersNeedNoRequests(t *testing.T) {
	t.Parallel()
	st := &faulty{Store: memory(t, newPool(domain.BackendMemory, func(p *domain.Pool) { p.MaxUnits, p.MaxAttempts = 1, 3 }))}
	failed := make(chan struct{})
	var once sync.Once
	run := newRunner(func(ctx context.Context, task domain.Task) plan.Settle {
		if task.TaskID == "retries" && task.Attempt == 1 {
			defer once.Do(func() { close(failed) })
			return plan.Settle{Ref: task.Ref(), Units: 1, Verdict: plan.VerdictFailed, Retryable: true}
		}
		if task.TaskID == "retries" {
			return plan.Settle{Ref: task.Ref(), Units: 1, Verdict: plan.VerdictCompleted}
		}
		return forever(ctx, task)
	})
	p := launch(t, options(st), run)

	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("retries")})))
	<-failed
	got := wantStatus(t, st, "retries", domain.StatusCompleted)
	require.Equal(t, 2, got.Attempt, "the end of the backoff brought it back")

	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("blocks")})))
	deadline := time.Now().Add(60 * time.Millisecond)
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("waits", func(s *plan.Submit) { s.Deadline = &deadline })})))
	before := st.turnCount()
	got = wantStatus(t, st, "waits", domain.StatusExpired)
	require.Equal(t, domain.ReasonDeadlinePassed, got.Reason.Code)
	require.LessOrEqual(t, st.turnCount()-before, 5, "a timer, not polling")

	time.Sleep(50 * time.Millisecond)
	idle := st.turnCount()
	time.Sleep(100 * time.Millisecond)
	require.Equal(t, idle, st.turnCount(), "nothing to do, no turns")
}

func TestCallerWhoGivesUpLosesOnlyTheAnswer(t *testing.T) {
	t.Parallel()
	inTurn, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	st := memory(t, newPool(domain.BackendMemory))
	opts := scheduler.WithDecide(options(st), func(snap plan.Snapshot, reqs *plan.Requests) plan.Decisions {
		if len(reqs.Submits) > 0 {
			once.Do(func() { close(inTurn); <-goOn })
		}
		return plan.Turn(snap, reqs)
	})
	p := launch(t, opts, newRunner(nil))

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := p.Submit(ctx, poolID, submits(1))
		done <- err
	}()
	<-inTurn
	cancel()
	err := <-done
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
	require.ErrorIs(t, err, context.Canceled)
	close(goOn)
	wantStatus(t, st, "task-0", domain.StatusCompleted)

	again, err := p.Submit(t.Context(), poolID, submits(1))
	require.NoError(t, err)
	require.True(t, again[0].Known, "the same body again gets the first answer")
}

func TestWatchersHearOfEnds(t *testing.T) {
	t.Parallel()
	st := memory(t, newPool(domain.BackendMemory))
	release := make(chan struct{})
	p := launch(t, options(st), newRunner(func(_ context.Context, task domain.Task) plan.Settle {
		<-release
		return plan.Settle{Ref: task.Ref(), Units: task.Units, Verdict: plan.VerdictCompleted}
	}))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(2))))
	time.Sleep(10 * time.Millisecond)

	everywhere, leave := p.Watch("")
	defer leave()
	pool, leavePool := p.Watch(poolID)
	defer leavePool()
	task, leaveTask := p.WatchTask(poolID, "task-1")
	defer leaveTask()
	other, leaveOther := p.WatchTask(poolID, "another")
	defer leaveOther()
	drain(everywhere, pool, task, other) // what came with the start
	close(release)
	for _, ch := range []<-chan struct{}{everywhere, pool, task} {
		select {
		case <-ch:
		case <-time.After(soon):
			require.Fail(t, "a watcher was not woken")
		}
	}
	wantStatus(t, st, "task-0", domain.StatusCompleted)
	select {
	case <-other:
		require.Fail(t, "a watcher of another task was woken")
	default:
	}
}

func drain(chs ...<-chan struct{}) {
	for _, ch := range chs {
		select {
		case <-ch:
		default:
		}
	}
}

func TestCancelStopsWhatRunsHere(t *testing.T) {
	t.Parallel()
	st := memory(t, newPool(domain.BackendMemory))
	p := launch(t, options(st), newRunner(forever))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(1))))
	answer, err := p.Cancel(t.Context(), poolID, plan.Cancel{TaskID: "task-0", Actor: "ann"})
	require.NoError(t, err)
	require.Nil(t, answer.Err)
	task := wantStatus(t, st, "task-0", domain.StatusFailed)
	require.Equal(t, domain.ReasonCancelled, task.Reason.Code)
	wantBalance(t, st)
}

func TestChangeAndForce(t *testing.T) {
	t.Parallel()
	st := memory(t, newPool(domain.BackendMemory))
	p := launch(t, options(st), newRunner(forever))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(1))))

	forced, err := p.Force(t.Context(), poolID, plan.Force{TaskID: "task-0", Status: domain.StatusCompleted, Actor: "ann"})
	require.NoError(t, err)
	require.Nil(t, forced.Err)
	require.Equal(t, domain.StatusCompleted, forced.Task.Status)
	eventually(t, func() bool { return len(p.run.Holding(poolID)) == 0 }, func() string { return "the forced task still runs" })

	draining := domain.PoolDraining
	changed, err := p.Change(t.Context(), poolID, plan.PoolChange{State: &draining, Actor: "ann"})
	require.NoError(t, err)
	require.Equal(t, domain.PoolDraining, changed.Pool.State)
	answers, err := p.Submit(t.Context(), poolID, []plan.Submit{submit("late")})
	require.NoError(t, err, "a refusal is a decision")
	require.Equal(t, domain.CodePoolDraining, answers[0].Err.Code)
}

func TestStoppingAnswersEverybody(t *testing.T) {
	t.Parallel()
	st := &faulty{Store: memory(t, newPool(domain.BackendMemory))}
	opts := options(st)
	opts.Patience = time.Hour
	p := launch(t, opts, newRunner(nil))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(1))))
	wantStatus(t, st, "task-0", domain.StatusCompleted)
	st.set(func(f *faulty) { f.down = true })

	done := make(chan error, 2)
	go func() {
		_, err := p.Submit(context.Background(), poolID, []plan.Submit{submit("waits")})
		done <- err
	}()
	go func() {
		_, err := p.Settle(context.Background(), plan.Settle{Ref: domain.Ref{PoolID: poolID, JobID: 1, Attempt: 1}})
		done <- err
	}()
	time.Sleep(20 * time.Millisecond)
	p.stop()
	for range 2 {
		require.Equal(t, domain.CodeUnavailable, domain.CodeOf(<-done))
	}
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(answerOr(p.Submit(t.Context(), poolID, submits(1)))), "and refuses later ones")
	require.Error(t, p.Run(t.Context()), "Run is called once")
}

func TestOptionsReportEveryFault(t *testing.T) {
	t.Parallel()
	_, err := scheduler.New(scheduler.Options{
		Pools:     []scheduler.Pool{{ID: "a", Backend: "file"}, {ID: "a", Backend: "file"}},
		WorkerTTL: time.Second, HeartbeatEvery: time.Second,
	})
	require.ErrorContains(t, err, "not open")
	require.ErrorContains(t, err, "named twice")
	require.ErrorContains(t, err, "heartbeat")
}

func TestDrainLeavesStartsToOthers(t *testing.T) {
	t.Parallel()
	for name, quiet := range map[string]bool{"by a hint": false, "by the safety poll": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, b := memory(t, newPool(domain.BackendMemory, func(p *domain.Pool) { p.MaxUnits = 1 })), newBus()
			first := launch(t, fleetOptions(st, b), newRunner(forever))
			require.NoError(t, answerOr(first.Submit(t.Context(), poolID, submits(2))))
			wantStatus(t, st, "task-0", domain.StatusRunning)

			opts := fleetOptions(st, b)
			if !quiet {
				opts.SafetyPoll = -1
			}
			second := launch(t, opts, newRunner(nil))
			if quiet {
				b.silence()
			}
			require.NoError(t, first.Drain(t.Context()))
			_, err := first.Cancel(t.Context(), poolID, plan.Cancel{TaskID: "task-0"})
			require.NoError(t, err)
			wantStatus(t, st, "task-1", domain.StatusCompleted)
			require.Len(t, first.run.started(), 1)
			require.Len(t, second.run.started(), 1)
			require.True(t, b.sent(func(w store.Wake) bool { return w.Turn }))
		})
	}
}
