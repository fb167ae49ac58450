package runtime_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
	"github.com/parkinglot/parkinglot/workers"
)

type opener = func(t testing.TB, change ...func(*domain.Pool)) *site

func attemptsOf(n int) func(*domain.Pool) {
	return func(p *domain.Pool) { p.MaxAttempts = n }
}

func TestAttemptsEndAlike(t *testing.T) {
	t.Parallel()

	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	ends := func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }
	cases := map[string]struct {
		executor func(ctx context.Context, task workers.Task) (string, error)
		timeout  time.Duration
		cancel   bool
		status   domain.Status
		reason   domain.ReasonCode
		attempts int
		result   string
	}{
		"completes":     {executor: func(_ context.Context, task workers.Task) (string, error) { return string(task.Payload), nil }, status: domain.StatusCompleted, attempts: 1, result: `{"of":"t"}`},
		"has no result": {executor: func(context.Context, workers.Task) (string, error) { return "", nil }, status: domain.StatusCompleted, attempts: 1},
		"fails":         {executor: func(context.Context, workers.Task) (string, error) { return "", errors.New("no") }, status: domain.StatusFailed, reason: domain.ReasonExecutorFailed, attempts: 3},
		"fails permanently": {
			executor: func(context.Context, workers.Task) (string, error) { return "", workers.Permanent(errors.New("no")) },
			status:   domain.StatusFailed, reason: domain.ReasonExecutorFailed, attempts: 1,
		},
		"completes at last": {
			executor: func(_ context.Context, task workers.Task) (string, error) {
				if task.Attempt < 3 {
					return "", errors.New("not yet")
				}
				return strconv.Itoa(task.Attempt), nil
			},
			status: domain.StatusCompleted, attempts: 3, result: "3",
		},
		"panics":            {executor: func(context.Context, workers.Task) (string, error) { panic("ouch") }, status: domain.StatusFailed, reason: domain.ReasonExecutorPanicked, attempts: 1},
		"result is no JSON": {executor: func(context.Context, workers.Task) (string, error) { return "{", nil }, status: domain.StatusFailed, reason: domain.ReasonResultInvalid, attempts: 1},
		"result has NUL":    {executor: func(context.Context, workers.Task) (string, error) { return `"\u0000"`, nil }, status: domain.StatusFailed, reason: domain.ReasonResultInvalid, attempts: 1},
		"result is too large": {executor: func(context.Context, workers.Task) (string, error) {
			return `"` + strings.Repeat("x", 1<<20) + `"`, nil
		}, status: domain.StatusFailed, reason: domain.ReasonResultTooLarge, attempts: 1},
		"message has NUL": {executor: func(context.Context, workers.Task) (string, error) {
			return "", workers.Permanent(errors.New("a\x00\xff"))
		}, status: domain.StatusFailed, reason: domain.ReasonExecutorFailed, attempts: 1},
		"times out": {
			executor: func(ctx context.Context, _ workers.Task) (string, error) { return ends(ctx) }, timeout: 50 * time.Millisecond,
			status: domain.StatusExpired, reason: domain.ReasonTimeout, attempts: 1,
		},
		"is stuck": {
			executor: func(context.Context, workers.Task) (string, error) { <-release; return "1", nil }, timeout: 50 * time.Millisecond,
			status: domain.StatusExpired, reason: domain.ReasonTimeout, attempts: 1,
		},
		"is cancelled": {
			executor: func(ctx context.Context, _ workers.Task) (string, error) { return ends(ctx) }, cancel: true,
			status: domain.StatusFailed, reason: domain.ReasonCancelled, attempts: 1,
		},
	}
	everywhere(t, func(t *testing.T, open opener) {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()

				s := open(t, attemptsOf(3))
				entered := make(chan struct{}, 10)
				p := s.start(t, does(func(ctx context.Context, task workers.Task) (string, error) {
					entered <- struct{}{}
					return c.executor(ctx, task)
				}))
				p.submit(t, "t", func(submit *plan.Submit) { submit.Timeout = c.timeout })
				if c.cancel {
					<-entered
					_, err := p.Cancel(t.Context(), poolID, plan.Cancel{TaskID: "t", Actor: "me"})
					require.NoError(t, err)
				}
				task := s.ended(t, "t")
				require.Equal(t, c.status, task.Status, task.Reason)
				require.Equal(t, c.reason, task.Reason.Code)
				require.Equal(t, c.attempts, task.Attempt)
				require.Equal(t, c.result, string(task.Result))
				s.balanced(t)
			})
		}
	})
}

// Of a native pool the process that starts a task is the only one that can run it.
func TestNativeTaskWithoutExecutorFails(t *testing.T) {
	t.Parallel()

	s := onMemory(t, attemptsOf(3))
	s.start(t, nil).submit(t, "t")
	task := s.ended(t, "t")
	require.Equal(t, domain.StatusFailed, task.Status)
	require.Equal(t, domain.ReasonExecutorUnknown, task.Reason.Code)
	require.Equal(t, 3, task.Attempt)
	s.balanced(t)
}

func TestExecutorsAreTold(t *testing.T) {
	t.Parallel()

	everywhere(t, func(t *testing.T, open opener) {
		s := open(t)
		got := make(chan workers.Task, 1)
		hold := make(chan struct{})
		p := s.start(t, does(func(_ context.Context, task workers.Task) (string, error) {
			if task.TaskID == "first" {
				<-hold
				return "", nil
			}
			got <- task
			return "", nil
		}))
		p.submit(t, "first", func(submit *plan.Submit) { submit.Units = 10 })
		// This one waits, so that it is started by a turn that did not insert it.
		queued := p.submit(t, "t", func(submit *plan.Submit) {
			submit.Units, submit.Kind, submit.Timeout, submit.MaxAttempts = 3, domain.KindGPUVRAM, time.Minute, 2
			submit.Labels = map[string]string{"model": "m1"}
		})
		require.Equal(t, domain.StatusQueued, queued.Status)
		close(hold)
		require.Equal(t, workers.Task{
			PoolID: string(poolID), TaskID: "t", JobID: int64(queued.JobID), Attempt: 1, MaxAttempts: 2, Tenant: "acme",
			Kind: "gpuVram", Units: 3, Timeout: time.Minute, Labels: map[string]string{"model": "m1"}, Payload: []byte(`{"of":"t"}`),
		}, <-got)
		s.ended(t, "t")
		s.balanced(t)
	})
}

func TestUnitsAreNeverExceededByWhatRuns(t *testing.T) {
	t.Parallel()

	everywhere(t, func(t *testing.T, open opener) {
		s := open(t)
		var now, peak atomic.Int64
		p := s.start(t, does(func(_ context.Context, task workers.Task) (string, error) {
			n := now.Add(task.Units)
			for old := peak.Load(); n > old && !peak.CompareAndSwap(old, n); old = peak.Load() {
			}
			time.Sleep(time.Millisecond)
			now.Add(-task.Units)
			return "", nil
		}))
		const tasks = 200
		for i := range tasks {
			p.submit(t, "t"+strconv.Itoa(i), func(submit *plan.Submit) { submit.Units = domain.Units(i%4 + 1) })
		}
		for i := range tasks {
			require.Equal(t, domain.StatusCompleted, s.ended(t, domain.TaskID("t"+strconv.Itoa(i))).Status)
		}
		require.LessOrEqual(t, peak.Load(), int64(10))
		s.balanced(t)
	})
}

func TestDrainLetsRunningWorkFinish(t *testing.T) {
	t.Parallel()

	everywhere(t, func(t *testing.T, open opener) {
		s := open(t)
		entered := make(chan struct{})
		p := s.start(t, does(func(ctx context.Context, _ workers.Task) (string, error) {
			close(entered)
			select {
			case <-ctx.Done():
				return "", ctx.Err()
			case <-time.After(100 * time.Millisecond):
				return `"done"`, nil
			}
		}))
		p.submit(t, "t")
		<-entered
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		require.NoError(t, p.Drain(ctx))
		require.NoError(t, p.drain(ctx))
		require.Zero(t, p.runner.Len())
		task := s.ended(t, "t")
		require.Equal(t, domain.StatusCompleted, task.Status)
		require.Equal(t, `"done"`, string(task.Result))
	})
}

func TestDrainHandsBackWhatIsTooLong(t *testing.T) {
	t.Parallel()

	everywhere(t, func(t *testing.T, open opener) {
		s := open(t)
		cause := make(chan error, 1)
		first := s.start(t, does(func(ctx context.Context, _ workers.Task) (string, error) {
			cause <- nil
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return "", ctx.Err()
		}))
		first.submit(t, "t")
		require.NoError(t, <-cause)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		require.NoError(t, first.Drain(t.Context()))
		require.NoError(t, first.drain(ctx))
		require.ErrorIs(t, <-cause, workers.ErrHandBack)
		task := s.until(t, "t", func(task domain.Task) bool { return task.Status == domain.StatusQueued })
		require.Equal(t, 1, task.Attempt)
		first.stop()

		second := s.start(t, does(func(_ context.Context, task workers.Task) (string, error) { return strconv.Itoa(task.Attempt), nil }))
		require.NotNil(t, second)
		task = s.ended(t, "t")
		require.Equal(t, domain.StatusCompleted, task.Status, task.Reason)
		s.balanced(t)
	})
}

func TestLostAttemptsAreAbandoned(t *testing.T) {
	t.Parallel()

	everywhere(t, func(t *testing.T, open opener) {
		s := open(t, attemptsOf(2))
		cause := make(chan error, 1)
		p := s.start(t, does(func(ctx context.Context, task workers.Task) (string, error) {
			if task.Attempt > 1 {
				return `"again"`, nil
			}
			cause <- nil
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return "", ctx.Err()
		}))
		p.submit(t, "t")
		require.NoError(t, <-cause)
		held := p.runner.Holding(poolID)
		require.Len(t, held, 1)
		p.runner.Abandon(held)
		require.ErrorIs(t, <-cause, workers.ErrLost)
		require.Eventually(t, func() bool { return len(p.runner.Holding(poolID)) == 0 }, soon, time.Millisecond)
		// Nothing was reported: the row still runs until somebody finds it lost.
		task, err := s.st.Task(t.Context(), poolID, "t")
		require.NoError(t, err)
		require.Equal(t, domain.StatusRunning, task.Status)
		require.Equal(t, 1, task.Attempt)

		task = s.ended(t, "t")
		require.Equal(t, domain.StatusCompleted, task.Status)
		require.Equal(t, 2, task.Attempt)
		s.balanced(t)
	})
}

func TestExecutionRecord(t *testing.T) {
	t.Parallel()

	everywhere(t, func(t *testing.T, open opener) {
		s := open(t, attemptsOf(2))
		path := t.TempDir() + "/record"
		record, err := attempts.OpenRecord(path, nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, record.Close()) })
		release := make(chan struct{})
		p := s.start(t, does(func(ctx context.Context, task workers.Task) (string, error) {
			if task.TaskID == "stuck" {
				<-release
				return "", nil
			}
			if task.Attempt == 1 {
				return "", errors.New("again")
			}
			return "", nil
		}), func(o *attempts.Options) { o.Recorder = record })
		p.submit(t, "t", func(submit *plan.Submit) { submit.Units = 4 })
		s.ended(t, "t")
		p.submit(t, "stuck", func(submit *plan.Submit) { submit.Timeout = 20 * time.Millisecond })
		s.ended(t, "stuck")

		entries := readRecord(t, path)
		require.Len(t, entries, 5, "the stuck executor has not left yet")
		close(release)
		require.Eventually(t, func() bool { return len(readRecord(t, path)) == 6 }, soon, time.Millisecond)
		entries = readRecord(t, path)
		for i, want := range []struct {
			task    domain.TaskID
			kind    string
			attempt int
			units   domain.Units
		}{
			{"t", attempts.RecordEnter, 1, 4},
			{"t", attempts.RecordExit, 1, 4},
			{"t", attempts.RecordEnter, 2, 4},
			{"t", attempts.RecordExit, 2, 4},
			{"stuck", attempts.RecordEnter, 1, 1},
			{"stuck", attempts.RecordExit, 1, 1},
		} {
			e := entries[i]
			require.Equal(t, want.task, e.Task)
			require.Equal(t, want.kind, e.Kind)
			require.Equal(t, want.attempt, e.Attempt)
			require.Equal(t, want.units, e.Units)
			require.Equal(t, poolID, e.Pool)
			require.NotZero(t, e.PID)
			require.WithinDuration(t, time.Now(), time.UnixMicro(e.WallUS), soon)
			if i > 0 {
				require.Greater(t, e.MonoNS, entries[i-1].MonoNS)
			}
		}
	})
}
