package history

import (
	"encoding/json"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// becomes is the status that each kind of event leaves a task in. Kinds that are
// not here leave it as it is, or say themselves what it becomes.
func becomes(kind domain.EventKind) (domain.Status, bool) {
	switch kind {
	case domain.EventSubmit:
		return domain.StatusSubmitted, true
	case domain.EventEnqueue, domain.EventRetry:
		return domain.StatusQueued, true
	case domain.EventStart:
		return domain.StatusRunning, true
	case domain.EventComplete:
		return domain.StatusCompleted, true
	case domain.EventFail:
		return domain.StatusFailed, true
	case domain.EventExpire:
		return domain.StatusExpired, true
	case domain.EventReject:
		return domain.StatusRejected, true
	case domain.EventDrop:
		return domain.StatusDropped, true
	}
	return "", false
}

// transition moves the task of the event along its lifecycle.
func (l *Ledger) transition(e *domain.Event) {
	if e.Kind == domain.EventPoolChange {
		l.change(e)
		return
	}
	if e.TaskID == "" {
		return
	}
	s := l.submissionOf(e)
	if s == nil {
		return
	}
	s.last = e.Seq
	switch e.Kind {
	case domain.EventSubmit, domain.EventCancel:
	case domain.EventRefused:
		if s.live != nil && s.live.Number == e.Attempt {
			l.faultf(e, PromiseAttempt, "a result of attempt %d was refused while it was the live one", e.Attempt)
		}
	case domain.EventStart:
		l.start(e, s)
	case domain.EventLost:
		l.endAttempt(e, s)
		if e.Status != "" && e.Status != domain.StatusRunning {
			l.become(e, s, e.Status)
			s.reason = e.Reason.Code
		}
	default:
		l.end(e, s)
	}
}

// submissionOf returns the submission that the event belongs to, nil for one
// that the checkpoint hides.
func (l *Ledger) submissionOf(e *domain.Event) *submission {
	s := l.tasks[e.TaskID]
	if s == nil && (e.Kind == domain.EventSubmit || !l.partial) {
		l.order = append(l.order, e.TaskID)
	}
	if e.Kind == domain.EventSubmit {
		number := 1
		if s != nil {
			number = s.number + 1
			if s.status != domain.StatusRejected {
				l.faultf(e, PromiseLifecycle, "the id was submitted again while its task is %s", s.status)
			}
		}
		if l.partial && e.Submission > number {
			number = e.Submission
		}
		s = &submission{
			number: number, status: domain.StatusSubmitted, units: e.Units, submit: e.Seq, submitAt: e.At, earlier: s,
		}
		l.tasks[e.TaskID] = s
	}
	if s == nil {
		if l.partial {
			l.unknown(e)
			return nil
		}
		l.faultf(e, PromiseLifecycle, "the task was never submitted")
		s = &submission{number: max(1, e.Submission), status: domain.StatusSubmitted, submit: e.Seq, submitAt: e.At}
		l.tasks[e.TaskID] = s
	}
	if e.Submission != 0 && e.Submission != s.number {
		l.faultf(e, PromiseLifecycle, "it names submission %d, the newest is %d", e.Submission, s.number)
	}
	return s
}

// unknown follows the sums of a task that was submitted before the checkpoint.
func (l *Ledger) unknown(e *domain.Event) {
	switch e.Kind {
	case domain.EventStart:
		l.active = l.active.Add(e.Units)
		l.queued--
	case domain.EventComplete, domain.EventFail, domain.EventExpire, domain.EventRetry, domain.EventLost:
		l.active = l.active.Sub(e.Units)
		if e.Units == 0 && e.Kind == domain.EventExpire {
			l.queued--
		}
		if e.Kind == domain.EventRetry {
			l.queued++
		}
	case domain.EventDrop:
		l.queued--
	}
}

// start takes units for a new attempt.
func (l *Ledger) start(e *domain.Event, s *submission) {
	if s.live != nil {
		l.faultf(e, PromiseAttempt, "attempt %d starts while attempt %d is live", e.Attempt, s.live.Number)
	}
	if e.Attempt != s.attempts+1 {
		l.faultf(e, PromiseAttempt, "attempt %d starts after %d attempts", e.Attempt, s.attempts)
	}
	if e.Units < 1 {
		l.faultf(e, PromiseUnits, "it takes %d units", e.Units)
	}
	l.become(e, s, domain.StatusRunning)
	s.attempts = e.Attempt
	s.live = &Attempt{
		TaskID: e.TaskID, JobID: e.JobID, Number: e.Attempt, Units: e.Units,
		Limit: l.limit, Start: e.Seq, StartAt: e.At, SubmitAt: s.submitAt,
	}
	if s.start == 0 {
		s.start, s.startAt = e.Seq, e.At
		s.live.QueuedAt = s.queuedAt
	}
	l.Attempts = append(l.Attempts, s.live)
	l.active = l.active.Add(e.Units)
	if l.active > l.limit {
		l.faultf(e, PromiseCapacity, "it takes %d units and makes %d in use, max_units is %d", e.Units, l.active, l.limit)
	}
}

// end ends the attempt, where one is live, and moves the task on.
func (l *Ledger) end(e *domain.Event, s *submission) {
	next, known := becomes(e.Kind)
	if !known {
		l.faultf(e, PromiseLifecycle, "nothing is known of this kind of event")
		return
	}
	if e.Status != "" && e.Status != next {
		l.faultf(e, PromiseLifecycle, "it says that the task is %s", e.Status)
	}
	if s.status.Terminal() {
		l.faultf(e, PromiseLifecycle, "the task had already ended as %s", s.status)
		return
	}
	switch e.Kind {
	case domain.EventComplete, domain.EventFail, domain.EventExpire, domain.EventRetry, domain.EventDrop:
		// What follows a lost event ends the task but no attempt; a result never does.
		if s.live != nil || e.Kind == domain.EventComplete {
			l.endAttempt(e, s)
		}
	}
	l.become(e, s, next)
	s.reason = e.Reason.Code
}

// endAttempt gives the units of the live attempt back.
func (l *Ledger) endAttempt(e *domain.Event, s *submission) {
	a := s.live
	if a == nil {
		l.faultf(e, PromiseAttempt, "attempt %d is not live, the task is %s", e.Attempt, s.status)
		return
	}
	if e.Attempt != a.Number {
		l.faultf(e, PromiseAttempt, "it ends attempt %d, the live one is %d", e.Attempt, a.Number)
	}
	if e.Units != a.Units {
		l.faultf(e, PromiseUnits, "it gives %d units back, the attempt took %d", e.Units, a.Units)
	}
	a.End, a.EndAt, a.EndKind, a.EndCode = e.Seq, e.At, e.Kind, e.Reason.Code
	s.live = nil
	l.active = l.active.Sub(a.Units)
}

// become moves a task to its next status and keeps the counts.
func (l *Ledger) become(e *domain.Event, s *submission, next domain.Status) {
	if s.status == next && next == domain.StatusQueued {
		s.waiting = false // a retry whose backoff is over comes back into the order
		return
	}
	if !s.status.CanBecome(next) {
		l.faultf(e, PromiseLifecycle, "a task that is %s cannot become %s", s.status, next)
	}
	l.count(s.status, -1)
	s.status = next
	l.count(next, 1)
	switch {
	case next == domain.StatusQueued:
		s.waiting = e.Kind != domain.EventEnqueue
		if s.enqueue == 0 && e.Kind == domain.EventEnqueue {
			s.enqueue, s.queuedAt = e.Seq, e.At
		}
	case next.Terminal():
		s.end, s.endAt = e.Seq, e.At
		l.Outcomes[next]++
		if s.live != nil {
			l.faultf(e, PromiseAttempt, "the task ended while attempt %d is live", s.live.Number)
		}
	}
}

func (l *Ledger) count(s domain.Status, n int64) {
	switch s {
	case domain.StatusRunning:
		l.running += n
	case domain.StatusQueued:
		l.queued += n
	}
}

// poolLimits are the limits that a pool_change event may tell of.
type poolLimits struct {
	MaxUnits     *domain.Units `json:"maxUnits"`
	MaxOvertakes *int          `json:"maxOvertakes"`
}

// poolChange is the detail of a pool_change event, as far as it is needed here.
type poolChange struct {
	poolLimits

	From poolLimits `json:"from"`
}

// change follows max_units.
func (l *Ledger) change(e *domain.Event) {
	c, err := parseChange(e)
	if err != nil {
		l.faultf(e, PromiseSequence, "its detail cannot be read: %v", err)
		return
	}
	if c.MaxUnits == nil {
		return
	}
	if c.From.MaxUnits != nil && *c.From.MaxUnits != l.limit {
		l.faultf(e, PromiseCapacity, "it changes max_units from %d, the trail had %d", *c.From.MaxUnits, l.limit)
	}
	l.limit = *c.MaxUnits
}

func parseChange(e *domain.Event) (poolChange, error) {
	var c poolChange
	if len(e.Detail) == 0 {
		return c, nil
	}
	err := json.Unmarshal(e.Detail, &c)
	return c, err
}

// LimitBefore returns max_units before the first of a pool's changes, given in
// order; otherwise, the limit it has now.
func LimitBefore(changes []domain.Event, now domain.Units) domain.Units {
	for i := range changes {
		c, err := parseChange(&changes[i])
		if err == nil && c.From.MaxUnits != nil {
			return *c.From.MaxUnits
		}
	}
	return now
}

// mostOvertakes returns the largest max_overtakes that the pool ever had: a row may
// have been overtaken under an earlier limit.
func mostOvertakes(changes []domain.Event, now int) int {
	for i := range changes {
		c, err := parseChange(&changes[i])
		if err != nil {
			continue
		}
		for _, limits := range []poolLimits{c.poolLimits, c.From} {
			if now >= 0 && limits.MaxOvertakes != nil {
				now = max(now, *limits.MaxOvertakes)
			}
		}
	}
	return now
}
