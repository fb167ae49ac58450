package scheduler

import (
	"errors"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// bisect halves a batch that the backend refused (or that made the plan panic) until
// the cause is alone, so that everybody else in the turn goes through: each half gets turns of
// its own. A batch of one is blamed after a turn without any request has shown
// that the cause is not in the pool's state.
func (l *loop) bisect(t *turn, cause error) pause {
	rs := t.batch.requests()
	if len(rs) > 0 {
		l.unlend(t.batch)
	}
	switch {
	case l.blamed != nil:
		return l.acquit(t, cause)
	case len(rs) == 0:
		return l.ill(t, cause)
	case len(rs) == 1:
		l.blamed = &blame{request: rs[0], cause: cause}
		return pause{}
	}
	l.log.Warn("a turn was refused; looking for the request that is the cause", "requests", len(rs), "error", cause)
	l.divide(rs)
	return pause{}
}

// convict answers the blamed request: the turn t without any request went through. A
// result that the backend refuses becomes a failure of its task, once.
func (l *loop) convict(t *turn) pause {
	r, cause := l.blamed.request, l.blamed.cause
	l.blamed = nil
	l.committed(t)
	l.inbox.wantLook()
	settle, is := r.body.(plan.Settle)
	if is && !r.refused {
		l.log.Warn("a result was refused; its task fails", "job", settle.Ref.JobID, "attempt", settle.Ref.Attempt, "error", cause)
		r.refused = true
		r.body = plan.Settle{
			Ref:        settle.Ref,
			Units:      settle.Units,
			Verdict:    plan.VerdictFailed,
			Reason:     domain.Reason{Code: domain.ReasonResultInvalid, Message: "the backend cannot store the result or the reason of this attempt"},
			RiverJobID: settle.RiverJobID,
		}
		l.alone = append(l.alone, []*request{r})
		return pause{}
	}
	l.log.Error("a request cannot be decided", "error", cause)
	if errors.Is(cause, errPanic) || is {
		r.fail(errInternal(cause))
		return pause{}
	}
	r.fail(errPoison(cause))
	return pause{}
}

// acquit puts the blamed request back: a turn without any request is refused too.
func (l *loop) acquit(t *turn, cause error) pause {
	l.alone = append(l.alone, []*request{l.blamed.request})
	l.blamed = nil
	return l.ill(t, cause)
}

// ill handles a pool whose turns fail whatever is asked: like a backend that does
// not answer, except that it is an error of ours or of the data.
func (l *loop) ill(t *turn, cause error) pause {
	l.log.Error("the pool's turns are refused whatever is asked; look at its rows", "error", cause)
	return l.failed(t, cause)
}
