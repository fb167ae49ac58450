package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Evidence is what a book was given beside the trail, and how far it can be trusted.
type Evidence struct {
	// Seen is the last event before rows and messages were read. A row or a message that
	// does not fit counts only when its task has not moved since.
	Seen int64
	// Rows says that all rows were noted, and Messages that all messages were; else none.
	Rows     bool
	Messages bool
	// Origin says what retention had deleted when they had been read.
	Origin store.Origin
}

// Verdict is what Judge found beside violations.
type Verdict struct {
	Tasks    int64 // task ids
	PassedBy int64 // see PoolReport
	// Missing are the outcomes without a message, which may still be on its way.
	Missing []Missing
}

// Missing is an outcome whose message is not there.
type Missing struct {
	Job       domain.JobID
	Violation Violation
	outcome   submission
}

// missingMost is how many missing messages are waited for; more are reported at once.
const missingMost = 100_000

// judge goes through a book once.
type judge struct {
	*Ledger

	evidence Evidence
	verdict  Verdict
	passing  *sorter // who was passed by whom
	record   packer
	acked    int64        // messages missing that may have been acknowledged
	first    *submission  // of them
	carriedN [2]int64     // rows of jobs from before the checkpoint that the trail has not touched: running, queued
	carriedU domain.Units // of those that run
}

// Judge decides what only the whole history can tell, once the trail has been followed:
// it compares what has ended with rows and messages, events of what was not alive with
// what was, and submissions of one task id with each other. The ledger is not used after it.
func (l *Ledger) Judge(evidence Evidence) (Verdict, error) {
	for _, s := range l.alive {
		l.book.life(s)
	}
	j := &judge{Ledger: l, evidence: evidence, passing: newSorter(l.book.spill)}
	defer func() { _ = j.passing.close() }() // a temporary file
	if err := l.book.eachJob(j.job); err != nil {
		return Verdict{}, err
	}
	j.carriedOn()
	j.acknowledged()
	if err := j.ids(); err != nil {
		return Verdict{}, err
	}
	var err error
	j.verdict.PassedBy, err = mostPassed(j.passing)
	return j.verdict, err
}

func (j *judge) job(of *jobEntries) error {
	slices.SortFunc(of.lives, func(a, b submission) int { return cmp.Compare(a.last, b.last) })
	slices.SortFunc(of.strays, func(a, b stray) int { return cmp.Compare(a.seq, b.seq) })
	j.strays(of)
	var s *submission
	if len(of.lives) > 0 {
		s = &of.lives[len(of.lives)-1]
		if first := &of.lives[0]; first != s && s.submit > 0 && first.end > 0 && first.end < s.submit {
			j.addf(PromiseLifecycle, s.task, s.submit, "submit: job %d had already ended as %s", of.job, first.status)
		}
	}
	if j.evidence.Rows {
		j.row(of, s)
	}
	if j.evidence.Messages {
		j.mailbox(of, s)
	}
	if s != nil && of.row != nil {
		j.passes(s, of.row.priority)
	}
	return nil
}

// strays judges events of a job that was not alive by the trail.
func (j *judge) strays(of *jobEntries) {
	said := false
	for _, e := range of.strays {
		var ended *submission
		for i := range of.lives {
			if s := &of.lives[i]; s.end > 0 && s.end < e.seq {
				ended = s
			}
		}
		switch {
		case ended == nil && (of.job <= j.begin.Jobs || said):
		case ended == nil:
			said = true // what follows from it is said
			j.addf(PromiseLifecycle, e.task, e.seq, "%s: the task was never submitted", e.kind)
		case e.kind == domain.EventRefused || e.kind == domain.EventCancel:
		case e.kind == domain.EventStart:
			j.addf(PromiseLifecycle, e.task, e.seq, "start: a task that is %s cannot become running", ended.status)
		default:
			j.addf(PromiseLifecycle, e.task, e.seq, "%s: the task had already ended as %s", e.kind, ended.status)
		}
	}
}

func (j *judge) row(of *jobEntries, s *submission) {
	switch {
	case s == nil && of.row == nil:
	case s == nil && of.job <= j.begin.Jobs:
		j.untouched(of)
	case s == nil:
		j.addf(PromiseRows, of.row.task, 0, "there is a row and no event")
	case of.row != nil:
		if s.last > j.evidence.Seen {
			return // the row may be from before that
		}
		if fault := rowFault(of.row, s); fault != "" {
			j.addf(PromiseRows, of.row.task, s.last, "%s", fault)
		}
	case s.submit <= j.evidence.Seen && (s.end == 0 || !s.endAt.Before(j.evidence.Origin.Tasks)):
		if s.end == 0 || s.end <= j.evidence.Seen {
			j.addf(PromiseRows, s.task, s.last, "its row is missing, its trail ends with %s", s.status)
		}
	}
}

// untouched looks at a row from before the checkpoint that no event after it is about.
func (j *judge) untouched(of *jobEntries) {
	switch r := of.row; {
	case r.status == domain.StatusRunning:
		j.carriedN[0]++
		j.carriedU = j.carriedU.Add(r.units)
	case r.status == domain.StatusQueued:
		j.carriedN[1]++
	case r.finishedAt.After(j.begin.At) && !j.begin.At.IsZero():
		j.addf(PromiseRows, r.task, 0, "the row is %s since %s, after the checkpoint, and no event says so",
			r.status, r.finishedAt.Format(time.RFC3339Nano))
	}
}

// carriedOn compares what the checkpoint counted and the trail has not touched with the
// rows.
func (j *judge) carriedOn() {
	if !j.evidence.Rows || j.begin.Jobs == 0 {
		return
	}
	if j.carriedN != [2]int64{j.carried.Running, j.carried.Queued} || j.carriedU != j.carried.Active {
		j.addf(PromiseRows, "", 0,
			"of the tasks that were alive at the checkpoint, event %d, the trail leaves %d running with %d units and %d queued; the rows have %d with %d, and %d",
			j.begin.Seq, j.carried.Running, j.carried.Active, j.carried.Queued, j.carriedN[0], j.carriedU, j.carriedN[1])
	}
}

func rowFault(r *row, s *submission) string {
	switch {
	case r.task != s.task || r.number != 0 && r.number != s.number:
		return fmt.Sprintf("the row is of task %s, submission %d, its trail of %s, %d", r.task, r.number, s.task, s.number)
	case r.status != s.status:
		return fmt.Sprintf("the row is %s, its trail ends with %s", r.status, s.status)
	case r.attempts != s.attempts:
		return fmt.Sprintf("the row has %d attempts, its trail %d", r.attempts, s.attempts)
	case s.units != 0 && r.units != s.units:
		return fmt.Sprintf("the row has %d units, its trail %d", r.units, s.units)
	case s.status.Terminal() && r.reason != s.reason:
		return fmt.Sprintf("the row has reason %q, its trail %q", r.reason, s.reason)
	case s.status.Terminal() && !r.finishedAt.IsZero() && !r.finishedAt.Equal(s.endAt):
		return fmt.Sprintf("the row ended at %s, its trail says %s",
			r.finishedAt.Format(time.RFC3339Nano), s.endAt.Format(time.RFC3339Nano))
	}
	return ""
}

// mailbox compares an outcome with its messages.
func (j *judge) mailbox(of *jobEntries, s *submission) {
	found := of.mails
	if s == nil {
		for _, m := range found {
			if of.job > j.begin.Jobs || m.at.After(j.begin.At) && !j.begin.At.IsZero() {
				j.addf(PromiseMailbox, m.task, 0, "a message for a task without events")
			}
		}
		return
	}
	missing := of.row != nil && of.row.mailbox && s.end != 0 && s.end <= j.evidence.Seen && len(found) == 0
	fault := mailFault(found, s)
	switch {
	case missing:
		j.missing(of.job, s)
	case fault != "":
		j.addf(PromiseMailbox, s.task, s.end, "%s", fault)
	case len(found) == 1 && of.row != nil && !of.row.mailbox:
		j.addf(PromiseMailbox, s.task, s.end, "a message for a task without a mailbox key")
	}
}

func mailFault(found []mail, s *submission) string {
	switch {
	case len(found) == 0:
	case len(found) > 1:
		return fmt.Sprintf("%d messages for one outcome", len(found))
	case found[0].task != s.task || found[0].number != 0 && found[0].number != s.number:
		return fmt.Sprintf("the message of its job is of task %s, submission %d", found[0].task, found[0].number)
	case s.end == 0:
		return fmt.Sprintf("a message says %s, the task is %s", found[0].status, s.status)
	case found[0].status != s.status || found[0].code != s.reason:
		return fmt.Sprintf("the message says %s %q, the task ended as %s %q", found[0].status, found[0].code, s.status, s.reason)
	}
	return ""
}

// missing notes an outcome without a message, unless retention may have deleted it.
func (j *judge) missing(job domain.JobID, s *submission) {
	origin := &j.evidence.Origin
	violation := Violation{
		Promise: PromiseMailbox, Source: j.Source, TaskID: s.task, Seq: s.end,
		Message: fmt.Sprintf("the task ended as %s and its mailbox has no message", s.status),
	}
	switch {
	case s.endAt.Before(origin.Unread):
	case s.endAt.Before(origin.Acknowledged):
		j.acked++
		if j.first == nil {
			j.first = new(*s)
		}
	case len(j.verdict.Missing) < missingMost:
		j.verdict.Missing = append(j.verdict.Missing, Missing{job, violation, *s})
	default:
		j.findings.Add(violation)
	}
}

// acknowledged compares how many messages are missing that may have been deleted because
// they were acknowledged with how many were.
func (j *judge) acknowledged() {
	if deleted := j.evidence.Origin.AcknowledgedDeleted; j.acked > deleted {
		j.addf(PromiseMailbox, j.first.task, j.first.end,
			"%d outcomes from this one on have no message; %d messages were deleted after they had been acknowledged", j.acked, deleted)
	}
}

// ids compares the submissions of each task id: only what was rejected, or what retention
// has deleted, may be submitted again.
func (j *judge) ids() error {
	var last submission
	return j.book.eachID(func(e idEntry) {
		prev := last
		last = e.submission
		if !e.again {
			j.verdict.Tasks++
			if e.number > 1 && e.submit > 0 && j.begin.Jobs == 0 && j.evidence.Origin.Tasks.IsZero() {
				j.addf(PromiseLifecycle, e.task, e.submit, "submit: it names submission %d, and is the first", e.number)
			}
			return
		}
		if prev.end == 0 || prev.end > e.submit {
			return // reported when it happened
		}
		swept := prev.endAt.Before(j.evidence.Origin.Tasks)
		switch {
		case swept && e.number == 1:
		case prev.status != domain.StatusRejected && !swept:
			j.addf(PromiseLifecycle, e.task, e.submit, "submit: the id was submitted again while its task is %s", prev.status)
		case e.number != prev.number+1:
			j.addf(PromiseLifecycle, e.task, e.submit, "submit: it names submission %d after %d", e.number, prev.number)
		}
	})
}

func (j *judge) addf(p Promise, task domain.TaskID, seq int64, format string, args ...any) {
	j.findings.Add(Violation{Promise: p, Source: j.Source, TaskID: task, Seq: seq, Message: fmt.Sprintf(format, args...)})
}
