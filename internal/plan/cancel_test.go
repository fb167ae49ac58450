package plan_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

func TestCancelQueued(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 10), task("b", 10, mailed))
	answer := l.cancel("b")
	require.Nil(t, answer.Err)
	require.Equal(t, domain.StatusDropped, answer.Task.Status)
	require.Equal(t, domain.ReasonCancelled, l.task("b").Reason.Code)
	require.Equal(t, []domain.EventKind{domain.EventSubmit, domain.EventEnqueue, domain.EventCancel, domain.EventDrop}, l.trail("b"))
	require.Equal(t, "ops", l.last().Actor)
	require.Len(t, l.m.Messages, 1)

	l.cancel("b")
	require.Len(t, l.trail("b"), 4, "a second time changes nothing")
}

func TestCancelRunning(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 10), task("b", 10))
	d := l.turn(plan.Requests{Cancels: []plan.Cancel{{TaskID: "a"}, {TaskID: "a"}}})
	require.Len(t, d.Stopping, 1)
	require.Equal(t, domain.WorkerID("w1"), d.Stopping[0].Holder)
	a := l.task("a")
	require.Equal(t, domain.StatusRunning, a.Status, "it holds its units until it has stopped")
	require.Equal(t, l.now, *a.CancelAsked)
	require.Equal(t, domain.Units(10), l.m.Counters.ActiveUnits)

	d = l.turn(plan.Requests{Cancels: []plan.Cancel{{TaskID: "a"}}})
	require.True(t, d.Idle)

	l.settle("a", plan.VerdictCancelled)
	l.requireStatus(domain.StatusFailed, "a")
	l.requireStatus(domain.StatusRunning, "b")
	require.Equal(t, []domain.EventKind{domain.EventSubmit, domain.EventStart, domain.EventCancel, domain.EventFail}, l.trail("a"))
}

func TestCancelRetryInBackoff(t *testing.T) {
	t.Parallel()
	l := setup(t, withAttempts(2))
	l.submit(task("a", 10))
	l.settle("a", plan.VerdictFailed, retryable)
	l.cancel("a")
	l.requireStatus(domain.StatusDropped, "a")
	require.Zero(t, l.m.Counters.Waiting)
}

func TestCancelTerminalAndUnknown(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 1))
	l.settle("a", plan.VerdictCompleted)
	d := l.turn(plan.Requests{Cancels: []plan.Cancel{{TaskID: "a"}, {TaskID: "x"}}})
	require.Equal(t, domain.StatusCompleted, d.Answers.Cancels[0].Task.Status)
	require.Nil(t, d.Answers.Cancels[0].Err)
	require.Equal(t, domain.CodeUnknownTask, d.Answers.Cancels[1].Err.Code)
	require.True(t, d.Idle)
}

func TestForce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from, to domain.Status
		code     domain.Code
		event    domain.EventKind
	}{
		{domain.StatusRunning, domain.StatusCompleted, "", domain.EventComplete},
		{domain.StatusRunning, domain.StatusFailed, "", domain.EventFail},
		{domain.StatusRunning, domain.StatusExpired, "", domain.EventExpire},
		{domain.StatusRunning, domain.StatusDropped, domain.CodeConflict, ""},
		{domain.StatusQueued, domain.StatusExpired, "", domain.EventExpire},
		{domain.StatusQueued, domain.StatusDropped, "", domain.EventDrop},
		{domain.StatusQueued, domain.StatusCompleted, domain.CodeConflict, ""},
		{domain.StatusQueued, domain.StatusFailed, domain.CodeConflict, ""},
		{domain.StatusCompleted, domain.StatusFailed, domain.CodeTaskFinal, ""},
		{domain.StatusRunning, domain.StatusQueued, domain.CodeInvalid, ""},
		{domain.StatusRunning, domain.StatusRejected, domain.CodeInvalid, ""},
		{"", domain.StatusFailed, domain.CodeUnknownTask, ""},
	} {
		t.Run(string(test.from+" to "+test.to), func(t *testing.T) {
			t.Parallel()
			l := setup(t)
			if test.from != "" {
				if test.from == domain.StatusQueued {
					l.submit(task("first", 10))
				}
				l.submit(task("a", 4, mailed))
				if test.from == domain.StatusCompleted {
					l.settle("a", plan.VerdictCompleted)
				}
				l.requireStatus(test.from, "a")
			}
			d := l.turn(plan.Requests{Forces: []plan.Force{{TaskID: "a", Status: test.to, Actor: "ops"}}})
			answer := d.Answers.Forces[0]
			if test.code != "" {
				require.Equal(t, test.code, answer.Err.Code)
				require.True(t, d.Idle)
				return
			}
			require.Nil(t, answer.Err)
			a := l.task("a")
			require.Equal(t, test.to, a.Status)
			require.Equal(t, domain.ReasonForced, a.Reason.Code)
			require.Equal(t, test.event, d.Events[0].Kind)
			require.Equal(t, "ops", d.Events[0].Actor)
			require.Len(t, l.m.Messages, 1)
			if test.from == domain.StatusRunning {
				require.Len(t, d.Stopping, 1)
				require.Equal(t, domain.WorkerID("w1"), d.Stopping[0].Holder, "who holds it must be told")
				require.Equal(t, domain.Units(4), d.Events[0].Units)
				require.Zero(t, l.m.Counters.ActiveUnits)
			} else {
				require.Empty(t, d.Stopping)
			}
		})
	}
}

func TestForceKeepsTheOperatorsReason(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 1))
	reason := domain.Reason{Code: domain.ReasonEvicted, Message: "made room"}
	l.turn(plan.Requests{Forces: []plan.Force{{TaskID: "a", Status: domain.StatusFailed, Reason: reason}}})
	require.Equal(t, reason, l.task("a").Reason)
}

func TestRiverJobsEndWithTheirAttempts(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(a domain.Task) plan.Requests{
		"settled": func(a domain.Task) plan.Requests {
			return plan.Requests{Settles: []plan.Settle{{Ref: a.Ref(), Verdict: plan.VerdictFailed}}}
		},
		"lost": func(a domain.Task) plan.Requests {
			return plan.Requests{Losts: []plan.Lost{{Ref: a.Ref()}}}
		},
		"forced": func(a domain.Task) plan.Requests {
			return plan.Requests{Forces: []plan.Force{{TaskID: a.TaskID, Status: domain.StatusFailed}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := setup(t, func(p *domain.Pool) { p.Runtime = domain.RuntimeWorker })
			l.submit(task("a", 1))
			l.m.Newest("a").RiverJobID = 42
			require.Equal(t, []int64{42}, l.turn(end(l.task("a"))).RiverDone)
		})
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 10, by(epoch.Add(time.Hour))), task("b", 10, mailed, by(epoch.Add(3*time.Second))), task("c", 10, by(epoch.Add(time.Minute))))
	require.Equal(t, epoch.Add(3*time.Second), *l.m.Counters.NextDueAt)
	l.turn(plan.Requests{})
	l.requireStatus(domain.StatusQueued, "b")
	d := l.turn(plan.Requests{}) // at the deadline exactly
	l.requireStatus(domain.StatusExpired, "b")
	require.Equal(t, domain.ReasonDeadlinePassed, l.task("b").Reason.Code)
	require.Equal(t, domain.EventExpire, d.Events[0].Kind)
	require.Zero(t, d.Events[0].Units, "no units were ever taken")
	require.Equal(t, epoch.Add(time.Minute), *d.Counters.NextDueAt)
	require.Len(t, l.m.Messages, 1)
	l.requireStatus(domain.StatusRunning, "a") // a deadline is for the start
}

func TestDueIsReadInPages(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.m.Limits.Due = 2
	l.submit(task("run", 10))
	for _, id := range []domain.TaskID{"a", "b", "c", "d", "e"} {
		l.submit(task(id, 1, by(epoch.Add(time.Minute))))
	}
	l.now = epoch.Add(time.Minute)
	for range 2 {
		require.True(t, l.turn(plan.Requests{}).Again)
	}
	require.False(t, l.turn(plan.Requests{}).Again)
	l.requireStatus(domain.StatusExpired, "a", "b", "c", "d", "e")
}

func TestATaskThatIsDueNeverStarts(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.m.Limits.Due = 1
	l.submit(task("run", 10), task("a", 9, by(epoch.Add(time.Minute))), task("b", 9, by(epoch.Add(time.Minute))))
	l.now = epoch.Add(time.Hour)
	l.settle("run", plan.VerdictCompleted) // only one of the two was read as due
	l.requireStatus(domain.StatusExpired, "a", "b")
}

func TestTimerIsStoredOnlyWhenItMatters(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("run", 10), task("a", 1, by(epoch.Add(time.Minute))), task("b", 1, by(epoch.Add(time.Hour))))
	l.cancel("a")
	require.Equal(t, epoch.Add(time.Minute), *l.m.Counters.NextDueAt, "early, which does no harm")
	d := l.turn(plan.Requests{})
	require.True(t, d.Idle)
	require.Equal(t, epoch.Add(time.Hour), *d.Counters.NextDueAt, "an idle turn knows better")
	l.now = epoch.Add(2 * time.Minute)
	require.False(t, l.turn(plan.Requests{}).Idle, "a timer that has fired for nobody is moved")
	require.Equal(t, epoch.Add(time.Hour), *l.m.Counters.NextDueAt)
	require.True(t, l.turn(plan.Requests{}).Idle)
}
