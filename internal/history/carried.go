package history

import "github.com/parkinglot/parkinglot/internal/domain"

// carriedOver takes up a job that is not alive by the trail: one that was alive at the
// checkpoint, else one that has ended or never was, which the book judges. It returns nil
// for an event that changes nothing.
func (l *Ledger) carriedOver(e *domain.Event) *submission {
	l.book.stray(e)
	known := e.JobID <= l.begin.Jobs
	if e.Kind == domain.EventCancel || e.Kind == domain.EventRefused || !known && e.Kind != domain.EventStart {
		return nil
	}
	s := &submission{
		job: e.JobID, task: e.TaskID, number: max(1, e.Submission), status: domain.StatusQueued, attempts: e.Attempt,
	}
	running := false
	switch e.Kind {
	case domain.EventStart:
		s.attempts, s.units = e.Attempt-1, e.Units
	case domain.EventEnqueue:
		s.waiting = true
	case domain.EventExpire:
		running = e.Units > 0
	case domain.EventComplete, domain.EventFail, domain.EventRetry, domain.EventLost:
		running = true
	}
	switch {
	case !known: // a start that counts nevertheless, because its units do
		l.queued++
	case running:
		s.status, s.units = domain.StatusRunning, e.Units
		s.live = &Attempt{TaskID: e.TaskID, JobID: e.JobID, Number: e.Attempt, Units: e.Units, Limit: l.begin.Limit}
		l.carried.Running--
		l.carried.Active = l.carried.Active.Sub(e.Units)
		if l.carried.Running < 0 || l.carried.Active < 0 {
			l.faultf(e, PromiseCounters, "with it more ran at the checkpoint than the %d tasks with %d units that were counted then",
				l.begin.Running, l.begin.Active)
		}
	default:
		l.carried.Queued--
		if l.carried.Queued < 0 {
			l.faultf(e, PromiseCounters, "with it more were queued at the checkpoint than the %d that were counted then", l.begin.Queued)
		}
	}
	l.live(s)
	return s
}
