package riverrt

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

const (
	soon = 30 * time.Second // nothing but failure is decided by it
	tick = time.Millisecond
)

// gate answers a read when it is told to, and with what.
type gate struct {
	asked  chan []domain.Ref
	answer chan error // nil: every attempt is live but those of job 0
}

func (g *gate) attempts(_ context.Context, refs []domain.Ref) (map[domain.Ref]domain.Task, error) {
	g.asked <- refs
	if err := <-g.answer; err != nil {
		return nil, err
	}
	live := map[domain.Ref]domain.Task{}
	for _, ref := range refs {
		if ref.JobID > 0 {
			live[ref] = domain.Task{PoolID: ref.PoolID, JobID: ref.JobID, Attempt: ref.Attempt}
		}
	}
	return live, nil
}

// askers ask together for the tasks of jobs, one goroutine each.
type askers struct {
	wait sync.WaitGroup
	mu   sync.Mutex
	errs map[domain.JobID]error
}

func (a *askers) ask(t *testing.T, r *reader, from, to domain.JobID) {
	t.Helper()
	for job := from; job <= to; job++ {
		a.wait.Go(func() {
			task, err := r.together(domain.Ref{PoolID: "p", JobID: job, Attempt: 1})
			a.mu.Lock()
			defer a.mu.Unlock()
			a.errs[job] = err
			if err == nil && task.JobID != job {
				a.errs[job] = errors.New("another's task")
			}
		})
	}
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.waiting) == int(to-from)+1
	}, soon, tick)
}

func TestTasksAreReadTogether(t *testing.T) {
	t.Parallel()

	g := &gate{asked: make(chan []domain.Ref), answer: make(chan error)}
	r := newReader(g.attempts)
	first := make(chan error)
	go func() {
		_, err := r.together(domain.Ref{PoolID: "p", JobID: 100, Attempt: 1})
		first <- err
	}()
	require.Len(t, <-g.asked, 1, "nothing is waited for")

	broken := errors.New("broken")
	others := askers{errs: map[domain.JobID]error{}}
	others.ask(t, r, 0, maxBatch+9) // while the first read is under way
	g.answer <- nil
	require.NoError(t, <-first)
	require.Len(t, <-g.asked, maxBatch)
	g.answer <- nil
	last := <-g.asked
	require.Len(t, last, 10)
	g.answer <- broken
	others.wait.Wait()
	for _, ref := range last {
		require.ErrorIs(t, others.errs[ref.JobID], broken)
		delete(others.errs, ref.JobID)
	}
	for job, err := range others.errs {
		if job == 0 {
			require.ErrorIs(t, err, store.ErrNotFound)
		} else {
			require.NoError(t, err)
		}
	}
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return !r.busy && r.waiting == nil
	}, soon, tick, "the goroutine ends when nothing waits")
}

// Whose fault it is that a batch cannot be read does not keep the others from running.
func TestTasksOfABatchThatFailsAreReadAlone(t *testing.T) {
	t.Parallel()

	poisoned := func(_ context.Context, refs []domain.Ref) (map[domain.Ref]domain.Task, error) {
		live := map[domain.Ref]domain.Task{}
		for _, ref := range refs {
			if ref.JobID == 0 {
				return nil, store.ErrData
			}
			live[ref] = domain.Task{PoolID: ref.PoolID, JobID: ref.JobID, Attempt: ref.Attempt}
		}
		return live, nil
	}
	silent := func() *slog.Logger { return slog.New(slog.DiscardHandler) }
	c := &riverWorker{worker: &Worker{reader: newReader(poisoned)}}
	ctx, stop := context.WithCancel(t.Context())
	faulty := make(chan error, 1)
	go func() {
		_, err := c.load(ctx, domain.Ref{PoolID: "p", JobID: 0, Attempt: 1}, silent)
		faulty <- err
	}()
	var wait sync.WaitGroup
	for job := domain.JobID(1); job <= maxBatch; job++ {
		wait.Go(func() {
			task, err := c.load(ctx, domain.Ref{PoolID: "p", JobID: job, Attempt: 1}, silent)
			if err != nil || task.JobID != job {
				t.Errorf("job %d: %v %v", job, task.JobID, err)
			}
		})
	}
	wait.Wait()
	stop()
	require.ErrorIs(t, <-faulty, store.ErrData)
}
