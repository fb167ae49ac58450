package plan_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

func TestDrainingRunsItsQueueDry(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 10), task("b", 10))
	l.setState(domain.PoolDraining)
	l.settle("a", plan.VerdictCompleted)
	l.requireStatus(domain.StatusRunning, "b")
}

func TestDisabledStartsNothing(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 10), task("b", 10), task("c", 1, by(epoch.Add(time.Minute))))
	l.setState(domain.PoolDisabled)
	d := l.turn(plan.Requests{Settles: []plan.Settle{{Ref: domain.Ref{PoolID: "llm", JobID: 1, Attempt: 1}, Verdict: plan.VerdictCompleted}}})
	require.False(t, d.Again)
	l.requireStatus(domain.StatusQueued, "b", "c")
	l.now = epoch.Add(time.Minute)
	l.turn(plan.Requests{})
	l.requireStatus(domain.StatusExpired, "c")
	l.setState(domain.PoolActive)
	l.requireStatus(domain.StatusRunning, "b")
}

func TestShrinkBelowUse(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 4), task("b", 4), task("c", 2), task("d", 1))
	l.setUnits(5)
	require.Equal(t, domain.Units(10), l.m.Counters.Ceiling, "what runs, runs on")
	l.settle("c", plan.VerdictCompleted)
	require.Equal(t, domain.Units(8), l.m.Counters.Ceiling, "and the ceiling comes down with it")
	l.requireStatus(domain.StatusQueued, "d")
	l.settle("a", plan.VerdictCompleted)
	l.requireStatus(domain.StatusRunning, "d")
	require.Equal(t, domain.Units(5), l.m.Counters.Ceiling)
	l.setUnits(20)
	require.Equal(t, domain.Units(20), l.m.Counters.Ceiling)
}

func TestGrowthStartsWhatWaits(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 10), task("b", 5))
	l.setUnits(15)
	l.requireStatus(domain.StatusRunning, "b")
}

func TestWhatNoLongerFitsIsDroppedWhenItComesUp(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 10), task("b", 8, mailed), task("c", 5))
	l.setUnits(5)
	l.requireStatus(domain.StatusQueued, "b")
	l.settle("a", plan.VerdictCompleted)
	l.requireStatus(domain.StatusDropped, "b")
	l.requireStatus(domain.StatusRunning, "c")
	require.Equal(t, domain.ReasonNeverFits, l.task("b").Reason.Code)
	require.Len(t, l.m.Messages, 1)
}

func TestNoCapacityPausesTheQueue(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 10), task("b", 8))
	l.setUnits(0)
	l.settle("a", plan.VerdictCompleted)
	l.requireStatus(domain.StatusQueued, "b")
	l.setUnits(8)
	l.requireStatus(domain.StatusRunning, "b")
}

func TestChangeIsAudited(t *testing.T) {
	t.Parallel()
	l := setup(t)
	state, units, depth := domain.PoolDraining, domain.Units(7), int64(3)
	answer := l.change(plan.PoolChange{State: &state, MaxUnits: &units, MaxQueueDepth: &depth})
	require.Equal(t, int64(2), answer.Pool.Version)
	require.Equal(t, units, l.m.Pool.MaxUnits)
	e := l.last()
	require.Equal(t, domain.EventPoolChange, e.Kind)
	require.Equal(t, "ops", e.Actor)
	require.Equal(t, []string{"pool:llm"}, e.Subjects)
	require.JSONEq(t, `{"state":"draining","maxUnits":7,"maxQueueDepth":3,
		"from":{"state":"active","maxUnits":10,"maxQueueDepth":100}}`, string(e.Detail))

	d := l.turn(plan.Requests{Changes: []plan.PoolChange{{State: &state, MaxUnits: &units}}})
	require.True(t, d.Idle, "the same again changes nothing")
	require.Equal(t, int64(2), d.Answers.Changes[0].Pool.Version)
}

func TestSeveralChangesInOneTurn(t *testing.T) {
	t.Parallel()
	l := setup(t)
	d := l.turn(plan.Requests{Changes: []plan.PoolChange{
		{MaxUnits: new(domain.Units(4))}, {MaxUnits: new(domain.Units(12))}, {MaxUnits: new(domain.Units(-1))},
	}})
	require.Len(t, d.Events, 2)
	require.Equal(t, domain.Units(12), d.Pool.MaxUnits)
	require.Equal(t, int64(3), d.Pool.Version)
	require.Equal(t, domain.CodeInvalid, d.Answers.Changes[2].Err.Code)
}

func TestConfigurationReplacesThePolicy(t *testing.T) {
	t.Parallel()
	l := setup(t)
	next := l.m.Pool
	next.Name, next.Policy, next.MaxOvertakes, next.Executors = "Large", domain.PolicyFair, 3, []string{"sleep", "default", "default"}
	next.Tenants = map[domain.Tenant]domain.TenantPolicy{"acme": {Weight: 3, MaxUnits: 6}}
	next.State, next.MaxUnits, next.Version = domain.PoolDisabled, 99, 77 // not configuration's business here
	answer := l.change(plan.PoolChange{Policy: &next})
	require.Nil(t, answer.Err)
	pool := l.m.Pool
	require.Equal(t, "Large", pool.Name)
	require.Equal(t, domain.PolicyFair, pool.Policy)
	require.Equal(t, []string{"default", "sleep"}, pool.Executors)
	require.Equal(t, domain.PoolActive, pool.State)
	require.Equal(t, domain.Units(10), pool.MaxUnits)
	require.Equal(t, int64(2), pool.Version)
	var detail map[string]any
	require.NoError(t, json.Unmarshal(l.last().Detail, &detail))
	require.Contains(t, detail, "tenants")

	d := l.turn(plan.Requests{Changes: []plan.PoolChange{{Policy: &next}}})
	require.True(t, d.Idle, "the same configuration again")
}

func TestChangeFaults(t *testing.T) {
	t.Parallel()
	l := setup(t)
	bad := domain.Pool{
		DefaultTimeout: 0, MailboxBackend: "x", Runtime: "x", Policy: "x", ResourceKind: "x",
		MaxOvertakes: -1, MaxAttempts: 0, RetryBackoff: domain.Backoff{Base: -1},
		Tenants: map[domain.Tenant]domain.TenantPolicy{"a": {Weight: -1}},
	}
	answer := l.change(plan.PoolChange{
		State: new(domain.PoolState("on")), MaxUnits: new(domain.MaxPoolUnits + 1), MaxQueueDepth: new(int64(-1)), Policy: &bad,
	})
	require.Equal(t, domain.CodeInvalid, answer.Err.Code)
	require.Len(t, answer.Err.Faults, 12)
	require.Equal(t, int64(1), l.m.Pool.Version)
}

func TestOrderCannotChangeUnderAQueue(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 10), task("b", 10))
	next := l.m.Pool
	next.Policy = domain.PolicyDeadline
	require.Equal(t, domain.CodeConflict, l.change(plan.PoolChange{Policy: &next}).Err.Code)
	require.Equal(t, domain.PolicyFIFO, l.m.Pool.Policy)
	l.settle("a", plan.VerdictCompleted)
	require.Nil(t, l.change(plan.PoolChange{Policy: &next}).Err)
	require.Equal(t, domain.PolicyDeadline, l.m.Pool.Policy)
}

func TestNewCapMovesTheQueuedToTheirLane(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("run", 10), task("a1", 5), task("a2", 5), task("b", 5, of("other")))
	next := l.m.Pool
	next.Tenants = map[domain.Tenant]domain.TenantPolicy{"acme": {MaxUnits: 5}}
	d := l.turn(plan.Requests{Changes: []plan.PoolChange{{Policy: &next}}})
	require.Equal(t, []domain.Tenant{"acme"}, d.Relane)
	require.Equal(t, "acme", l.task("a1").Lane)
	l.settle("run", plan.VerdictCompleted)
	l.requireStatus(domain.StatusRunning, "a1", "b")
	l.requireStatus(domain.StatusQueued, "a2")

	next.Tenants = nil
	d = l.turn(plan.Requests{Changes: []plan.PoolChange{{Policy: &next}}})
	require.Equal(t, []domain.Tenant{"acme"}, d.Relane)
	require.Empty(t, l.task("a2").Lane)
}

func TestNewCapBeyondWhatWasReadWaitsForTheNextTurn(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.m.Limits.Candidates = 1
	l.submit(task("run", 10), task("a1", 5), task("a2", 5), task("b", 5, of("other")))
	next := l.m.Pool
	next.Tenants = map[domain.Tenant]domain.TenantPolicy{"acme": {MaxUnits: 5}}
	d := l.turn(plan.Requests{
		Settles: []plan.Settle{{Ref: domain.Ref{PoolID: "llm", JobID: 1, Attempt: 1}, Verdict: plan.VerdictCompleted}},
		Changes: []plan.PoolChange{{Policy: &next}},
	})
	require.Empty(t, d.Started)
	require.True(t, d.Again)
	d = l.turn(plan.Requests{})
	require.Len(t, d.Started, 2)
	l.requireStatus(domain.StatusRunning, "a1", "b")
}

func TestCapThatFellBelowATask(t *testing.T) {
	t.Parallel()
	l := setup(t, withTenant("acme", domain.TenantPolicy{MaxUnits: 8}))
	l.submit(task("run", 8), task("a", 8), task("b", 3))
	next := l.m.Pool
	next.Tenants = map[domain.Tenant]domain.TenantPolicy{"acme": {MaxUnits: 4}}
	l.change(plan.PoolChange{Policy: &next})
	l.requireStatus(domain.StatusDropped, "a")
	l.settle("run", plan.VerdictCompleted)
	l.requireStatus(domain.StatusRunning, "b")
}
