package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

func requestsOf(bodies ...any) []*request {
	c, now := newCall(len(bodies)), time.Now()
	rs := make([]*request, len(bodies))
	for i, body := range bodies {
		rs[i] = newRequest(body, c, i, now)
	}
	return rs
}

func ask(id string, payload int) plan.Submit {
	return plan.Submit{TaskID: domain.TaskID(id), Payload: make([]byte, payload)}
}

func give(job domain.JobID) plan.Settle {
	return plan.Settle{Ref: domain.Ref{PoolID: "p", JobID: job, Attempt: 1}}
}

func TestInboxGivesComeFirst(t *testing.T) {
	t.Parallel()
	b := newInbox(100, 1<<20)
	require.True(t, b.pending(), "the first look")
	require.False(t, b.pending())
	require.Nil(t, b.put(requestsOf(ask("a", 0), ask("b", 0))))
	require.Nil(t, b.put(requestsOf(give(1))))
	require.Equal(t, map[domain.Ref]bool{{PoolID: "p", JobID: 1, Attempt: 1}: true}, b.settling())

	var turn batch
	b.fill(&turn)
	require.Len(t, turn.reqs.Settles, 1)
	require.Len(t, turn.reqs.Submits, 2)
	require.Equal(t, domain.TaskID("a"), turn.reqs.Submits[0].TaskID)

	require.Nil(t, b.put(requestsOf(ask("c", 0), give(2))[:1]))
	b.fill(&turn) // after the lock was granted
	require.Equal(t, []domain.TaskID{"a", "b", "c"}, ids(turn.reqs.Submits), "the same first, then what came since")
	require.False(t, b.waiting())
}

func ids(submits []plan.Submit) []domain.TaskID {
	all := make([]domain.TaskID, len(submits))
	for i := range submits {
		all[i] = submits[i].TaskID
	}
	return all
}

func TestInboxBoundsATurn(t *testing.T) {
	t.Parallel()
	b := newInbox(10*plan.MaxRequests, 1<<30)
	for range plan.MaxRequests + 5 {
		require.Nil(t, b.put(requestsOf(ask("x", 0))))
	}
	var first, second batch
	b.fill(&first)
	require.Equal(t, plan.MaxRequests, first.reqs.Len())
	b.fill(&first)
	require.Equal(t, plan.MaxRequests, first.reqs.Len())
	b.fill(&second)
	require.Equal(t, 5, second.reqs.Len())

	require.Nil(t, b.put(requestsOf(ask("huge", plan.MaxBytes+1), ask("small", 1))))
	var third, fourth batch
	b.fill(&third)
	require.Equal(t, []domain.TaskID{"huge"}, ids(third.reqs.Submits), "one is always taken, and alone when it fills the turn")
	b.fill(&fourth)
	require.Equal(t, []domain.TaskID{"small"}, ids(fourth.reqs.Submits))
}

func TestInboxRefusesAsksNeverGives(t *testing.T) {
	t.Parallel()
	b := newInbox(2, 10_000)
	require.Nil(t, b.put(requestsOf(ask("a", 0))))
	err := b.put(requestsOf(ask("b", 0), ask("c", 0)))
	require.Equal(t, domain.CodeUnavailable, err.Code, "all or none")
	require.Positive(t, err.RetryAfter)
	require.Equal(t, domain.CodeUnavailable, b.put(requestsOf(ask("big", 20_000))).Code)
	require.Nil(t, b.put(requestsOf(give(1), give(2), give(3))))

	require.Len(t, b.refuse(errUnavailable(nil)), 1)
	require.Equal(t, domain.CodeUnavailable, b.put(requestsOf(ask("d", 0))).Code)
	require.Nil(t, b.put(requestsOf(give(4))))
	require.Empty(t, b.refuse(nil))
	require.Nil(t, b.put(requestsOf(ask("d", 9_000))), "bytes are counted back")

	require.Len(t, b.close(), 5)
	require.NotNil(t, b.put(requestsOf(give(5))))
}

func TestInboxPutBackKeepsOrder(t *testing.T) {
	t.Parallel()
	b := newInbox(10, 1<<20)
	require.Nil(t, b.put(requestsOf(ask("a", 0), ask("b", 0))))
	var turn batch
	b.fill(&turn)
	require.Nil(t, b.put(requestsOf(ask("c", 0))))
	b.putBack(turn.requests())
	var again batch
	b.fill(&again)
	require.Equal(t, []domain.TaskID{"a", "b", "c"}, ids(again.reqs.Submits))
}

func TestOnlyTheFirstAnswerCounts(t *testing.T) {
	t.Parallel()
	rs := requestsOf(ask("a", 0), ask("b", 0))
	c := rs[0].call
	rs[0].fail(errStopping())
	rs[0].answer(plan.Answer{Known: true})
	select {
	case <-c.done:
		require.Fail(t, "one of two is not all")
	default:
	}
	rs[1].answer(plan.Answer{Known: true})
	<-c.done
	require.Equal(t, domain.CodeUnavailable, c.answers[0].Err.Code)
	require.True(t, c.answers[1].Known)
}

func TestABatchLeavesNobodyWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	rs := requestsOf(ask("a", 0), ask("b", 0))
	var turn batch
	for _, r := range rs {
		turn.add(r)
	}
	const submits = 5
	turn.answer(&plan.Answers{Submits: make([]plan.Answer, 1)}, submits, 0, 1)
	turn.answer(&plan.Answers{Submits: make([]plan.Answer, 1)}, submits, 1, 2)
	<-rs[0].call.done
	require.Nil(t, rs[0].call.answers[0].Err)
	require.Equal(t, domain.CodeInternal, rs[0].call.answers[1].Err.Code)
}
