package native_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
	"github.com/parkinglot/parkinglot/internal/runtime/native"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/workers"
)

// flaky is a store whose payloads cannot be read for a while. The rest of it is
// not asked.
type flaky struct {
	store.Tasks

	down  atomic.Bool
	calls atomic.Int32
}

func (f *flaky) Payloads(_ context.Context, _ domain.PoolID, jobs []domain.JobID) (map[domain.JobID][]byte, error) {
	f.calls.Add(1)
	if f.down.Load() {
		return nil, fmt.Errorf("payloads: %w", store.ErrUnavailable)
	}
	payloads := make(map[domain.JobID][]byte)
	for _, job := range jobs {
		payloads[job] = fmt.Appendf(nil, "%d", job)
	}
	return payloads, nil
}

type bundle struct {
	runtime *native.Runtime
	tasks   *flaky
	settles chan plan.Settle
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{tasks: &flaky{}, settles: make(chan plan.Settle, 1000)}
	registry := workers.NewRegistry()
	require.NoError(t, registry.Register("echo", workers.ExecutorFunc(func(_ context.Context, task workers.Task) (json.RawMessage, error) {
		return task.Payload, nil
	})))
	log := slog.New(slog.DiscardHandler)
	runner := attempts.New(attempts.Options{Registry: registry, Log: log, Settle: func(_ context.Context, s plan.Settle) (plan.Answer, error) {
		b.settles <- s
		return plan.Answer{}, nil
	}})
	t.Cleanup(runner.Close)
	b.runtime = native.New(runner, func(domain.PoolID) store.Tasks { return b.tasks }, log)
	return b
}

func (b *bundle) settled(t *testing.T) plan.Settle {
	t.Helper()
	select {
	case s := <-b.settles:
		return s
	case <-time.After(20 * time.Second):
		require.Fail(t, "nothing was settled")
		return plan.Settle{}
	}
}

func light(n int) []domain.Task {
	tasks := make([]domain.Task, n)
	for i := range tasks {
		tasks[i] = domain.Task{PoolID: "p", JobID: domain.JobID(i + 1), Attempt: 1, Units: 1, Executor: "echo"}
	}
	return tasks
}

func TestStartLoadsPayloadsTogether(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.runtime.Start(light(100))
	for range 100 {
		s := b.settled(t)
		require.Equal(t, plan.VerdictCompleted, s.Verdict)
		require.Equal(t, fmt.Sprint(s.Ref.JobID), string(s.Result))
	}
	require.EqualValues(t, 1, b.tasks.calls.Load())
}

func TestStartWaitsForABackendThatIsAway(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.tasks.down.Store(true)
	b.runtime.Start(light(2))
	require.Len(t, b.runtime.Holding("p"), 2, "held from the start")
	require.Eventually(t, func() bool { return b.tasks.calls.Load() >= 2 }, 20*time.Second, time.Millisecond)

	// What is stopped meanwhile is reported without its payload.
	b.runtime.Stop([]domain.Ref{{PoolID: "p", JobID: 2, Attempt: 1}})
	s := b.settled(t)
	require.Equal(t, domain.JobID(2), s.Ref.JobID)
	require.Equal(t, plan.VerdictCancelled, s.Verdict)

	b.tasks.down.Store(false)
	s = b.settled(t)
	require.Equal(t, domain.JobID(1), s.Ref.JobID)
	require.Equal(t, "1", string(s.Result))
	require.Eventually(t, func() bool { return len(b.runtime.Holding("p")) == 0 }, 20*time.Second, time.Millisecond)
}

func TestStartTwiceRunsOnce(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.tasks.down.Store(true)
	b.runtime.Start(light(1))
	b.runtime.Start(light(1))
	b.tasks.down.Store(false)
	b.settled(t)
	select {
	case s := <-b.settles:
		require.Fail(t, "settled twice", "%v", s)
	case <-time.After(100 * time.Millisecond):
	}
}

func TestStartAfterDrainHandsBack(t *testing.T) {
	t.Parallel()

	b := setup(t)
	require.NoError(t, b.runtime.Drain(t.Context()))
	b.runtime.Start(light(1))
	require.Equal(t, plan.VerdictHandBack, b.settled(t).Verdict)
}

func TestReportsAreTriedAgain(t *testing.T) {
	t.Parallel()

	var tries atomic.Int32
	done := make(chan struct{})
	registry := workers.NewRegistry()
	require.NoError(t, registry.Register("echo", workers.Sleep()))
	runner := attempts.New(attempts.Options{
		Registry: registry, Log: slog.New(slog.DiscardHandler),
		Settle: func(context.Context, plan.Settle) (plan.Answer, error) {
			if tries.Add(1) < 3 {
				return plan.Answer{}, &domain.Error{Code: domain.CodeUnavailable, Err: errors.New("away")}
			}
			close(done)
			return plan.Answer{}, nil
		},
	})
	t.Cleanup(runner.Close)
	native.New(runner, func(domain.PoolID) store.Tasks { return &flaky{} }, nil).Start(light(1))
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		require.Fail(t, "the report was given up")
	}
}
