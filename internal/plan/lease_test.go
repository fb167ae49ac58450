package plan_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

func web(p *domain.Pool) { p.Runtime = domain.RuntimeWeb }

func lessee(worker string, tasks int) plan.Lessee {
	return plan.Lessee{Worker: worker, Tasks: tasks, TTL: 10 * time.Second, Secret: []byte("of " + worker)}
}

// lend takes a turn with lessees and returns what each got.
func (l *lot) lend(lessees ...plan.Lessee) []plan.Lent {
	l.t.Helper()
	return l.turn(plan.Requests{Lessees: lessees}).Answers.Lessees
}

func leasedIDs(lent plan.Lent) []domain.TaskID {
	var ids []domain.TaskID
	for i := range lent.Tasks {
		ids = append(ids, lent.Tasks[i].TaskID)
	}
	return ids
}

func TestWebPoolsStartNothingByThemselves(t *testing.T) {
	t.Parallel()
	l := setup(t, web)
	l.submit(task("a", 1))
	d := l.turn(plan.Requests{})
	require.True(t, d.Idle)
	l.requireStatus(domain.StatusQueued, "a")
	require.Empty(t, l.lend(lessee("w", 0))[0].Leases)
	l.requireStatus(domain.StatusQueued, "a")
}

func TestLesseesAreServedInOrder(t *testing.T) {
	t.Parallel()
	l := setup(t, web)
	l.submit(task("a", 4), task("b", 3), task("c", 5), task("d", 1), task("e", 1))
	lent := l.lend(lessee("one", 2), lessee("none", 0), lessee("two", 9))
	require.Equal(t, []domain.TaskID{"a", "b"}, leasedIDs(lent[0]))
	require.Empty(t, lent[1].Leases)
	require.Equal(t, []domain.TaskID{"d", "e"}, leasedIDs(lent[2]), "past c, which does not fit")
	require.Equal(t, domain.LeaseHolder("two"), l.task("d").Holder)
	require.Equal(t, 2, l.task("c").Overtaken)
	require.Equal(t, domain.Units(9), l.m.Counters.ActiveUnits)
	require.Equal(t, "lease:one", l.m.Events[len(l.m.Events)-4].Actor, "the trail says who had it")
}

func TestArrivalsStartForWhoWaits(t *testing.T) {
	t.Parallel()
	l := setup(t, web, func(p *domain.Pool) { p.MaxQueueDepth = 0 })
	d := l.turn(plan.Requests{Submits: []plan.Submit{task("a", 1), task("b", 1)}, Lessees: []plan.Lessee{lessee("w", 1)}})
	require.Equal(t, []domain.TaskID{"a"}, leasedIDs(d.Answers.Lessees[0]))
	require.Equal(t, domain.CodeQueueFull, d.Answers.Submits[1].Err.Code, "nobody takes it, and it may not wait")
}

func TestLeasesOfOtherPools(t *testing.T) {
	t.Parallel()
	l := setup(t)
	require.Equal(t, domain.CodePoolNotWeb, l.lend(lessee("w", 1))[0].Err.Code)
}

func TestNobodyGetsTasksOfAStoppedPool(t *testing.T) {
	t.Parallel()
	l := setup(t, web)
	l.submit(task("a", 1))
	state := domain.PoolDisabled
	l.turn(plan.Requests{Changes: []plan.PoolChange{{State: &state}}})
	require.Empty(t, l.lend(lessee("w", 1))[0].Leases)
	d := l.turn(plan.Requests{NoStart: true, Lessees: []plan.Lessee{lessee("w", 1)}})
	require.Empty(t, d.Answers.Lessees[0].Leases)
}

func TestLeaseIDs(t *testing.T) {
	t.Parallel()
	l := setup(t, web)
	l.submit(task("a", 1), task("b", 1))
	req := plan.Requests{Lessees: []plan.Lessee{lessee("w", 2)}}
	snap := l.m.Snapshot(l.now, &req)
	first, second := plan.Turn(snap, &req), plan.Turn(l.m.Snapshot(l.now, &req), &req)
	require.Equal(t, first.Leased, second.Leased, "decided again, the same")
	require.NotEqual(t, first.Leased[0].ID, first.Leased[1].ID)
	req.Lessees[0].Secret = []byte("another")
	require.NotEqual(t, first.Leased[0].ID, plan.Turn(l.m.Snapshot(l.now, &req), &req).Leased[0].ID)
	ref, ok := first.Leased[0].ID.Ref()
	require.True(t, ok)
	require.Equal(t, domain.Ref{PoolID: "llm", JobID: 1, Attempt: 1}, ref)
}

func TestOnlyTheLeaseSettles(t *testing.T) {
	t.Parallel()
	l := setup(t, web)
	l.submit(task("a", 1))
	lease := l.lend(lessee("w", 1))[0].Leases[0]
	forged := l.settle("a", plan.VerdictCompleted, func(s *plan.Settle) { s.Lease = "llm.1.1.guessed" })
	require.Equal(t, domain.CodeUnknownLease, forged.Err.Code)
	l.requireStatus(domain.StatusRunning, "a")
	under := func(s *plan.Settle) { s.Lease = lease.ID }
	require.Nil(t, l.settle("a", plan.VerdictCompleted, under).Err)
	require.True(t, l.settle("a", plan.VerdictCompleted, under).Known)
	require.Equal(t, domain.CodeConflict, l.settle("a", plan.VerdictFailed, under).Err.Code)
}

func TestACancelledLease(t *testing.T) {
	t.Parallel()
	l := setup(t, web, withAttempts(3))
	l.submit(task("a", 1), task("b", 1))
	leases := l.lend(lessee("w", 2))[0].Leases
	l.turn(plan.Requests{Cancels: []plan.Cancel{{TaskID: "a"}, {TaskID: "b"}}})
	require.NotNil(t, l.m.Leases[1].CancelAsked)
	l.settle("a", plan.VerdictFailed, func(s *plan.Settle) { s.Lease = leases[0].ID })
	require.Equal(t, domain.ReasonCancelled, l.task("a").Reason.Code, "whatever the worker says of it")
	require.True(t, l.settle("a", plan.VerdictFailed, func(s *plan.Settle) { s.Lease = leases[0].ID }).Known)

	l.now = l.now.Add(time.Minute)
	l.turn(plan.Requests{Losts: []plan.Lost{{Ref: leases[1].Ref, Holder: domain.LeaseHolder("w")}}})
	require.Equal(t, domain.StatusFailed, l.task("b").Status, "a worker that does not react is not waited for")
	require.Equal(t, domain.ReasonCancelled, l.task("b").Reason.Code)
}

func TestExpiredLeases(t *testing.T) {
	t.Parallel()
	l := setup(t, web, withAttempts(2))
	l.submit(task("beats", 1), task("silent", 1), task("late", 1, func(s *plan.Submit) { s.Timeout = 5 * time.Second }))
	leases := l.lend(lessee("w", 3))[0].Leases
	require.Equal(t, leases[2].TimeoutAt, leases[2].ExpiresAt, "a lease is no longer than the attempt may be")
	lose := func() []plan.Answer {
		var losts []plan.Lost
		for _, lease := range leases {
			losts = append(losts, plan.Lost{Ref: lease.Ref, Holder: domain.LeaseHolder("w")})
		}
		return l.turn(plan.Requests{Losts: losts}).Answers.Losts
	}
	for _, answer := range lose() {
		require.Equal(t, domain.CodeConflict, answer.Err.Code, "not yet")
	}
	l.m.Extend(1, leases[1].ExpiresAt)
	l.now = leases[1].ExpiresAt
	answers := lose()
	require.Equal(t, domain.CodeConflict, answers[0].Err.Code, "a heartbeat came before")
	require.Equal(t, domain.ReasonWorkerLost, answers[1].Task.Reason.Code)
	require.Equal(t, domain.StatusQueued, answers[1].Task.Status)
	require.Equal(t, domain.StatusExpired, answers[2].Task.Status, "its time was over, not its worker")
	require.Equal(t, domain.ReasonTimeout, answers[2].Task.Reason.Code)
	require.Equal(t, domain.StatusRunning, l.task("beats").Status)
}
