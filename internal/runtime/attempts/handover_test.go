package attempts

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/workers"
)

func startedTask(job domain.JobID, payload string) domain.Task {
	return domain.Task{PoolID: "p", JobID: job, Attempt: 1, TaskID: "t", Payload: []byte(payload)}
}

func newRunner(t *testing.T) *Runner {
	t.Helper()
	r := New(Options{})
	t.Cleanup(r.Close)
	return r
}

// begun begins the attempt of a task and returns whether it was handed over.
func begun(t *testing.T, r *Runner, task *domain.Task) bool {
	t.Helper()
	attempt, ok := r.Begin(task.Ref())
	require.True(t, ok)
	defer attempt.Forget()
	got, handed := attempt.Handed()
	if handed {
		require.Equal(t, *task, got)
	}
	return handed
}

func TestStartedTasksAreHandedOverOnce(t *testing.T) {
	t.Parallel()

	r := newRunner(t)
	first, second, third := startedTask(1, "a"), startedTask(2, "b"), startedTask(3, "c")
	third.Payload = nil // light: its row has more
	r.Prepare().Give([]domain.Task{first, second, third})
	require.True(t, begun(t, r, &second))
	require.True(t, begun(t, r, &first))
	require.False(t, begun(t, r, &third))
	again := first
	again.Attempt++
	require.False(t, begun(t, r, &again))
	require.False(t, begun(t, r, &first), "a second River job of the same attempt is read")
	require.Zero(t, r.handedBytes)
}

// Whatever may have stopped an attempt before it begins here, it is read.
func TestDoubtsMakeHandoversWorthless(t *testing.T) {
	t.Parallel()

	for name, doubt := range map[string]func(*Runner){
		"a stop of this process":      func(r *Runner) { r.Stop([]domain.Ref{{PoolID: "p", JobID: 1, Attempt: 1}}) },
		"a hint of another":           (*Runner).Distrust,
		"the hold of all is lost":     func(r *Runner) { r.Abandon([]domain.Ref{{PoolID: "q", JobID: 7, Attempt: 2}}) },
		"attempts are handed back":    func(r *Runner) { r.cancel(nil, workers.ErrHandBack) },
		"two of them, close by":       func(r *Runner) { r.Distrust(); r.Stop(nil) },
		"one that reaches no attempt": func(r *Runner) { r.Stop(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := newRunner(t)
			task := startedTask(1, "a")
			before, late := r.Prepare(), r.Prepare()
			before.Give([]domain.Task{task})
			doubt(r)
			require.False(t, begun(t, r, &task))
			late.Give([]domain.Task{task}) // its start was committed before somebody could stop it
			require.False(t, begun(t, r, &task))
			require.Empty(t, r.handed)
			require.Zero(t, r.handedBytes)
			r.Prepare().Give([]domain.Task{task})
			require.True(t, begun(t, r, &task), "what is started from then on is handed over")
		})
	}
}

// A stop finds the attempt either begun, or not handed over.
func TestNoStopFallsBetweenHandoverAndBegin(t *testing.T) {
	t.Parallel()

	r := newRunner(t)
	for job := domain.JobID(1); job < 2000; job++ {
		task := startedTask(job, "a")
		r.Prepare().Give([]domain.Task{task})
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			r.Stop([]domain.Ref{task.Ref()})
		}()
		attempt, ok := r.Begin(task.Ref())
		require.True(t, ok)
		_, handed := attempt.Handed()
		<-stopped
		if handed {
			require.ErrorIs(t, context.Cause(attempt.Context()), workers.ErrCancelled)
		}
		attempt.Forget()
	}
}

func TestHandoversGrowOld(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		r := newRunner(t)
		fresh, old, elsewhere := startedTask(1, "a"), startedTask(2, "b"), startedTask(3, "c")
		h := r.Prepare()
		time.Sleep(handoverAge - time.Millisecond)
		h.Give([]domain.Task{fresh, old, elsewhere})
		require.True(t, begun(t, r, &fresh))
		time.Sleep(time.Millisecond)
		require.False(t, begun(t, r, &old), "the age counts from before the commit")

		// What another process has begun is let go of, and so is the timer.
		time.Sleep(handoverAge)
		synctest.Wait()
		require.Empty(t, r.handed)
		require.Zero(t, r.handedBytes)
		require.False(t, r.expiring)
		r.Prepare().Give([]domain.Task{fresh})
		require.True(t, begun(t, r, &fresh))
		time.Sleep(2 * handoverAge)
		synctest.Wait()
		require.False(t, r.expiring)
	})
}

// With heartbeats so quick that others give a process up sooner, what is handed over grows
// old sooner.
func TestHandoversGrowOldBeforeTheirProcessCountsAsDead(t *testing.T) {
	t.Parallel()

	for _, ttl := range []time.Duration{150 * time.Millisecond, 600 * time.Millisecond, 6 * time.Second, time.Hour} {
		require.Less(t, ageLimit(ttl), 2*ttl/6-ttl/6/8, "from TTL − margin, which is looked at eight times a margin, to TTL + margin")
	}
	require.Equal(t, handoverAge, ageLimit(0))

	synctest.Test(t, func(t *testing.T) {
		const ttl = 400 * time.Millisecond
		r := New(Options{WorkerTTL: ttl})
		defer r.Close()
		task := startedTask(1, "a")
		r.Prepare().Give([]domain.Task{task})
		time.Sleep(ttl / 4)
		require.False(t, begun(t, r, &task))
	})
}

func TestHandoversAreBounded(t *testing.T) {
	t.Parallel()

	r := newRunner(t)
	big := string(make([]byte, 1<<20))
	for job := range domain.JobID(2 * handoverBytes >> 20) {
		r.Prepare().Give([]domain.Task{startedTask(job, big)})
	}
	require.Len(t, r.handed, handoverBytes>>20)
	require.Equal(t, handoverBytes, r.handedBytes)

	r = newRunner(t)
	for job := range domain.JobID(2 * handoverTasks) {
		r.Prepare().Give([]domain.Task{startedTask(job, "a")})
	}
	require.LessOrEqual(t, len(r.handed), handoverTasks)
}
