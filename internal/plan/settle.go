package plan

import (
	"strconv"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// settle records how the run of one attempt ended. Only the live attempt counts:
// a late result is refused and audited, a repeated one is answered again.
func (t *turn) settle(s *Settle) Answer {
	r := t.held(s.Ref)
	if r == nil || s.Ref.Attempt < 1 || s.Ref.Attempt > r.t.Attempt {
		return unknownAttempt(s.Ref)
	}
	if !live(r.t, s.Ref) {
		if repeats(r.t, s) {
			return Answer{Task: r.t, Known: true}
		}
		t.record(r, record{kind: domain.EventRefused}, s.Ref.Attempt, 0, domain.Reason{
			Code:    domain.ReasonLateResult,
			Message: "the result \"" + string(s.Verdict) + "\" came after the attempt had ended",
		})
		return Answer{Task: r.t, Err: notLive(r.t, s.Ref, "its result was refused")}
	}
	if s.Lease != "" && t.snap.Leases[s.Ref.JobID].ID != s.Lease {
		return unknownLease()
	}
	if r.t.RiverJobID == 0 {
		r.t.RiverJobID = s.RiverJobID
	}
	switch s.Verdict {
	case VerdictCompleted:
		t.move(r, record{kind: domain.EventComplete}, func(task *domain.Task) {
			task.Status, task.Reason, task.Result = domain.StatusCompleted, domain.Reason{}, s.Result
		})
	case VerdictTimedOut:
		t.end(r, domain.EventExpire, domain.StatusExpired, timedOut(r.t, s))
	case VerdictCancelled:
		t.end(r, domain.EventFail, domain.StatusFailed, cancelled(s.Reason))
	case VerdictHandBack:
		t.handBack(r, s)
	default: // VerdictFailed, and whatever a newer runtime may report
		t.fail(r, s)
	}
	return Answer{Task: r.t}
}

// fail ends an attempt that failed: for good, or until its backoff is over.
func (t *turn) fail(r *row, s *Settle) {
	reason := failure(s)
	switch {
	case (s.Retryable || s.Lease != "") && r.t.CancelAsked != nil:
		t.end(r, domain.EventFail, domain.StatusFailed, cancelled(s.Reason))
	case s.Retryable && t.mayRetry(r.t):
		t.retry(r, domain.EventRetry, reason)
	default:
		t.end(r, domain.EventFail, domain.StatusFailed, reason)
	}
}

// handBack puts an attempt that a draining process did not finish back into the
// order, where it keeps its place. It is not the task's fault, so the attempt is not
// held against it: MaxAttempts grows by one, because attempt numbers are the fence
// and cannot be used twice.
func (t *turn) handBack(r *row, s *Settle) {
	switch {
	case r.t.CancelAsked != nil:
		t.end(r, domain.EventFail, domain.StatusFailed, cancelled(s.Reason))
		return
	case passed(r.t.Deadline, t.now):
		t.end(r, domain.EventExpire, domain.StatusExpired, deadlinePassed())
		return
	}
	t.move(r, record{kind: domain.EventRetry}, func(task *domain.Task) {
		task.MaxAttempts++
		task.Status, task.Reason = domain.StatusQueued, s.Reason
		t.replace(task)
	})
	t.enter(r)
}

// end moves a live task to a terminal state without a result.
func (t *turn) end(r *row, kind domain.EventKind, status domain.Status, reason domain.Reason) {
	t.move(r, record{kind: kind}, func(task *domain.Task) { task.Status, task.Reason = status, reason })
}

// mayRetry reports whether a task whose attempt has just failed may try again: an
// attempt is left, and the backoff is over before its deadline.
func (t *turn) mayRetry(task *domain.Task) bool {
	return task.CancelAsked == nil && task.Attempt < task.MaxAttempts &&
		!passed(task.Deadline, t.now.Add(t.backoff(task.Ref())))
}

// retry sends a task back to wait for its next attempt. kind is the event that gives
// the units of the last one back.
func (t *turn) retry(r *row, kind domain.EventKind, reason domain.Reason) {
	delay := t.backoff(r.t.Ref())
	if delay <= 0 {
		t.move(r, record{kind: kind}, func(task *domain.Task) {
			task.Status, task.Reason = domain.StatusQueued, reason
			t.place(task)
		})
		t.enter(r)
		return
	}
	until := t.now.Add(delay)
	detail := append([]byte(`{"notBefore":"`), until.Format(time.RFC3339Nano)...)
	detail = append(detail, `"}`...)
	t.move(r, record{kind: kind, detail: detail}, func(task *domain.Task) {
		task.Status, task.Reason, task.NotBefore = domain.StatusQueued, reason, &until
		t.classify(task)
	})
}

// backoff returns how long the task of an ended attempt waits for the next one.
func (t *turn) backoff(ref domain.Ref) time.Duration { return backoff(t.pool.RetryBackoff, ref) }

// backoff is Base × 2^(attempt-1), at most Max (0: no bound), less up to a quarter.
// What is taken off is a hash of the attempt, so that a turn that is decided again
// decides the same, and tasks that failed together come back apart.
func backoff(b domain.Backoff, ref domain.Ref) time.Duration {
	if b.Base <= 0 {
		return 0
	}
	limit := b.Max
	if limit <= 0 || limit > maxBackoff {
		limit = maxBackoff
	}
	delay := min(b.Base, limit)
	for n := 1; n < ref.Attempt && delay < limit; n++ {
		delay = min(2*delay, limit)
	}
	quarter := int64(delay / 4)
	delay -= time.Duration(float64(quarter) * spread(ref))
	return delay.Truncate(time.Microsecond)
}

// maxBackoff bounds a backoff that the pool does not bound.
const maxBackoff = 24 * time.Hour

// spread maps an attempt to [0, 1), evenly: FNV-1a with the finalizer of
// MurmurHash3, because FNV alone leaves neighbours next to each other.
func spread(ref domain.Ref) float64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(ref.PoolID) {
		h = (h ^ uint64(ref.PoolID[i])) * prime
	}
	h = (h ^ uint64(ref.JobID)) * prime
	h = (h ^ uint64(ref.Attempt)) * prime
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return float64(h>>11) / (1 << 53)
}

// held returns the row that ref names, nil when there is none in this pool.
func (t *turn) held(ref domain.Ref) *row {
	if ref.PoolID != t.pool.PoolID {
		return nil
	}
	if r, ok := t.rows[ref.JobID]; ok {
		return r
	}
	task, ok := t.snap.Held[ref.JobID]
	if !ok {
		return nil
	}
	return t.adopt(&task)
}

// repeats reports whether s says again what the ended attempt was settled with:
// somebody who did not hear the first answer asks once more.
func repeats(t *domain.Task, s *Settle) bool {
	if t.Attempt != s.Ref.Attempt || t.Status == domain.StatusRunning {
		return false
	}
	code := t.Reason.Code
	if t.Status == domain.StatusFailed && code == domain.ReasonCancelled {
		return s.Verdict == VerdictCancelled || s.Verdict == VerdictHandBack || s.Verdict == VerdictFailed && (s.Retryable || s.Lease != "")
	}
	switch s.Verdict {
	case VerdictCompleted:
		return t.Status == domain.StatusCompleted && code == ""
	case VerdictTimedOut:
		return t.Status == domain.StatusExpired && code == domain.ReasonTimeout
	case VerdictFailed:
		return (t.Status == domain.StatusFailed || t.Status == domain.StatusQueued) && code == failure(s).Code
	case VerdictHandBack:
		return t.Status == domain.StatusQueued && code == s.Reason.Code
	}
	return false
}

func failure(s *Settle) domain.Reason {
	reason := s.Reason
	if reason.Code == "" {
		reason.Code = domain.ReasonExecutorFailed
	}
	if reason.Message == "" {
		reason.Message = "the executor failed"
	}
	return reason
}

func timedOut(t *domain.Task, s *Settle) domain.Reason {
	message := s.Reason.Message
	if message == "" {
		message = "the attempt ran past its timeout of " + t.Timeout.String()
	}
	return domain.Reason{Code: domain.ReasonTimeout, Message: message}
}

func cancelled(said domain.Reason) domain.Reason {
	message := said.Message
	if message == "" {
		message = "cancelled while it was running"
	}
	return domain.Reason{Code: domain.ReasonCancelled, Message: message}
}

func deadlinePassed() domain.Reason {
	return domain.Reason{Code: domain.ReasonDeadlinePassed, Message: "the deadline passed before the task could start"}
}

// passed reports whether a deadline has been reached at now.
func passed(deadline *time.Time, now time.Time) bool { return deadline != nil && !deadline.After(now) }

// unknownAttempt answers a reference that was never given out.
func unknownAttempt(ref domain.Ref) Answer {
	return Answer{Err: domain.Errorf(domain.CodeUnknownTask, "there was no attempt %d of job %d in pool %q", ref.Attempt, ref.JobID, ref.PoolID)}
}

func notLive(t *domain.Task, ref domain.Ref, consequence string) *domain.Error {
	return domain.Errorf(domain.CodeConflict, "attempt %d of task %q is not live (the task is %s, attempt %s): %s",
		ref.Attempt, t.TaskID, t.Status, strconv.Itoa(t.Attempt), consequence)
}
