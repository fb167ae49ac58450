package runtime_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
	"github.com/parkinglot/parkinglot/internal/runtime/riverrt"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/workers"
)

// onlyScheduler launches a process that takes turns of a worker pool and runs
// nothing.
func onlyScheduler(_ testing.TB, p *process) { p.drain = p.runner.Drain }

func workerSite(t *testing.T, change ...func(*domain.Pool)) *site {
	t.Helper()
	return onPostgres(domain.RuntimeWorker, launchWorker)(t, change...)
}

// riverJobs counts the River jobs by state.
func (s *site) riverJobs(t *testing.T) map[string]int {
	t.Helper()
	rows, err := s.db.Pool.Query(t.Context(), `SELECT state::text, count(*) FROM river_job GROUP BY state`)
	require.NoError(t, err)
	states := map[string]int{}
	var state string
	var n int
	for rows.Next() {
		require.NoError(t, rows.Scan(&state, &n))
		states[state] = n
	}
	require.NoError(t, rows.Err())
	return states
}

func TestRiverJobsEndWithTheirAttempts(t *testing.T) {
	t.Parallel()

	s := workerSite(t, attemptsOf(2))
	p := s.start(t, workers.Sleep())
	p.submit(t, "good", func(submit *plan.Submit) { submit.Payload = []byte(`{"durationMs": 1}`) })
	p.submit(t, "fails twice", func(submit *plan.Submit) {
		submit.TaskID, submit.Payload = "bad", []byte(`{"durationMs": 1, "fail": "no"}`)
	})
	s.ended(t, "good")
	require.Equal(t, 2, s.ended(t, "bad").Attempt)
	// The turn that settles an attempt ends its River job.
	require.Empty(t, s.riverJobs(t))
	s.balanced(t)
}

func TestCancelledBeforeItIsFetchedNeverRuns(t *testing.T) {
	t.Parallel()

	s := workerSite(t)
	s.launch = onlyScheduler
	edge := s.start(t, nil)
	task := edge.submit(t, "t")
	require.Equal(t, domain.StatusRunning, task.Status, "its units are taken; no worker is there yet")
	_, err := edge.Cancel(t.Context(), poolID, plan.Cancel{TaskID: "t", Actor: "me"})
	require.NoError(t, err)

	s.launch = launchWorker
	s.start(t, does(func(context.Context, workers.Task) (string, error) {
		t.Error("the executor was entered")
		return "", nil
	}))
	ended := s.ended(t, "t")
	require.Equal(t, domain.StatusFailed, ended.Status)
	require.Equal(t, domain.ReasonCancelled, ended.Reason.Code)
	s.balanced(t)
}

// A worker process that lacks the executor leaves the task to one that has it, which
// costs the task nothing, and waits before it does, so that both do not go round and round.
func TestTaskWithoutExecutorIsLeftToOthers(t *testing.T) {
	t.Parallel()

	s := workerSite(t, attemptsOf(1))
	lacking := s.start(t, nil)
	task := lacking.submit(t, "t")
	require.Equal(t, domain.StatusRunning, task.Status)
	declined := func() (n int) {
		events, err := s.st.Events(t.Context(), store.EventFilter{TaskID: "t", Kind: domain.EventRetry, Limit: 100})
		require.NoError(t, err)
		for i := range events {
			require.Equal(t, domain.ReasonExecutorUnknown, events[i].Reason.Code)
			require.Equal(t, domain.StatusQueued, events[i].Status)
		}
		return len(events)
	}
	require.Eventually(t, func() bool { return declined() == 2 }, soon, 20*time.Millisecond)
	now := time.Now().UTC()
	require.GreaterOrEqual(t, now.Sub(task.CreatedAt), 1500*time.Millisecond, "half a second and a second")

	// One that has it begins. The first one may still fetch the task before it, but not often.
	s.start(t, does(func(context.Context, workers.Task) (string, error) { return "1", nil }))
	lacking.stop()
	ended := s.ended(t, "t")
	require.Equal(t, domain.StatusCompleted, ended.Status, ended.Reason)
	require.Equal(t, ended.Attempt, ended.MaxAttempts, "it has used its only attempt, whatever the number")
	s.balanced(t)
}

// What nobody runs for long fails all the same: it takes up units.
func TestTaskThatNobodyRunsFails(t *testing.T) {
	t.Parallel()

	s := workerSite(t, attemptsOf(100))
	s.launch = onlyScheduler
	edge := s.start(t, nil)
	edge.submit(t, "t", func(submit *plan.Submit) { submit.MaxAttempts = 9 })
	for attempt := range 7 { // as if it had been declined so often
		task := s.until(t, "t", func(task domain.Task) bool { return task.Status == domain.StatusRunning && task.Attempt == attempt+1 })
		_, err := edge.Settle(t.Context(), plan.Settle{Ref: task.Ref(), Units: task.Units, Verdict: plan.VerdictFailed, Retryable: true, RiverJobID: task.RiverJobID})
		require.NoError(t, err)
	}
	s.launch = launchWorker
	s.start(t, nil)
	task := s.ended(t, "t")
	require.Equal(t, domain.StatusFailed, task.Status)
	require.Equal(t, domain.ReasonExecutorUnknown, task.Reason.Code)
	require.Equal(t, 9, task.Attempt)
	s.balanced(t)
}

func TestEndedBeforeItIsFetchedNeverRuns(t *testing.T) {
	t.Parallel()

	s := workerSite(t)
	s.launch = onlyScheduler
	edge := s.start(t, nil)
	edge.submit(t, "t")
	// A River job that nothing has finalised: its task was ended by an operator while a
	// worker had just fetched it.
	_, err := s.db.Pool.Exec(t.Context(), `CREATE TABLE kept AS SELECT * FROM river_job`)
	require.NoError(t, err)
	_, err = edge.Force(t.Context(), poolID, plan.Force{
		TaskID: "t", Status: domain.StatusFailed, Reason: domain.Reason{Code: domain.ReasonForced, Message: "enough"}, Actor: "me",
	})
	require.NoError(t, err)
	s.ended(t, "t")
	_, err = s.db.Pool.Exec(t.Context(), `DELETE FROM river_job; INSERT INTO river_job SELECT * FROM kept`)
	require.NoError(t, err)

	s.launch = launchWorker
	s.start(t, does(func(context.Context, workers.Task) (string, error) {
		t.Error("the executor was entered")
		return "", nil
	}))
	require.Eventually(t, func() bool { return s.riverJobs(t)["completed"] == 1 }, soon, 5*time.Millisecond)
	s.balanced(t)
}

func TestCancelReachesTheWorkerThatRunsTheTask(t *testing.T) {
	t.Parallel()

	s := workerSite(t)
	s.launch = onlyScheduler
	edge := s.start(t, nil)
	s.launch = launchWorker
	cause := make(chan error, 1)
	s.start(t, does(func(ctx context.Context, _ workers.Task) (string, error) {
		cause <- nil
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return "", ctx.Err()
	}))
	edge.submit(t, "t")
	require.NoError(t, <-cause)
	_, err := edge.Cancel(t.Context(), poolID, plan.Cancel{TaskID: "t", Actor: "me"})
	require.NoError(t, err)
	require.ErrorIs(t, <-cause, workers.ErrCancelled)
	require.Equal(t, domain.ReasonCancelled, s.ended(t, "t").Reason.Code)
	s.balanced(t)
}

func TestRiverJobsThatAreNotOursHarmNobody(t *testing.T) {
	t.Parallel()

	s := workerSite(t)
	_, err := s.db.Pool.Exec(t.Context(), `INSERT INTO river_job (args, kind, max_attempts, queue, state) VALUES
		('{"poolId": 7}', 'parkinglot_task', 1, $1, 'available'),
		('{"poolId": "nowhere", "jobId": 1, "attempt": 1}', 'parkinglot_task', 1, $1, 'available'),
		('{}', 'somebody_elses', 1, $1, 'available')`, riverrt.QueueName(poolID))
	require.NoError(t, err)
	p := s.start(t, workers.Sleep())
	p.submit(t, "t", func(submit *plan.Submit) { submit.Payload = []byte(`{"durationMs": 1}`) })
	require.Equal(t, domain.StatusCompleted, s.ended(t, "t").Status)
	require.Eventually(t, func() bool {
		states := s.riverJobs(t)
		return states["discarded"] == 2 && states["completed"] == 1
	}, soon, 5*time.Millisecond)
	s.balanced(t)
}

func TestWorkerGoesOnUnderANewID(t *testing.T) {
	t.Parallel()

	s := workerSite(t)
	s.launch = onlyScheduler
	by := make(chan string, 1)
	edge := s.start(t, does(func(ctx context.Context, task workers.Task) (string, error) {
		var holder string
		err := s.db.Pool.QueryRow(ctx, `SELECT attempted_by[cardinality(attempted_by)] FROM river_job
			WHERE (args->>'jobId')::bigint = $1`, task.JobID).Scan(&holder)
		by <- holder
		return "", err
	}))
	worker, err := riverrt.NewWorker(riverrt.WorkerOptions{
		DB: s.db.Pool, Schema: s.db.Schema, ID: edge.worker.ID,
		Pools: map[domain.PoolID]int{poolID: 2}, Runner: edge.runner, Attempts: s.st.Attempts, Log: edge.opts.Log,
	})
	require.NoError(t, err)
	require.NoError(t, worker.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, worker.Drain(context.Background())) })
	attemptedBy := func(id string) string {
		edge.submit(t, id)
		require.Equal(t, domain.StatusCompleted, s.ended(t, domain.TaskID(id)).Status)
		return <-by
	}
	require.Equal(t, string(edge.worker.ID), attemptedBy("before"))
	require.NoError(t, worker.Restart(t.Context(), "second-life"))
	require.Equal(t, "second-life", attemptedBy("after"))
}

func TestWorkerOptionsAreChecked(t *testing.T) {
	t.Parallel()

	for name, c := range map[string]struct {
		change func(*riverrt.WorkerOptions)
		want   string
	}{
		"concurrency": {func(o *riverrt.WorkerOptions) { o.Pools[poolID] = 0 }, "must be from 1 to 10000"},
		"id":          {func(o *riverrt.WorkerOptions) { o.ID = domain.WorkerID(make([]byte, 101)) }, "ID cannot be longer than 100"},
		"schema":      {func(o *riverrt.WorkerOptions) { o.Schema = "a b" }, "Schema"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			opts := riverrt.WorkerOptions{ID: "w", Pools: map[domain.PoolID]int{poolID: 1}}
			c.change(&opts)
			_, err := riverrt.NewWorker(opts)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// What this process has just started is woken and handed over: nothing is read, and nothing
// is waited for that comes through the database.
func TestStartedHereIsNotRead(t *testing.T) {
	t.Parallel()

	s := workerSite(t)
	var reads atomic.Int64
	s.launch = func(t testing.TB, p *process) {
		t.Helper()
		launchWorkerThat(t, p, func(o *riverrt.WorkerOptions) {
			o.Attempts = func(ctx context.Context, refs []domain.Ref) (map[domain.Ref]domain.Task, error) {
				reads.Add(int64(len(refs)))
				return s.st.Attempts(ctx, refs)
			}
		})
	}
	payloads := make(chan string, 1)
	p := s.start(t, does(func(_ context.Context, task workers.Task) (string, error) {
		payloads <- string(task.Payload) + task.Labels["of"]
		return "1", nil
	}))
	const tasks = 20
	for n := range tasks {
		id := "t" + strconv.Itoa(n)
		p.submit(t, id, func(submit *plan.Submit) { submit.Labels = map[string]string{"of": id} })
		require.Equal(t, `{"of":"`+id+`"}`+id, <-payloads)
		require.Equal(t, domain.StatusCompleted, s.ended(t, domain.TaskID(id)).Status)
	}
	require.Less(t, reads.Load(), int64(tasks), "at most those are read for which the machine was too slow")
	s.balanced(t)
}

// distrusted tells when a process has heard that attempts may have been stopped.
type distrusted struct {
	*attempts.Runner

	heard chan struct{}
}

func (d distrusted) Distrust() {
	d.Runner.Distrust()
	select {
	case d.heard <- struct{}{}:
	default:
	}
}

// A task that waits for a place in the process that started it, and was handed over there,
// is cancelled by another process: it never runs.
func TestCancelledElsewhereBeforeItBeginsNeverRuns(t *testing.T) {
	t.Parallel()

	s := workerSite(t)
	heard := make(chan struct{}, 1)
	s.launch = func(t testing.TB, p *process) {
		t.Helper()
		launchWorkerThat(t, p, func(o *riverrt.WorkerOptions) { o.Pools[poolID] = 1 })
		p.opts.Holders = []scheduler.Holder{distrusted{p.runner, heard}}
	}
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	p := s.start(t, does(func(ctx context.Context, task workers.Task) (string, error) {
		if task.TaskID == "second" {
			t.Error("the executor was entered")
		}
		entered <- struct{}{}
		select {
		case <-leave:
		case <-ctx.Done():
		}
		return "1", nil
	}))
	edge := s.another(t, onlyScheduler).start(t, nil)
	p.submit(t, "first")
	<-entered
	p.submit(t, "second")
	for len(heard) > 0 {
		<-heard
	}
	_, err := edge.Cancel(t.Context(), poolID, plan.Cancel{TaskID: "second", Actor: "me"})
	require.NoError(t, err)
	select {
	case <-heard:
	case <-time.After(soon):
		t.Error("no hint has come")
	}
	close(leave)
	require.Equal(t, domain.ReasonCancelled, s.ended(t, "second").Reason.Code)
	require.Equal(t, domain.StatusCompleted, s.ended(t, "first").Status)
	s.balanced(t)
}
