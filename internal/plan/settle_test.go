package plan_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

func TestSettle(t *testing.T) {
	t.Parallel()
	panicked := func(s *plan.Settle) {
		s.Reason = domain.Reason{Code: domain.ReasonExecutorPanicked, Message: "index out of range"}
	}
	for name, test := range map[string]struct {
		verdict  plan.Verdict
		opts     []func(*plan.Settle)
		cancel   bool
		attempts int
		status   domain.Status
		reason   domain.ReasonCode
		event    domain.EventKind
	}{
		"completed":               {verdict: plan.VerdictCompleted, status: domain.StatusCompleted, event: domain.EventComplete},
		"failed":                  {verdict: plan.VerdictFailed, status: domain.StatusFailed, reason: domain.ReasonExecutorFailed, event: domain.EventFail},
		"panicked":                {verdict: plan.VerdictFailed, opts: []func(*plan.Settle){panicked}, attempts: 3, status: domain.StatusFailed, reason: domain.ReasonExecutorPanicked, event: domain.EventFail},
		"failed for the last":     {verdict: plan.VerdictFailed, opts: []func(*plan.Settle){retryable}, attempts: 1, status: domain.StatusFailed, reason: domain.ReasonExecutorFailed, event: domain.EventFail},
		"failed, may retry":       {verdict: plan.VerdictFailed, opts: []func(*plan.Settle){retryable}, attempts: 2, status: domain.StatusQueued, reason: domain.ReasonExecutorFailed, event: domain.EventRetry},
		"timed out is final":      {verdict: plan.VerdictTimedOut, opts: []func(*plan.Settle){retryable}, attempts: 3, status: domain.StatusExpired, reason: domain.ReasonTimeout, event: domain.EventExpire},
		"cancelled":               {verdict: plan.VerdictCancelled, cancel: true, attempts: 3, status: domain.StatusFailed, reason: domain.ReasonCancelled, event: domain.EventFail},
		"completed all the same":  {verdict: plan.VerdictCompleted, cancel: true, status: domain.StatusCompleted, event: domain.EventComplete},
		"cancelled, no retry":     {verdict: plan.VerdictFailed, opts: []func(*plan.Settle){retryable}, cancel: true, attempts: 3, status: domain.StatusFailed, reason: domain.ReasonCancelled, event: domain.EventFail},
		"cancelled, then panic":   {verdict: plan.VerdictFailed, opts: []func(*plan.Settle){panicked}, cancel: true, status: domain.StatusFailed, reason: domain.ReasonExecutorPanicked, event: domain.EventFail},
		"handed back, cancelled":  {verdict: plan.VerdictHandBack, cancel: true, status: domain.StatusFailed, reason: domain.ReasonCancelled, event: domain.EventFail},
		"an unknown verdict":      {verdict: "?", status: domain.StatusFailed, reason: domain.ReasonExecutorFailed, event: domain.EventFail},
		"handed back with others": {verdict: plan.VerdictHandBack, status: domain.StatusQueued, event: domain.EventRetry},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := setup(t, withAttempts(max(1, test.attempts)))
			l.submit(task("a", 10, mailed))
			if test.cancel {
				l.cancel("a")
			}
			a := l.task("a")
			s := plan.Settle{Ref: a.Ref(), Verdict: test.verdict, Result: []byte(`{"ok":true}`), RiverJobID: 77}
			for _, opt := range test.opts {
				opt(&s)
			}
			d := l.turn(plan.Requests{NoStart: true, Settles: []plan.Settle{s}})

			a = l.task("a")
			require.Nil(t, d.Answers.Settles[0].Err)
			require.Equal(t, test.status, a.Status)
			require.Equal(t, test.status, d.Answers.Settles[0].Task.Status)
			require.Equal(t, test.reason, a.Reason.Code)
			require.Equal(t, test.event, d.Events[0].Kind)
			require.Equal(t, domain.Units(10), d.Events[0].Units, "the units are given back")
			require.Equal(t, test.status, d.Events[0].Status)
			require.Zero(t, l.m.Counters.ActiveUnits)
			require.Equal(t, []int64{77}, d.RiverDone)
			require.Empty(t, a.Holder)
			if !test.status.Terminal() {
				require.Empty(t, l.m.Messages)
				require.Nil(t, a.FinishedAt)
				return
			}
			require.Equal(t, l.now, *a.FinishedAt)
			require.Len(t, d.Ended, 1)
			require.Len(t, l.m.Messages, 1)
			require.Equal(t, a.Reason, l.m.Messages[0].Reason)
			if test.status == domain.StatusCompleted {
				require.JSONEq(t, `{"ok":true}`, string(a.Result))
				require.JSONEq(t, `{"ok":true}`, string(l.m.Messages[0].Payload))
			} else {
				require.Nil(t, a.Result)
				require.Nil(t, l.m.Messages[0].Payload)
			}
		})
	}
}

func TestSettleStartsTheNext(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 10), task("b", 4), task("c", 6), task("d", 1))
	a := l.task("a")
	d := l.turn(plan.Requests{Settles: []plan.Settle{{Ref: a.Ref(), Verdict: plan.VerdictCompleted}}})
	l.requireStatus(domain.StatusRunning, "b", "c")
	l.requireStatus(domain.StatusQueued, "d")
	require.Len(t, d.Changed, 3)
	require.Equal(t, domain.StatusQueued, d.Changed[1].FromStatus)
	require.Zero(t, d.Changed[1].FromAttempt)
	require.Equal(t, domain.EventComplete, d.Events[0].Kind, "what gives back comes before what takes")
}

func TestRetry(t *testing.T) {
	t.Parallel()
	l := setup(t, withAttempts(3))
	l.submit(task("a", 10), task("b", 10))
	l.settle("a", plan.VerdictFailed, retryable)
	a := l.task("a")
	require.Equal(t, domain.StatusQueued, a.Status)
	require.Equal(t, 1, a.Attempt)
	delay := a.NotBefore.Sub(l.now)
	require.LessOrEqual(t, delay, 10*time.Second)
	require.GreaterOrEqual(t, delay, 7500*time.Millisecond)
	require.Equal(t, int64(1), l.m.Counters.Waiting)
	require.Zero(t, l.m.Counters.Queued, "b has started")
	require.Equal(t, a.NotBefore, l.m.Counters.NextDueAt)

	var retry domain.Event
	for _, e := range l.m.Events {
		if e.Kind == domain.EventRetry {
			retry = e
		}
	}
	require.JSONEq(t, `{"notBefore":"`+a.NotBefore.Format(time.RFC3339Nano)+`"}`, string(retry.Detail))

	l.now = l.now.Add(10 * time.Second)
	l.submit(task("c", 10)) // the backoff is over in this turn: a comes before c
	require.Equal(t, int64(2), l.m.Counters.Queued)
	require.Less(t, l.task("a").Rank, l.task("c").Rank)
	require.Greater(t, l.task("a").Rank, l.task("b").Rank, "a has a new place")
	l.settle("b", plan.VerdictCompleted)
	require.Equal(t, 2, l.task("a").Attempt)
	require.Empty(t, l.task("a").Reason)
	l.settle("a", plan.VerdictFailed, retryable)
	l.settle("c", plan.VerdictCompleted)
	l.now = l.now.Add(time.Minute)
	l.turn(plan.Requests{})
	require.Equal(t, 3, l.task("a").Attempt)
	l.settle("a", plan.VerdictFailed, retryable)
	l.requireStatus(domain.StatusFailed, "a")
	require.Equal(t, []domain.EventKind{
		domain.EventSubmit, domain.EventStart, domain.EventRetry, domain.EventEnqueue, domain.EventStart,
		domain.EventRetry, domain.EventEnqueue, domain.EventStart, domain.EventFail,
	}, l.trail("a"))
}

func TestRetryIsExemptFromTheQueueDepth(t *testing.T) {
	t.Parallel()
	l := setup(t, withAttempts(2), func(p *domain.Pool) { p.MaxQueueDepth = 1 })
	l.submit(task("a", 10), task("b", 10))
	l.settle("a", plan.VerdictFailed, retryable)
	l.submit(task("c", 10))
	l.requireStatus(domain.StatusQueued, "a", "c")
}

func TestRetryWithoutBackoffIsInTheOrderAtOnce(t *testing.T) {
	t.Parallel()
	l := setup(t, withAttempts(2), func(p *domain.Pool) { p.RetryBackoff = domain.Backoff{} })
	l.submit(task("a", 10))
	l.settle("a", plan.VerdictFailed, retryable)
	a := l.task("a")
	require.Equal(t, domain.StatusRunning, a.Status)
	require.Equal(t, 2, a.Attempt)
}

func TestRetryThatCannotStartByItsDeadlineFails(t *testing.T) {
	t.Parallel()
	l := setup(t, withAttempts(2))
	l.submit(task("a", 1, by(epoch.Add(2500*time.Millisecond))))
	l.settle("a", plan.VerdictFailed, retryable)
	l.requireStatus(domain.StatusFailed, "a")
	require.Equal(t, domain.ReasonExecutorFailed, l.task("a").Reason.Code)
}

func TestRetryStillHasItsDeadline(t *testing.T) {
	t.Parallel()
	l := setup(t, withAttempts(2))
	l.submit(task("a", 1, by(epoch.Add(30*time.Second))))
	l.settle("a", plan.VerdictFailed, retryable)
	l.now = epoch.Add(time.Minute)
	l.turn(plan.Requests{})
	l.requireStatus(domain.StatusExpired, "a")
	require.Equal(t, domain.ReasonDeadlinePassed, l.task("a").Reason.Code)
	require.Zero(t, l.last().Units, "the attempt had given its units back before")
	require.Zero(t, l.m.Counters.Waiting)
}

func TestHandBackCostsNoAttemptAndKeepsItsPlace(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 10), task("b", 10))
	a := l.task("a")
	d := l.turn(plan.Requests{NoStart: true, Settles: []plan.Settle{{Ref: a.Ref(), Verdict: plan.VerdictHandBack}}})
	a = l.task("a")
	require.Equal(t, domain.StatusQueued, a.Status)
	require.Nil(t, a.NotBefore)
	require.Equal(t, 1, a.Attempt)
	require.Equal(t, 2, a.MaxAttempts)
	require.Equal(t, domain.EventRetry, d.Events[0].Kind)
	l.turn(plan.Requests{})
	l.requireStatus(domain.StatusRunning, "a")
	l.requireStatus(domain.StatusQueued, "b")
	require.Equal(t, 2, l.task("a").Attempt)
	l.settle("a", plan.VerdictFailed, retryable)
	l.requireStatus(domain.StatusFailed, "a")
}

func TestHandBackAfterTheDeadlineExpires(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 1, by(epoch.Add(1500*time.Millisecond))))
	l.settle("a", plan.VerdictHandBack)
	l.requireStatus(domain.StatusExpired, "a")
	require.Equal(t, domain.Units(1), l.last().Units)
}

func TestSettleIsFenced(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(l *lot){
		"lost and running again": func(l *lot) {
			l.lose("a", "w1")
			l.now = l.now.Add(time.Minute)
			l.turn(plan.Requests{})
		},
		"lost and waiting": func(l *lot) { l.lose("a", "w1") },
		"forced":           func(l *lot) { l.force("a", domain.StatusCompleted) },
		"timed out":        func(l *lot) { l.settle("a", plan.VerdictTimedOut) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := setup(t, withAttempts(2))
			l.submit(task("a", 1))
			prepare(l)
			before := l.task("a")
			answer := l.settle("a", plan.VerdictCompleted, ofAttempt(1))
			require.Equal(t, domain.CodeConflict, answer.Err.Code)
			require.Equal(t, before, l.task("a"), "nothing changes")
			e := l.last()
			require.Equal(t, domain.EventRefused, e.Kind)
			require.Equal(t, domain.ReasonLateResult, e.Reason.Code)
			require.Equal(t, 1, e.Attempt)
			require.Zero(t, e.Units)
		})
	}
}

func TestLateFailureOfALostAttemptIsRefused(t *testing.T) {
	t.Parallel()
	l := setup(t, withAttempts(2))
	l.submit(task("a", 1))
	l.lose("a", "w1")
	require.NotNil(t, l.settle("a", plan.VerdictFailed, retryable, ofAttempt(1)).Err)
	require.Equal(t, domain.EventRefused, l.last().Kind)
}

func TestSameSettlementAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		verdict plan.Verdict
		opts    []func(*plan.Settle)
		cancel  bool
	}{
		"completed":  {verdict: plan.VerdictCompleted},
		"failed":     {verdict: plan.VerdictFailed},
		"retry":      {verdict: plan.VerdictFailed, opts: []func(*plan.Settle){retryable}},
		"timed out":  {verdict: plan.VerdictTimedOut},
		"cancelled":  {verdict: plan.VerdictCancelled, cancel: true},
		"given up":   {verdict: plan.VerdictFailed, opts: []func(*plan.Settle){retryable}, cancel: true},
		"never told": {verdict: plan.VerdictHandBack, cancel: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := setup(t, withAttempts(2))
			l.submit(task("a", 1))
			if test.cancel {
				l.cancel("a")
			}
			first := l.settle("a", test.verdict, test.opts...)
			require.False(t, first.Known)
			a := l.task("a")
			s := plan.Settle{Ref: a.Ref(), Verdict: test.verdict}
			for _, opt := range test.opts {
				opt(&s)
			}
			d := l.turn(plan.Requests{Settles: []plan.Settle{s, s}})
			for _, again := range d.Answers.Settles {
				require.Nil(t, again.Err)
				require.True(t, again.Known)
				require.Equal(t, first.Task.Status, again.Task.Status)
			}
			require.True(t, d.Idle, "%+v", d)
		})
	}
}

func TestHandBackTwiceInOneTurn(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 1))
	a := l.task("a")
	s := plan.Settle{Ref: a.Ref(), Verdict: plan.VerdictHandBack}
	d := l.turn(plan.Requests{NoStart: true, Settles: []plan.Settle{s, s}})
	require.True(t, d.Answers.Settles[1].Known)
}

func TestSettleOfNobody(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.submit(task("a", 1))
	d := l.turn(plan.Requests{Settles: []plan.Settle{
		{Ref: domain.Ref{PoolID: "llm", JobID: 9, Attempt: 1}, Verdict: plan.VerdictCompleted},
		{Ref: domain.Ref{PoolID: "other", JobID: 1, Attempt: 1}, Verdict: plan.VerdictCompleted},
		{Ref: domain.Ref{PoolID: "llm", JobID: 1, Attempt: 2}, Verdict: plan.VerdictCompleted},
		{Ref: domain.Ref{PoolID: "llm", JobID: 1}, Verdict: plan.VerdictCompleted},
	}})
	for _, answer := range d.Answers.Settles {
		require.Equal(t, domain.CodeUnknownTask, answer.Err.Code)
	}
	require.True(t, d.Idle)
	l.requireStatus(domain.StatusRunning, "a")
}

func TestLost(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		attempts int
		cancel   bool
		status   domain.Status
		reason   domain.ReasonCode
	}{
		"with attempts left":  {2, false, domain.StatusQueued, domain.ReasonWorkerLost},
		"without":             {1, false, domain.StatusFailed, domain.ReasonWorkerLost},
		"asked to stop":       {2, true, domain.StatusFailed, domain.ReasonCancelled},
		"asked, for the last": {1, true, domain.StatusFailed, domain.ReasonCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := setup(t, withAttempts(test.attempts))
			l.submit(task("a", 7, mailed))
			if test.cancel {
				l.cancel("a")
			}
			require.Nil(t, l.lose("a", "w1").Err)
			l.requireStatus(test.status, "a")
			require.Equal(t, test.reason, l.task("a").Reason.Code)
			e := l.last()
			require.Equal(t, domain.EventLost, e.Kind, "one event ends an attempt, none follows it")
			require.Equal(t, domain.Units(7), e.Units)
			require.Equal(t, test.status, e.Status)
			require.Equal(t, test.status.Terminal(), len(l.m.Messages) == 1)
			require.Zero(t, l.m.Counters.ActiveUnits)
		})
	}
}

func TestLostIsFenced(t *testing.T) {
	t.Parallel()
	l := setup(t, withAttempts(3))
	l.submit(task("a", 1))
	a := l.task("a")
	lost := plan.Lost{Ref: a.Ref(), Holder: "w1"}
	other := plan.Lost{Ref: a.Ref(), Holder: "w2"}
	past := lost
	past.Ref.Attempt = 0
	nobody := lost
	nobody.Ref.JobID = 5
	d := l.turn(plan.Requests{Losts: []plan.Lost{other, past, nobody, lost, lost}})
	var codes []domain.Code
	for _, answer := range d.Answers.Losts {
		if answer.Err == nil {
			codes = append(codes, "")
			continue
		}
		codes = append(codes, answer.Err.Code)
	}
	require.Equal(t, []domain.Code{domain.CodeConflict, domain.CodeUnknownTask, domain.CodeUnknownTask, "", domain.CodeConflict}, codes)
	require.Len(t, d.Events, 1, "a second observer is no late result")
}

func TestLostOfAWorkerPoolNamesWhoHasTheRiverJob(t *testing.T) {
	t.Parallel()
	l := setup(t, func(p *domain.Pool) { p.Runtime = domain.RuntimeWorker })
	l.submit(task("a", 1))
	require.Nil(t, l.lose("a", "river-client").Err)
	l.requireStatus(domain.StatusFailed, "a")
}
