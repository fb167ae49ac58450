package history

import (
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// find returns the numbered submission of a task id, the newest for 0.
func (l *Ledger) find(id domain.TaskID, number int) *submission {
	s := l.tasks[id]
	for s != nil && number != 0 && s.number != number {
		s = s.earlier
	}
	return s
}

// Row compares a task's row with its trail. It returns false when they differ:
// then the row may only have been read while the task moved, and Recheck decides
// once the trail has been followed further.
func (l *Ledger) Row(t *domain.Task) bool {
	s := l.find(t.TaskID, t.Submission)
	if s == nil {
		return false
	}
	s.row, s.mailbox, s.priority = true, t.Mailbox != nil, t.Priority
	return l.rowFault(t, s) == ""
}

// Recheck reports the row of a task that differed from its trail at event seen,
// unless the trail has moved on since.
func (l *Ledger) Recheck(t *domain.Task, seen int64) {
	s := l.find(t.TaskID, t.Submission)
	switch {
	case s == nil:
		if !l.partial {
			l.rowViolation(t, 0, "there is a row and no event")
		}
		return
	case s.last > seen:
		return
	}
	if fault := l.rowFault(t, s); fault != "" {
		l.rowViolation(t, s.last, fault)
	}
}

func (l *Ledger) rowFault(t *domain.Task, s *submission) string {
	switch {
	case t.Status != s.status:
		return fmt.Sprintf("the row is %s, its trail ends with %s", t.Status, s.status)
	case t.Attempt != s.attempts:
		return fmt.Sprintf("the row has %d attempts, its trail %d", t.Attempt, s.attempts)
	case s.units != 0 && t.Units != s.units:
		return fmt.Sprintf("the row has %d units, its trail %d", t.Units, s.units)
	case s.status.Terminal() && t.Reason.Code != s.reason:
		return fmt.Sprintf("the row has reason %q, its trail %q", t.Reason.Code, s.reason)
	case s.status.Terminal() && t.FinishedAt != nil && !sameTime(*t.FinishedAt, s.endAt):
		return fmt.Sprintf("the row ended at %s, its trail says %s",
			t.FinishedAt.Format(time.RFC3339Nano), s.endAt.Format(time.RFC3339Nano))
	}
	return ""
}

// sameTime compares what backends store to the microsecond.
func sameTime(a, b time.Time) bool {
	return a.Truncate(time.Microsecond).Equal(b.Truncate(time.Microsecond))
}

func (l *Ledger) rowViolation(t *domain.Task, seq int64, message string) {
	l.findings.Add(Violation{Promise: PromiseRows, Source: l.Source, TaskID: t.TaskID, Seq: seq, Message: message})
}

// Overtaken reports a row that was overtaken more often than the pool allows.
func (l *Ledger) Overtaken(t *domain.Task, most int) {
	if most >= 0 && t.Overtaken > most {
		l.findings.Add(Violation{
			Promise: PromiseOvertakes, Source: l.Source, TaskID: t.TaskID,
			Message: fmt.Sprintf("it was overtaken %d times while in front, max_overtakes is %d", t.Overtaken, most),
		})
	}
}

// messageKey names the submission that a message is the outcome of.
type messageKey struct {
	task       domain.TaskID
	submission int
}

// Mail is the messages of one pool, as read from its mailboxes.
type Mail struct {
	by map[messageKey][]mail
}

type mail struct {
	status domain.Status
	code   domain.ReasonCode
}

// NewMail returns an empty Mail.
func NewMail() *Mail { return &Mail{by: map[messageKey][]mail{}} }

// Add notes a message.
func (m *Mail) Add(msg *domain.Message) {
	key := messageKey{msg.TaskID, msg.Submission}
	m.by[key] = append(m.by[key], mail{msg.Status, msg.Reason.Code})
}

// Len returns the number of messages.
func (m *Mail) Len() int {
	n := 0
	for _, of := range m.by {
		n += len(of)
	}
	return n
}

func (m *Mail) of(id domain.TaskID, s *submission) []mail {
	if found := m.by[messageKey{id, s.number}]; found != nil {
		return found
	}
	return m.by[messageKey{id, 0}] // a source that does not tell the submission
}

// Missing counts the outcomes up to event seen that have a key and no message
// (yet: one on its way through an outbox may still come).
func (l *Ledger) Missing(m *Mail, seen int64) int {
	missing := 0
	l.outcomes(func(id domain.TaskID, s *submission) {
		if s.mailbox && s.end != 0 && s.end <= seen && len(m.of(id, s)) == 0 {
			missing++
		}
	})
	return missing
}

// Mailbox compares the outcomes up to event seen with the messages that were
// read after it.
func (l *Ledger) Mailbox(m *Mail, seen int64) {
	l.outcomes(func(id domain.TaskID, s *submission) {
		found := m.of(id, s)
		fault := func(format string, args ...any) {
			l.findings.Add(Violation{
				Promise: PromiseMailbox, Source: l.Source, TaskID: id, Seq: s.end, Message: fmt.Sprintf(format, args...),
			})
		}
		switch {
		case s.mailbox && s.end != 0 && s.end <= seen && len(found) == 0:
			fault("the task ended as %s and its mailbox has no message", s.status)
		case len(found) > 1:
			fault("%d messages for one outcome", len(found))
		case len(found) == 1 && s.end == 0:
			fault("a message says %s, the task is %s", found[0].status, s.status)
		case len(found) == 1 && s.row && !s.mailbox:
			fault("a message for a task without a mailbox key")
		case len(found) == 1 && (found[0].status != s.status || found[0].code != s.reason):
			fault("the message says %s %q, the task ended as %s %q", found[0].status, found[0].code, s.status, s.reason)
		}
	})
	for key := range m.by {
		if l.find(key.task, key.submission) == nil && !l.partial {
			l.findings.Add(Violation{
				Promise: PromiseMailbox, Source: l.Source, TaskID: key.task, Message: "a message for a task without events",
			})
		}
	}
}

func (l *Ledger) outcomes(each func(domain.TaskID, *submission)) {
	for _, id := range l.order {
		for s := l.tasks[id]; s != nil; s = s.earlier {
			each(id, s)
		}
	}
}
