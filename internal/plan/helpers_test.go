package plan_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/plan/plantest"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// lot is a pool under test. Every turn it takes is checked against all promises
// that plantest knows.
type lot struct {
	t   *testing.T
	m   *plantest.Model
	now time.Time
}

func setup(t *testing.T, opts ...func(*domain.Pool)) *lot {
	t.Helper()
	pool := domain.Pool{
		PoolID: "llm", Name: "LLM", State: domain.PoolActive, MaxUnits: 10, MaxQueueDepth: 100,
		DefaultTimeout: time.Minute, QueueBackend: domain.BackendMemory, MailboxBackend: domain.BackendMemory,
		Runtime: domain.RuntimeNative, Policy: domain.PolicyFIFO, ResourceKind: domain.KindGPUVRAM,
		MaxOvertakes: 16, MaxAttempts: 1, RetryBackoff: domain.Backoff{Base: 10 * time.Second, Max: time.Minute},
		Executors: []string{"default", "sleep"}, Version: 1,
	}
	for _, opt := range opts {
		opt(&pool)
	}
	return &lot{t: t, m: plantest.New(pool), now: epoch}
}

func withPolicy(p domain.PriorityPolicy) func(*domain.Pool) {
	return func(pool *domain.Pool) { pool.Policy = p }
}

func withAttempts(n int) func(*domain.Pool) { return func(pool *domain.Pool) { pool.MaxAttempts = n } }

func withTenant(name domain.Tenant, policy domain.TenantPolicy) func(*domain.Pool) {
	return func(pool *domain.Pool) {
		if pool.Tenants == nil {
			pool.Tenants = map[domain.Tenant]domain.TenantPolicy{}
		}
		pool.Tenants[name] = policy
	}
}

// turn takes one turn, a second after the one before.
func (l *lot) turn(req plan.Requests) plan.Decisions {
	l.t.Helper()
	l.now = l.now.Add(time.Second)
	req.Worker = "w1"
	d, err := l.m.Turn(l.now, &req)
	require.NoError(l.t, err)
	return d
}

func (l *lot) submit(submits ...plan.Submit) []plan.Answer {
	l.t.Helper()
	return l.turn(plan.Requests{Submits: submits}).Answers.Submits
}

// settle reports the end of the newest attempt of a task.
func (l *lot) settle(id domain.TaskID, verdict plan.Verdict, opts ...func(*plan.Settle)) plan.Answer {
	l.t.Helper()
	task := l.task(id)
	s := plan.Settle{Ref: task.Ref(), Units: task.Units, Verdict: verdict}
	for _, opt := range opts {
		opt(&s)
	}
	return l.turn(plan.Requests{Settles: []plan.Settle{s}}).Answers.Settles[0]
}

func retryable(s *plan.Settle) { s.Retryable = true }

func ofAttempt(n int) func(*plan.Settle) { return func(s *plan.Settle) { s.Ref.Attempt = n } }

func (l *lot) lose(id domain.TaskID, holder domain.WorkerID) plan.Answer {
	l.t.Helper()
	task := l.task(id)
	return l.turn(plan.Requests{Losts: []plan.Lost{{Ref: task.Ref(), Holder: holder}}}).Answers.Losts[0]
}

func (l *lot) cancel(id domain.TaskID) plan.Answer {
	l.t.Helper()
	return l.turn(plan.Requests{Cancels: []plan.Cancel{{TaskID: id, Actor: "ops"}}}).Answers.Cancels[0]
}

func (l *lot) force(id domain.TaskID, status domain.Status) plan.Answer {
	l.t.Helper()
	return l.turn(plan.Requests{Forces: []plan.Force{{TaskID: id, Status: status, Actor: "ops"}}}).Answers.Forces[0]
}

func (l *lot) change(c plan.PoolChange) plan.Answer {
	l.t.Helper()
	c.Actor = "ops"
	return l.turn(plan.Requests{Changes: []plan.PoolChange{c}}).Answers.Changes[0]
}

func (l *lot) setState(s domain.PoolState) {
	l.t.Helper()
	require.Nil(l.t, l.change(plan.PoolChange{State: &s}).Err)
}

func (l *lot) setUnits(units domain.Units) {
	l.t.Helper()
	require.Nil(l.t, l.change(plan.PoolChange{MaxUnits: &units}).Err)
}

func (l *lot) task(id domain.TaskID) domain.Task {
	l.t.Helper()
	t := l.m.Newest(id)
	require.NotNil(l.t, t, "no task %q", id)
	return *t
}

func (l *lot) requireStatus(want domain.Status, ids ...domain.TaskID) {
	l.t.Helper()
	for _, id := range ids {
		require.Equal(l.t, want, l.task(id).Status, "status of %q", id)
	}
}

// trail returns the kinds of a task's events.
func (l *lot) trail(id domain.TaskID) []domain.EventKind {
	var kinds []domain.EventKind
	for _, e := range l.m.Events {
		if e.TaskID == id {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

func (l *lot) last() domain.Event { return l.m.Events[len(l.m.Events)-1] }

// task makes a submission.
func task(id domain.TaskID, units domain.Units, opts ...func(*plan.Submit)) plan.Submit {
	hash := sha256.Sum256([]byte(id))
	s := plan.Submit{TaskID: id, BodyHash: hash[:], Tenant: "acme", Priority: domain.PriorityNormal, Units: units}
	for _, opt := range opts {
		opt(&s)
	}
	return s
}

func of(tenant domain.Tenant) func(*plan.Submit) { return func(s *plan.Submit) { s.Tenant = tenant } }

func at(p domain.Priority) func(*plan.Submit) { return func(s *plan.Submit) { s.Priority = p } }

func by(deadline time.Time) func(*plan.Submit) {
	return func(s *plan.Submit) { s.Deadline = &deadline }
}

func withBody(body string) func(*plan.Submit) {
	return func(s *plan.Submit) { h := sha256.Sum256([]byte(body)); s.BodyHash = h[:] }
}

func mailed(s *plan.Submit) { s.Mailbox = &domain.MailboxKey{Tenant: s.Tenant, UserID: "u1"} }
