package plan

import "github.com/parkinglot/parkinglot/internal/domain"

// lose ends an attempt whose holder is gone. One event, lost, gives the units
// back and says by its status what became of the task: queued again, or failed for
// good. A fail event behind it would give the units back twice.
//
// The report of a second observer is not a late result: it is answered with
// CodeConflict and not audited.
func (t *turn) lose(l *Lost) Answer {
	r := t.held(l.Ref)
	if r == nil || l.Ref.Attempt < 1 || l.Ref.Attempt > r.t.Attempt {
		return unknownAttempt(l.Ref)
	}
	if !live(r.t, l.Ref) {
		return Answer{Task: r.t, Err: notLive(r.t, l.Ref, "it cannot be lost")}
	}
	// A row without a holder is one of a worker pool: its River job says who holds it.
	if r.t.Holder != "" && r.t.Holder != l.Holder {
		return Answer{Task: r.t, Err: domain.Errorf(domain.CodeConflict,
			"attempt %d of task %q is held by %q, not by %q", l.Ref.Attempt, r.t.TaskID, r.t.Holder, l.Holder)}
	}
	if r.t.Holder.Leased() {
		if answer, done := t.expireLease(r, l); done {
			return answer
		}
	}
	reason := l.Reason
	if reason.Code == "" {
		reason.Code = domain.ReasonWorkerLost
	}
	if reason.Message == "" {
		reason.Message = "the process that ran the attempt is gone"
	}
	switch {
	case r.t.CancelAsked != nil:
		t.end(r, domain.EventLost, domain.StatusFailed, domain.Reason{
			Code: domain.ReasonCancelled, Message: "cancelled; " + reason.Message,
		})
	case t.mayRetry(r.t):
		t.retry(r, domain.EventLost, reason)
	default:
		t.end(r, domain.EventLost, domain.StatusFailed, reason)
	}
	return Answer{Task: r.t}
}
