package plan

import "github.com/parkinglot/parkinglot/internal/domain"

// cancel drops a queued task and asks a running one to stop. A task that has
// ended, or that has been asked already, is answered as it is.
func (t *turn) cancel(c *Cancel) Answer {
	r := t.named(c.TaskID)
	if r == nil {
		return unknownTask(c.TaskID)
	}
	switch r.t.Status {
	case domain.StatusQueued:
		t.record(r, record{kind: domain.EventCancel, actor: c.Actor}, r.t.Attempt, r.t.Units, domain.Reason{})
		t.move(r, record{kind: domain.EventDrop, actor: c.Actor}, func(task *domain.Task) {
			task.Status = domain.StatusDropped
			task.Reason = domain.Reason{Code: domain.ReasonCancelled, Message: "cancelled while it was queued"}
		})
	case domain.StatusRunning:
		if r.t.CancelAsked != nil {
			break
		}
		t.move(r, record{kind: domain.EventCancel, actor: c.Actor}, func(task *domain.Task) { task.CancelAsked = t.at })
		t.stopping = append(t.stopping, *r.t)
		if r.t.Holder.Leased() {
			t.leasesAsked = append(t.leasesAsked, r.t.JobID)
		}
	}
	return Answer{Task: r.t}
}

// force settles a task by an operator's hand, within the lifecycle: a running one
// becomes completed, failed or expired, a queued one expired or dropped.
func (t *turn) force(f *Force) Answer {
	kind, ok := forceKind(f.Status)
	if !ok {
		return Answer{Err: &domain.Error{
			Code: domain.CodeInvalid, Message: "the task cannot be settled like this",
			Faults: []domain.Fault{{
				Location: "body.status", Value: string(f.Status),
				Message: "must be completed, failed, expired or dropped",
			}},
		}}
	}
	r := t.named(f.TaskID)
	switch {
	case r == nil:
		return unknownTask(f.TaskID)
	case r.t.Status.Terminal():
		return Answer{Task: r.t, Err: domain.Errorf(domain.CodeTaskFinal,
			"task %q is already %s; a terminal state is final", f.TaskID, r.t.Status)}
	case r.t.Status == domain.StatusRunning && !r.t.Status.CanBecome(f.Status):
		return Answer{Task: r.t, Err: domain.Errorf(domain.CodeConflict,
			"task %q is running and cannot become %s: use completed, failed or expired", f.TaskID, f.Status)}
	case r.t.Status == domain.StatusQueued && !r.t.Status.CanBecome(f.Status):
		return Answer{Task: r.t, Err: domain.Errorf(domain.CodeConflict,
			"task %q has not started and cannot become %s: use expired or dropped", f.TaskID, f.Status)}
	}
	reason := f.Reason
	if reason.Code == "" {
		reason.Code = domain.ReasonForced
	}
	if reason.Message == "" {
		reason.Message = "settled by an operator"
	}
	if r.t.Status == domain.StatusRunning {
		t.stopping = append(t.stopping, *r.t) // with its holder, who must hear of it
	}
	t.move(r, record{kind: kind, actor: f.Actor}, func(task *domain.Task) {
		task.Status, task.Reason = f.Status, reason
	})
	return Answer{Task: r.t}
}

func forceKind(s domain.Status) (domain.EventKind, bool) {
	switch s {
	case domain.StatusCompleted:
		return domain.EventComplete, true
	case domain.StatusFailed:
		return domain.EventFail, true
	case domain.StatusExpired:
		return domain.EventExpire, true
	case domain.StatusDropped:
		return domain.EventDrop, true
	}
	return "", false
}

// named returns the newest row of a task id, nil when there is none.
func (t *turn) named(id domain.TaskID) *row {
	if r, ok := t.known[id]; ok {
		return r
	}
	task, ok := t.snap.Known[id]
	if !ok {
		return nil
	}
	return t.adopt(&task)
}

func unknownTask(id domain.TaskID) Answer {
	return Answer{Err: domain.Errorf(domain.CodeUnknownTask, "there is no task %q in this pool", id)}
}
