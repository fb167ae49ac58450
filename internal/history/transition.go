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
	if s.status.Terminal() {
		l.retire(s)
	}
}

// submissionOf returns the submission that the event belongs to, nil for one that is not
// alive.
func (l *Ledger) submissionOf(e *domain.Event) *submission {
	s := l.alive[e.JobID]
	if e.Kind == domain.EventSubmit {
		if s != nil {
			l.faultf(e, PromiseLifecycle, "job %d was submitted before", e.JobID)
			l.retire(s)
		}
		if s = l.ids[e.TaskID]; s != nil {
			l.faultf(e, PromiseLifecycle, "the id was submitted again while its task is %s", s.status)
		}
		s = &submission{
			job: e.JobID, task: e.TaskID, number: max(1, e.Submission), status: domain.StatusSubmitted,
			units: e.Units, submit: e.Seq, submitAt: e.At,
		}
		l.live(s)
		return s
	}
	if s == nil {
		return l.carriedOver(e)
	}
	if e.TaskID != s.task {
		l.faultf(e, PromiseLifecycle, "its job %d is of task %s", e.JobID, s.task)
	}
	if e.Submission != 0 && e.Submission != s.number {
		l.faultf(e, PromiseLifecycle, "it names submission %d, the newest is %d", e.Submission, s.number)
	}
	return s
}

// live takes a submission into memory.
func (l *Ledger) live(s *submission) {
	l.alive[s.job], l.ids[s.task] = s, s
	l.MostAlive = max(l.MostAlive, len(l.alive))
}

// retire lets go of a submission that has ended.
func (l *Ledger) retire(s *submission) {
	delete(l.alive, s.job)
	if l.ids[s.task] == s {
		delete(l.ids, s.task)
	}
	l.book.life(s)
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
		s.start = e.Seq
		s.live.QueuedAt = s.queuedAt
	}
	l.Started++
	if l.KeepAttempts {
		l.Attempts = append(l.Attempts, s.live)
	}
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
		l.wait(s, false) // a retry whose backoff is over comes back into the order
		return
	}
	if !s.status.CanBecome(next) {
		l.faultf(e, PromiseLifecycle, "a task that is %s cannot become %s", s.status, next)
	}
	l.count(s.status, -1)
	l.wait(s, false)
	s.status = next
	l.count(next, 1)
	switch {
	case next == domain.StatusQueued:
		l.wait(s, e.Kind != domain.EventEnqueue)
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

// wait notes whether a queued task is in its backoff.
func (l *Ledger) wait(s *submission, waits bool) {
	switch {
	case waits && !s.waiting:
		l.waiting++
	case !waits && s.waiting:
		l.waiting--
	}
	s.waiting = waits
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
	State        domain.PoolState `json:"state"`
	MaxUnits     *domain.Units    `json:"maxUnits"`
	MaxOvertakes *int             `json:"maxOvertakes"`
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
	if c.State != "" {
		l.disabled = c.State == domain.PoolDisabled
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

// changes is what the changes of a pool say of its limits, given in order.
type changes struct {
	before domain.Units // max_units before the first; the one it has now when there was none
	// overtakes is the largest max_overtakes that the pool ever had: a row may have been
	// overtaken under an earlier limit. -1: not known.
	overtakes int
	found     bool // before is from a change
}

func (c *changes) add(e *domain.Event) {
	change, err := parseChange(e)
	if err != nil {
		return // the replay reports it
	}
	if !c.found && change.From.MaxUnits != nil {
		c.before, c.found = *change.From.MaxUnits, true
	}
	for _, limits := range []poolLimits{change.poolLimits, change.From} {
		if c.overtakes >= 0 && limits.MaxOvertakes != nil {
			c.overtakes = max(c.overtakes, *limits.MaxOvertakes)
		}
	}
}
