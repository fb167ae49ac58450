package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

func web(p *domain.Pool) { p.Runtime = domain.RuntimeWeb }

func lessee(worker string, tasks int, ttl time.Duration) plan.Lessee {
	return plan.Lessee{Worker: worker, Tasks: tasks, TTL: ttl, Secret: []byte("of " + worker)}
}

// webPool is a process with an empty web pool.
func webPool(t *testing.T, change ...func(*domain.Pool)) (*process, store.Store) {
	t.Helper()
	st := memory(t, newPool(domain.BackendMemory, append(change, web)...))
	return launch(t, options(st, poolID), nil), st
}

// TestLesseesWaitInTheLoop: who waits gets what is submitted, first come, first served,
// and in the turn of the submission, so that nothing is queued in between.
func TestLesseesWaitInTheLoop(t *testing.T) {
	t.Parallel()
	p, st := webPool(t)
	const lessees = 8
	got := make(chan plan.Lent, lessees)
	var waiting sync.WaitGroup
	for i := range lessees {
		waiting.Go(func() {
			lent, err := p.Lease(t.Context(), poolID, lessee(fmt.Sprint("w", i), 1, time.Minute), soon, nil)
			if err == nil {
				got <- lent
			}
		})
	}
	for i := range lessees {
		// Only the one that waits for it can make a task of a web pool start.
		eventually(t, func() bool {
			answers, err := p.Submit(t.Context(), poolID, []plan.Submit{submit(fmt.Sprint("t", i))})
			return err == nil && answers[0].Err == nil
		}, func() string { return "no answer" })
	}
	waiting.Wait()
	close(got)
	leases := map[domain.LeaseID]bool{}
	for lent := range got {
		require.Len(t, lent.Leases, 1)
		leases[lent.Leases[0].ID] = true
	}
	require.Len(t, leases, lessees)
	wantBalance(t, st)
}

func TestALesseeThatFindsNothing(t *testing.T) {
	t.Parallel()
	p, _ := webPool(t)
	lent, err := p.Lease(t.Context(), poolID, lessee("w", 1, time.Minute), 0, nil)
	require.NoError(t, err)
	require.Empty(t, lent.Leases)
	lent, err = p.Lease(t.Context(), poolID, lessee("w", 1, time.Minute), glimpse, nil)
	require.NoError(t, err)
	require.Empty(t, lent.Leases)
	stop := make(chan struct{})
	close(stop)
	lent, err = p.Lease(t.Context(), poolID, lessee("w", 1, time.Minute), soon, stop)
	require.NoError(t, err, "a process that stops lets go at once")
	require.Empty(t, lent.Leases)

	_, err = p.Lease(t.Context(), "nowhere", lessee("w", 1, time.Minute), 0, nil)
	require.Equal(t, domain.CodeUnknownPool, domain.CodeOf(err))
}

func TestLeasesOfANativePool(t *testing.T) {
	t.Parallel()
	st := memory(t, newPool(domain.BackendMemory))
	p := launch(t, options(st, poolID), nil)
	_, err := p.Lease(t.Context(), poolID, lessee("w", 1, time.Minute), soon, nil)
	require.Equal(t, domain.CodePoolNotWeb, domain.CodeOf(err), "at once, not after the wait")
}

// TestWhoHungUpHoldsNothing: what was leased to a connection that is gone by then goes
// back to its place, and costs the task no attempt.
func TestWhoHungUpHoldsNothing(t *testing.T) {
	t.Parallel()
	inner := memory(t, newPool(domain.BackendMemory, web))
	slow := &slowTurns{Store: inner, entered: make(chan struct{}, 100), gate: make(chan struct{})}
	p := launch(t, options(slow, poolID), nil)
	slow.hold(false)
	_, err := p.Submit(t.Context(), poolID, []plan.Submit{submit("a")})
	require.NoError(t, err)
	ctx, hangUp := context.WithCancelCause(t.Context())
	slow.hold(true)
	answered := make(chan error, 1)
	go func() {
		_, err := p.Lease(ctx, poolID, lessee("w", 1, time.Minute), soon, nil)
		answered <- err
	}()
	<-slow.entered // the turn that leases is under way
	hangUp(errors.New("hung up"))
	slow.release()
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(<-answered))
	task := wantStatus(t, inner, "a", domain.StatusQueued)
	require.Equal(t, 1, task.Attempt)
	require.Greater(t, task.MaxAttempts, task.Attempt, "the attempt is not held against it")
	leases, err := inner.ListLeases(t.Context(), store.LeaseFilter{Pool: poolID, Limit: 10})
	require.NoError(t, err)
	require.Empty(t, leases)
	wantBalance(t, inner)
}

// slowTurns holds turns with lessees until they are released.
type slowTurns struct {
	store.Store

	mu      sync.Mutex
	holding bool
	entered chan struct{}
	gate    chan struct{}
}

func (s *slowTurns) hold(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = on
}

func (s *slowTurns) release() {
	s.hold(false)
	close(s.gate)
}

func (s *slowTurns) Turn(ctx context.Context, spec store.TurnSpec) (plan.Decisions, error) {
	decide := spec.Decide
	spec.Decide = func(snap plan.Snapshot, rq *plan.Requests) plan.Decisions {
		s.mu.Lock()
		holding := s.holding && len(rq.Lessees) > 0
		s.mu.Unlock()
		if holding {
			s.entered <- struct{}{}
			<-s.gate
		}
		return decide(snap, rq)
	}
	return s.Store.Turn(ctx, spec)
}

// TestSilentWorkersLoseTheirLeases: who is silent is lost, who beats is not, and what ran
// for too long has expired although it beats.
func TestSilentWorkersLoseTheirLeases(t *testing.T) {
	t.Parallel()
	p, st := webPool(t, func(pool *domain.Pool) { pool.MaxAttempts, pool.RetryBackoff = 3, domain.Backoff{} })
	_, err := p.Submit(t.Context(), poolID, []plan.Submit{
		submit("beats"), submit("silent"), submit("long", func(s *plan.Submit) { s.Timeout = 300 * time.Millisecond }),
	})
	require.NoError(t, err)
	ttl := 400 * time.Millisecond
	lent, err := p.Lease(t.Context(), poolID, lessee("w", 3, ttl), soon, nil)
	require.NoError(t, err)
	require.Len(t, lent.Leases, 3)
	lost := func() bool {
		alive, err := st.ExtendLeases(t.Context(), []domain.LeaseID{lent.Leases[0].ID}, time.Time{})
		require.NoError(t, err)
		require.Len(t, alive, 1)
		task, err := st.Task(t.Context(), poolID, "silent")
		require.NoError(t, err)
		long, err := st.Task(t.Context(), poolID, "long")
		require.NoError(t, err)
		return task.Status == domain.StatusQueued && long.Status == domain.StatusExpired
	}
	eventually(t, lost, func() string { return "the silent worker keeps its lease" })
	wantStatus(t, st, "beats", domain.StatusRunning)

	again, err := p.Lease(t.Context(), poolID, lessee("v", 1, time.Minute), soon, nil)
	require.NoError(t, err)
	require.Equal(t, 2, again.Leases[0].Ref.Attempt)
	late, err := p.Settle(t.Context(), plan.Settle{Ref: lent.Leases[1].Ref, Lease: lent.Leases[1].ID, Verdict: plan.VerdictCompleted})
	require.NoError(t, err)
	require.Equal(t, domain.CodeConflict, late.Err.Code)
	wantBalance(t, st)
}
