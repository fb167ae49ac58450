package plan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

func TestSubmitStartsWhatFits(t *testing.T) {
	t.Parallel()
	l := setup(t)
	d := l.turn(plan.Requests{Submits: []plan.Submit{task("a", 6), task("b", 5), task("c", 4)}})

	l.requireStatus(domain.StatusRunning, "a", "c")
	l.requireStatus(domain.StatusQueued, "b")
	require.Empty(t, d.Changed, "what starts on arrival is inserted as running")
	require.Len(t, d.Inserted, 3)
	require.Len(t, d.Started, 2)
	require.Equal(t, domain.WorkerID("w1"), d.Started[0].Holder)
	require.Equal(t, []domain.EventKind{domain.EventSubmit, domain.EventStart}, l.trail("a"))
	require.Equal(t, []domain.EventKind{domain.EventSubmit, domain.EventEnqueue}, l.trail("b"))
	require.Equal(t, int64(1), d.Answers.Submits[1].Position)
	require.Equal(t, 1, l.task("b").Overtaken, "c went past b")
	require.Equal(t, domain.Units(10), d.Counters.ActiveUnits)
}

func TestSubmitFillsInWhatThePoolSays(t *testing.T) {
	t.Parallel()
	l := setup(t, withAttempts(3))
	l.submit(task("a", 1))
	a := l.task("a")
	require.Equal(t, domain.KindGPUVRAM, a.Kind)
	require.Equal(t, time.Minute, a.Timeout)
	require.Equal(t, 3, a.MaxAttempts)
	require.Equal(t, plan.DefaultExecutor, a.Executor)
	require.Equal(t, l.now, a.CreatedAt)

	l.submit(task("b", 1, func(s *plan.Submit) {
		s.Kind, s.Timeout, s.MaxAttempts, s.Executor = domain.KindIO, time.Second, 2, "sleep"
		s.Payload, s.Labels = []byte(`{"x":1}`), map[string]string{"k": "v"}
	}))
	b := l.task("b")
	require.Equal(t, domain.KindIO, b.Kind)
	require.Equal(t, time.Second, b.Timeout)
	require.Equal(t, 2, b.MaxAttempts)
	require.Equal(t, "sleep", b.Executor)
	require.JSONEq(t, `{"x":1}`, string(b.Payload))
	require.Equal(t, map[string]string{"k": "v"}, b.Labels)
}

func TestSubmitRejects(t *testing.T) {
	t.Parallel()
	depth := func(n int64) func(*domain.Pool) { return func(p *domain.Pool) { p.MaxQueueDepth = n } }
	state := func(s domain.PoolState) func(*domain.Pool) { return func(p *domain.Pool) { p.State = s } }
	units := func(n domain.Units) func(*domain.Pool) { return func(p *domain.Pool) { p.MaxUnits = n } }
	for name, test := range map[string]struct {
		pool  []func(*domain.Pool)
		code  domain.Code
		retry bool
	}{
		"queue full":        {[]func(*domain.Pool){depth(0)}, domain.CodeQueueFull, true},
		"tenant queue full": {[]func(*domain.Pool){withTenant("acme", domain.TenantPolicy{MaxQueueDepth: 1})}, domain.CodeTenantQueueFull, true},
		"capacity zero":     {[]func(*domain.Pool){units(0)}, domain.CodeCapacityZero, false},
		"draining":          {[]func(*domain.Pool){state(domain.PoolDraining)}, domain.CodePoolDraining, false},
		"disabled":          {[]func(*domain.Pool){state(domain.PoolDisabled)}, domain.CodePoolDisabled, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := setup(t, test.pool...)
			answers := l.submit(task("a", 10), task("b", 10), task("c", 10, mailed))
			c := answers[2]
			require.NotNil(t, c.Err)
			require.Equal(t, test.code, c.Err.Code)
			require.Equal(t, test.retry, c.Err.RetryAfter >= time.Second)
			require.Equal(t, domain.StatusRejected, c.Task.Status)
			require.Equal(t, domain.ReasonCode(test.code), l.task("c").Reason.Code)
			require.Equal(t, []domain.EventKind{domain.EventSubmit, domain.EventReject}, l.trail("c"))
			require.Len(t, l.m.Messages, 1)
			require.Equal(t, domain.StatusRejected, l.m.Messages[0].Status)
			require.Nil(t, l.m.Messages[0].Payload)
		})
	}
}

func TestFullQueueRefusesNobodyWhoStarts(t *testing.T) {
	t.Parallel()
	l := setup(t, func(p *domain.Pool) { p.MaxQueueDepth, p.MaxOvertakes = 0, 0 })
	answers := l.submit(task("big", 10), task("refused", 10))
	require.Nil(t, answers[0].Err)
	require.Equal(t, domain.CodeQueueFull, answers[1].Err.Code)
	l.settle("big", plan.VerdictCompleted)
	l.submit(task("half", 6))

	// The first does not fit and has no place to wait: it holds up nobody.
	answers = l.submit(task("no", 5), task("yes", 4))
	require.Equal(t, domain.CodeQueueFull, answers[0].Err.Code)
	require.Nil(t, answers[1].Err)
	l.requireStatus(domain.StatusRunning, "yes")
}

func TestQueueDepthCountsTheStartsOfTheTurn(t *testing.T) {
	t.Parallel()
	l := setup(t, func(p *domain.Pool) { p.MaxQueueDepth = 1 })
	l.submit(task("a", 10), task("b", 10))
	a := l.task("a")
	d := l.turn(plan.Requests{
		Settles: []plan.Settle{{Ref: a.Ref(), Verdict: plan.VerdictCompleted}},
		Submits: []plan.Submit{task("c", 10), task("d", 10)},
	})
	l.requireStatus(domain.StatusRunning, "b")
	require.Nil(t, d.Answers.Submits[0].Err, "b left its place to c")
	require.Equal(t, domain.CodeQueueFull, d.Answers.Submits[1].Err.Code)
}

func TestSubmitRefusesWhatCanNeverStart(t *testing.T) {
	t.Parallel()
	l := setup(t, withTenant("small", domain.TenantPolicy{MaxUnits: 2}))
	for name, test := range map[string]struct {
		submit    plan.Submit
		locations []string
	}{
		"above the pool":       {task("a", 11), []string{"body.resourceCost.units"}},
		"above the tenant cap": {task("a", 3, of("small")), []string{"body.resourceCost.units"}},
		"no units":             {task("a", 0), []string{"body.resourceCost.units"}},
		"hostile units":        {task("a", 1<<62), []string{"body.resourceCost.units"}},
		"deadline now":         {task("a", 1, by(epoch.Add(time.Second))), []string{"body.deadline"}},
		"negative timeout":     {task("a", 1, func(s *plan.Submit) { s.Timeout = -1 }), []string{"body.timeoutSecs"}},
		"timeout below 1 ms":   {task("a", 1, func(s *plan.Submit) { s.Timeout = time.Microsecond }), []string{"body.timeoutSecs"}},
		"unknown executor":     {task("a", 1, func(s *plan.Submit) { s.Executor = "rm" }), []string{"body.executor"}},
		"unknown kind":         {task("a", 1, func(s *plan.Submit) { s.Kind = "love" }), []string{"body.resourceCost.kind"}},
		"unknown priority":     {task("a", 1, at(9)), []string{"body.priority"}},
		"negative priority":    {task("a", 1, at(-1)), []string{"body.priority"}},
		"too many attempts":    {task("a", 1, func(s *plan.Submit) { s.MaxAttempts = 1 << 30 }), []string{"body.maxAttempts"}},
		"everything at once": {
			task("a", 99, by(epoch), at(7), func(s *plan.Submit) {
				s.Kind, s.Timeout, s.MaxAttempts, s.Executor = "x", -1, -1, "x"
			}),
			[]string{
				"body.resourceCost.units", "body.resourceCost.kind", "body.priority", "body.deadline",
				"body.timeoutSecs", "body.maxAttempts", "body.executor",
			},
		},
	} {
		l.now = epoch
		d := l.turn(plan.Requests{Submits: []plan.Submit{test.submit}})
		err := d.Answers.Submits[0].Err
		require.NotNil(t, err, name)
		require.Equal(t, domain.CodeInvalid, err.Code, name)
		var locations []string
		for _, fault := range err.Faults {
			locations = append(locations, fault.Location)
			require.NotEmpty(t, fault.Message)
		}
		require.Equal(t, test.locations, locations, name)
		require.True(t, d.Idle, "no row, no event")
	}
	require.Empty(t, l.m.Tasks)
}

func TestCapacityZeroComesBeforeNeverFits(t *testing.T) {
	t.Parallel()
	l := setup(t, func(p *domain.Pool) { p.MaxUnits = 0 })
	require.Equal(t, domain.CodeCapacityZero, l.submit(task("a", 99))[0].Err.Code)
}

func TestPoolWithoutListTakesAnyExecutor(t *testing.T) {
	t.Parallel()
	l := setup(t, func(p *domain.Pool) { p.Executors = nil })
	require.Nil(t, l.submit(task("a", 1, func(s *plan.Submit) { s.Executor = "mine" }))[0].Err)
}

func TestKnownIDComesFirst(t *testing.T) {
	t.Parallel()
	first := func(s *plan.Submit) { s.Deadline = new(epoch.Add(time.Minute)) }
	for name, prepare := range map[string]func(l *lot){
		"running":   func(*lot) {},
		"completed": func(l *lot) { l.settle("a", plan.VerdictCompleted) },
		"deadline passed": func(l *lot) {
			l.now = epoch.Add(time.Hour)
		},
		"pool disabled":     func(l *lot) { l.setState(domain.PoolDisabled) },
		"pool without room": func(l *lot) { l.setUnits(0) },
		"queue full": func(l *lot) {
			l.change(plan.PoolChange{MaxQueueDepth: new(int64(0))})
			l.submit(task("x", 9))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := setup(t)
			before := l.submit(task("a", 1, first))[0].Task
			prepare(l)

			d := l.turn(plan.Requests{Submits: []plan.Submit{task("a", 1, first), task("a", 1, withBody("other"))}})
			again, other := d.Answers.Submits[0], d.Answers.Submits[1]
			require.Nil(t, again.Err)
			require.True(t, again.Known)
			require.Equal(t, before.JobID, again.Task.JobID)
			require.Equal(t, l.task("a").Status, again.Task.Status)
			require.Equal(t, domain.CodeTaskExists, other.Err.Code)
			require.Empty(t, d.Events)
			require.Empty(t, d.Inserted)
		})
	}
}

func TestSameIDTwiceInOneTurn(t *testing.T) {
	t.Parallel()
	l := setup(t)
	answers := l.submit(task("a", 10), task("a", 10), task("a", 10, withBody("other")), task("b", 10), task("b", 10))
	require.Equal(t, answers[0].Task.JobID, answers[1].Task.JobID)
	require.True(t, answers[1].Known)
	require.Equal(t, domain.StatusRunning, answers[1].Task.Status)
	require.Equal(t, domain.CodeTaskExists, answers[2].Err.Code)
	require.Equal(t, domain.StatusQueued, answers[4].Task.Status)
	require.Len(t, l.m.Tasks, 2)
}

func TestSameIDTwiceInOneTurnWhenTheFirstIsRejected(t *testing.T) {
	t.Parallel()
	l := setup(t, func(p *domain.Pool) { p.MaxQueueDepth = 0 })
	l.submit(task("held", 6))
	answers := l.submit(task("a", 5), task("a", 4, withBody("smaller")), task("a", 4, withBody("smaller")))
	require.Equal(t, domain.CodeQueueFull, answers[0].Err.Code)
	require.Nil(t, answers[1].Err)
	require.Equal(t, 2, answers[1].Task.Submission)
	require.Equal(t, domain.StatusRunning, answers[1].Task.Status)
	require.True(t, answers[2].Known)
}

func TestFaultyIDMayFollowItself(t *testing.T) {
	t.Parallel()
	l := setup(t)
	answers := l.submit(task("a", 99), task("a", 1))
	require.Equal(t, domain.CodeInvalid, answers[0].Err.Code)
	require.Nil(t, answers[1].Err)
	require.Equal(t, 1, answers[1].Task.Submission)
}

func TestRejectedIDMayBeSubmittedAgain(t *testing.T) {
	t.Parallel()
	l := setup(t)
	l.setState(domain.PoolDraining)
	require.Equal(t, domain.CodePoolDraining, l.submit(task("a", 1, mailed))[0].Err.Code)
	l.setState(domain.PoolActive)
	again := l.submit(task("a", 1, mailed))[0]
	require.Nil(t, again.Err)
	require.False(t, again.Known, "the same body is a new try")
	require.Equal(t, 2, again.Task.Submission)
	require.Equal(t, domain.JobID(2), again.Task.JobID)
	l.settle("a", plan.VerdictCompleted)
	require.Len(t, l.m.Messages, 2)
	require.Equal(t, []int{1, 2}, []int{l.m.Messages[0].Submission, l.m.Messages[1].Submission})
}

func TestNewcomersNeverJumpTheQueue(t *testing.T) {
	t.Parallel()
	l := setup(t, func(p *domain.Pool) { p.MaxOvertakes = 2 })
	l.submit(task("running", 6), task("head", 5))
	// One unit at a time fits beside the running one; the head allows two to pass.
	for i := range 4 {
		l.submit(task(domain.TaskID(fmt.Sprintf("s%d", i)), 1))
	}
	l.requireStatus(domain.StatusRunning, "s0", "s1")
	l.requireStatus(domain.StatusQueued, "head", "s2", "s3")
	require.Equal(t, 2, l.task("head").Overtaken)
	l.settle("running", plan.VerdictCompleted)
	l.requireStatus(domain.StatusRunning, "head", "s2", "s3")
}

func TestPositions(t *testing.T) {
	t.Parallel()
	for _, policy := range []domain.PriorityPolicy{domain.PolicyFIFO, domain.PolicyPriority, domain.PolicyFair, domain.PolicyDeadline} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			l := setup(t, withPolicy(policy))
			l.submit(task("running", 10))
			l.submit(task("low", 1, at(domain.PriorityLow)), task("normal", 1))
			answers := l.submit(task("high", 1, at(domain.PriorityHigh)), task("normal2", 1), task("high2", 1, at(domain.PriorityHigh)))
			var got []int64
			for i := range answers {
				got = append(got, answers[i].Position)
			}
			switch policy {
			case domain.PolicyFIFO:
				require.Equal(t, []int64{3, 4, 5}, got)
			default:
				require.Equal(t, []int64{1, 4, 2}, got)
			}
			if policy == domain.PolicyFIFO || policy == domain.PolicyPriority {
				return
			}
			l.m.Limits.Candidates = 2
			require.Zero(t, l.submit(task("late", 1))[0].Position, "the queue was not read whole")
		})
	}
}

func TestSubmissionsOfADrainingProcessWait(t *testing.T) {
	t.Parallel()
	l := setup(t)
	d := l.turn(plan.Requests{NoStart: true, Submits: []plan.Submit{task("a", 1)}})
	l.requireStatus(domain.StatusQueued, "a")
	require.False(t, d.Again, "somebody else starts it")
	l.turn(plan.Requests{})
	l.requireStatus(domain.StatusRunning, "a")
}

func TestWorkerPoolsHaveNoHolderYet(t *testing.T) {
	t.Parallel()
	l := setup(t, func(p *domain.Pool) { p.Runtime = domain.RuntimeWorker })
	l.submit(task("a", 1))
	l.requireStatus(domain.StatusRunning, "a")
	require.Empty(t, l.task("a").Holder)
}
