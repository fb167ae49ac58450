package scheduler_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
)

func TestHeldButNotRunningIsLost(t *testing.T) {
	t.Parallel()
	st := memory(t, newPool(domain.BackendMemory, func(p *domain.Pool) { p.MaxAttempts = 2 }))
	p := launch(t, options(st), newRunner(forever))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(2))))
	wantStatus(t, st, "task-1", domain.StatusRunning)
	gone := wantStatus(t, st, "task-0", domain.StatusRunning)

	p.run.forget(gone.Ref())
	again := wantTask(t, st, "task-0", "a second attempt", func(task domain.Task) bool { return task.Attempt == 2 })
	require.Equal(t, 2, again.MaxAttempts)
	time.Sleep(100 * time.Millisecond) // five more looks
	other, err := st.Task(t.Context(), poolID, "task-1")
	require.NoError(t, err)
	require.Equal(t, 1, other.Attempt, "what runs is left alone")
}

func TestRunningButNotHeldIsAbandoned(t *testing.T) {
	t.Parallel()
	st := memory(t, newPool(domain.BackendMemory))
	p := launch(t, options(st), newRunner(forever))
	stranger := domain.Task{PoolID: poolID, JobID: 99, Attempt: 1, TaskID: "stranger"}
	p.run.Start([]domain.Task{stranger})
	eventually(t, func() bool { return p.run.wasAbandoned(stranger.Ref()) }, func() string { return "the stranger still runs" })
}

func TestStopReachesAnotherProcess(t *testing.T) {
	t.Parallel()
	for name, quiet := range map[string]bool{"by a hint": false, "without hints": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, b := memory(t, newPool(domain.BackendMemory)), newBus()
			first := launch(t, fleetOptions(st, b), newRunner(forever))
			require.NoError(t, answerOr(first.Submit(t.Context(), poolID, submits(1))))
			second := launch(t, fleetOptions(st, b), newRunner(forever))
			if quiet {
				b.silence()
			}
			ended, leave := second.Watch(poolID)
			defer leave()
			_, err := second.Cancel(t.Context(), poolID, plan.Cancel{TaskID: "task-0"})
			require.NoError(t, err)
			wantStatus(t, st, "task-0", domain.StatusFailed)
			select {
			case <-ended:
			case <-time.After(soon):
				require.Fail(t, "the watcher in the other process was not woken")
			}
		})
	}
}

func fleetOptions(st store.Store, b *bus) scheduler.Options {
	o := options(st)
	o.Stores[st.Backend()] = b.join(st)
	return o
}

func TestDeadlineOfADeadProcessFiresElsewhere(t *testing.T) {
	t.Parallel()
	for name, quiet := range map[string]bool{"by a hint": false, "by the safety poll": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, b := memory(t, newPool(domain.BackendMemory, func(p *domain.Pool) { p.MaxUnits = 1 })), newBus()
			survivor := launch(t, fleetOptions(st, b), newRunner(forever))
			require.NoError(t, answerOr(survivor.Submit(t.Context(), poolID, []plan.Submit{submit("blocks")})))
			dies := launch(t, fleetOptions(st, b), newRunner(forever))
			if quiet {
				b.silence()
			}
			deadline := time.Now().Add(150 * time.Millisecond)
			require.NoError(t, answerOr(dies.Submit(t.Context(), poolID,
				[]plan.Submit{submit("waits", func(s *plan.Submit) { s.Deadline = &deadline })})))
			dies.stop()
			wantStatus(t, st, "waits", domain.StatusExpired)
		})
	}
}

func TestWorkOfTheDeadRunsAgain(t *testing.T) {
	t.Parallel()
	st, b := memory(t, newPool(domain.BackendMemory, func(p *domain.Pool) { p.MaxAttempts = 3 })), newBus()
	cut := &faulty{Store: st}
	opts := options(st)
	opts.Stores[st.Backend()] = &struct {
		store.Store
		store.Waker
	}{cut, b.join(st)}
	dying := launch(t, opts, newRunner(forever))
	require.NoError(t, answerOr(dying.Submit(t.Context(), poolID, submits(3))))
	held := wantStatus(t, st, "task-2", domain.StatusRunning)
	survivor := launch(t, fleetOptions(st, b), newRunner(nil))

	cut.set(func(f *faulty) { f.down, f.deaf = true, true })
	for _, id := range []domain.TaskID{"task-0", "task-1", "task-2"} {
		task := wantStatus(t, st, id, domain.StatusCompleted)
		require.Equal(t, 2, task.Attempt)
	}
	require.True(t, dying.run.wasAbandoned(held.Ref()), "it stopped by its own clock before it was taken for dead")
	require.NotEqual(t, held.Holder, dying.Worker(st.Backend()).ID)
	require.Len(t, survivor.run.started(), 3)

	// It comes back under its new id and takes part again.
	cut.set(func(f *faulty) { f.down, f.deaf = false, false })
	eventually(t, func() bool {
		return answerOr(dying.Submit(t.Context(), poolID, []plan.Submit{submit("back")})) == nil
	}, func() string { return "the process does not come back" })
	wantStatus(t, st, "back", domain.StatusRunning)
	wantBalance(t, st)
}

func TestIncarnationMarkedDeadStartsOver(t *testing.T) {
	t.Parallel()
	st, b := memory(t, newPool(domain.BackendMemory, func(p *domain.Pool) { p.MaxAttempts = 3 })), newBus()
	opts := fleetOptions(st, b)
	reborn := make(chan store.Worker, 1)
	opts.Reborn = func(_ context.Context, backend domain.Backend, old store.Worker) store.Worker {
		old.ID += "-again"
		reborn <- old
		require.Equal(t, st.Backend(), backend)
		return old
	}
	opts.Worker.ID = "first"
	p := launch(t, opts, newRunner(forever))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(1))))
	wantStatus(t, st, "task-0", domain.StatusRunning)

	_, err := st.Reap(t.Context(), time.Millisecond, time.Now().Add(time.Hour))
	require.NoError(t, err)
	select {
	case w := <-reborn:
		require.Equal(t, domain.WorkerID("first-again"), w.ID)
	case <-time.After(soon):
		require.Fail(t, "the process did not start over")
	}
	again := wantTask(t, st, "task-0", "a second attempt under the new id", func(task domain.Task) bool {
		return task.Attempt == 2 && task.Holder == "first-again"
	})
	require.Equal(t, domain.StatusRunning, again.Status)
	require.True(t, p.run.wasAbandoned(domain.Ref{PoolID: poolID, JobID: again.JobID, Attempt: 1}))
}

func TestStartUnderAGivenUpIdGoesBack(t *testing.T) {
	t.Parallel()
	under, b := memory(t, newPool(domain.BackendMemory)), newBus()
	st := &faulty{Store: under}
	opts := options(under)
	opts.Stores[under.Backend()] = &struct {
		store.Store
		store.Waker
	}{st, b.join(under)}
	p := launch(t, opts, newRunner(nil))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("first")})))
	wantStatus(t, under, "first", domain.StatusCompleted)

	before := p.Worker(under.Backend()).ID
	st.set(func(f *faulty) {
		f.after = sync.OnceFunc(func() { // the process is marked dead between commit and answer
			_, err := under.Reap(context.Background(), time.Millisecond, time.Now().Add(time.Hour))
			if err != nil {
				t.Error(err)
			}
			for p.Worker(under.Backend()).ID == before {
				time.Sleep(glimpse)
			}
		})
	})
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(1))))
	task := wantStatus(t, under, "task-0", domain.StatusCompleted)
	require.Equal(t, 2, task.Attempt)
	require.NotEqual(t, before, p.Worker(under.Backend()).ID)
	starts := p.run.started()
	require.NotContains(t, starts, domain.Ref{PoolID: poolID, JobID: task.JobID, Attempt: 1}, "nothing runs under an id that is dead")
	wantBalance(t, under)
}

func TestReaperWaitsAfterAnOutage(t *testing.T) {
	t.Parallel()
	st, b := memory(t, newPool(domain.BackendMemory)), newBus()
	// Somebody else's heartbeat is old because nothing answered, not because it died.
	require.NoError(t, st.Heartbeat(t.Context(), store.Worker{ID: "other", Role: "serve", StartedAt: time.Now()}, time.Now().Add(-time.Hour)))
	opts := fleetOptions(st, b)
	opts.WorkerTTL = time.Hour
	opts.Margin = time.Minute
	launch(t, opts, newRunner(nil))
	time.Sleep(250 * time.Millisecond) // five heartbeats, each of which could reap
	workers, err := st.ListWorkers(t.Context())
	require.NoError(t, err)
	require.Len(t, workers, 2)
	for _, w := range workers {
		require.Nil(t, w.DeadAt, "worker %s", w.ID)
	}
}

func TestLeavingOnPurpose(t *testing.T) {
	t.Parallel()
	st := memory(t, newPool(domain.BackendMemory))
	p := launch(t, options(st), newRunner(nil))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, submits(1))))
	wantStatus(t, st, "task-0", domain.StatusCompleted)
	p.stop()
	workers, err := st.ListWorkers(t.Context())
	require.NoError(t, err)
	require.Empty(t, workers)
}

func TestOrphansOfAnEarlierProcessAreLostAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st := file(t, path)
	create(t, st, newPool(domain.BackendFile, func(p *domain.Pool) { p.MaxAttempts = 2 }))
	first := launch(t, options(st), newRunner(forever))
	require.NoError(t, answerOr(first.Submit(t.Context(), poolID, submits(3))))
	wantStatus(t, st, "task-2", domain.StatusRunning)
	first.stop() // settles nothing
	require.NoError(t, st.Close())

	st = file(t, path)
	opts := options(st)
	opts.WorkerTTL = time.Hour // nothing to wait for: nobody else can be alive
	launch(t, opts, newRunner(nil))
	for _, id := range []domain.TaskID{"task-0", "task-1", "task-2"} {
		task := wantStatus(t, st, id, domain.StatusCompleted)
		require.Equal(t, 2, task.Attempt)
	}
	wantBalance(t, st)
}

func file(t testing.TB, path string) store.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	return st
}

func TestProcessWithoutAStarterStartsNothingNative(t *testing.T) {
	t.Parallel()
	st, b := memory(t, newPool(domain.BackendMemory)), newBus()
	bare := launch(t, fleetOptions(st, b), nil)
	require.NoError(t, answerOr(bare.Submit(t.Context(), poolID, submits(1))))
	wantStatus(t, st, "task-0", domain.StatusQueued)
	launch(t, fleetOptions(st, b), newRunner(nil))
	wantStatus(t, st, "task-0", domain.StatusCompleted)
}
