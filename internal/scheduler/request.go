package scheduler

import (
	"sync/atomic"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// call is one caller's question: one or more requests, answered together. Who
// gives up waiting just leaves: the requests are decided all the same.
type call struct {
	answers []plan.Answer // written by the loop, read by the caller after done
	left    atomic.Int64
	done    chan struct{}
}

func newCall(n int) *call {
	c := &call{answers: make([]plan.Answer, n), done: make(chan struct{})}
	c.left.Store(int64(n))
	return c
}

// request is one entry of an inbox. After it was put there it belongs to the
// pool's loop.
type request struct {
	// body is a plan.Settle, plan.Lost, plan.Force, plan.Cancel, plan.PoolChange or
	// plan.Submit.
	body    any
	bytes   int // of payload or result
	arrived time.Time

	call  *call // nil: nobody waits
	index int   // in call.answers
	// answered: the caller has been told; the decision goes through all the same.
	answered bool
	// refused: the backend refused this settlement's result, and body now says so.
	refused bool
	// rest is how long the request waits on the shelf next time.
	rest time.Duration
}

// fixed is what a request costs besides its payload, so that many small ones count.
const fixed = 256

func newRequest(body any, c *call, index int, now time.Time) *request {
	r := &request{body: body, bytes: fixed, arrived: now, call: c, index: index}
	switch b := body.(type) {
	case plan.Submit:
		r.bytes += len(b.Payload)
	case plan.Settle:
		r.bytes += len(b.Result)
	}
	return r
}

// gives reports whether the request gives units back. Such a request is never
// refused and outlives every outage: losing it would leave units taken.
func (r *request) gives() bool {
	switch r.body.(type) {
	case plan.Settle, plan.Lost:
		return true
	}
	return false
}

// answer tells the caller. Only the first answer counts.
func (r *request) answer(a plan.Answer) {
	if r.answered {
		return
	}
	r.answered = true
	if r.call == nil {
		return
	}
	r.call.answers[r.index] = a
	if r.call.left.Add(-1) == 0 {
		close(r.call.done)
	}
}

// fail tells the caller that the scheduler could not decide.
func (r *request) fail(err *domain.Error) { r.answer(plan.Answer{Err: err}) }

// batch is what one turn takes: the requests as plan wants them, and who asked.
type batch struct {
	reqs  plan.Requests
	by    [6][]*request // in the order of the fields of plan.Requests
	bytes int
	// lessees come along; they are in no part of a refused batch.
	lessees []*lessee
	// alone marks a part of a batch that the backend refused: it is not mixed with others.
	alone bool
}

// full reports whether r has to wait for the next turn.
func (b *batch) full(r *request) bool {
	n := b.reqs.Len()
	return n >= plan.MaxRequests || (n > 0 && b.bytes+r.bytes > plan.MaxBytes)
}

func (b *batch) add(r *request) {
	q, kind := &b.reqs, 0
	switch body := r.body.(type) {
	case plan.Settle:
		q.Settles, kind = append(q.Settles, body), 0
	case plan.Lost:
		q.Losts, kind = append(q.Losts, body), 1
	case plan.Force:
		q.Forces, kind = append(q.Forces, body), 2
	case plan.Cancel:
		q.Cancels, kind = append(q.Cancels, body), 3
	case plan.PoolChange:
		q.Changes, kind = append(q.Changes, body), 4
	case plan.Submit:
		q.Submits, kind = append(q.Submits, body), 5
	}
	b.by[kind] = append(b.by[kind], r)
	b.bytes += r.bytes
}

// requests returns everything in the batch, in the order it is handled.
func (b *batch) requests() []*request {
	all := make([]*request, 0, b.reqs.Len())
	for _, rs := range b.by {
		all = append(all, rs...)
	}
	return all
}

// answer tells the callers of a kind of requests, from one up to before another, what
// the turn decided.
func (b *batch) answer(a *plan.Answers, kind, from, until int) {
	answers := [...][]plan.Answer{a.Settles, a.Losts, a.Forces, a.Cancels, a.Changes, a.Submits}[kind]
	for i := from; i < until; i++ {
		r := b.by[kind][i]
		if i < len(answers) {
			r.answer(answers[i])
			continue
		}
		r.fail(domain.Errorf(domain.CodeInternal, "the turn left this request without an answer; send it again"))
	}
}

// oldest returns when the request that has waited longest arrived.
func (b *batch) oldest(now time.Time) time.Time {
	for _, rs := range b.by {
		if len(rs) > 0 && rs[0].arrived.Before(now) {
			now = rs[0].arrived
		}
	}
	return now
}
