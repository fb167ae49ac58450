package domain

import (
	"fmt"
	"strings"
	"time"
)

// Source names what numbers a stream of events or messages: a pool (its id) or
// a parking facility. Sequence numbers are taken on the row that the writer
// holds locked, so within a source their order is the commit order.
type Source string

// EventKind is what an audit event records.
type EventKind string

// The kinds of a task's events, and of a pool's. Units are taken by EventStart
// and given back by whatever ends that attempt: EventComplete, EventFail,
// EventExpire, EventRetry or EventLost.
const (
	EventSubmit     EventKind = "submit"
	EventEnqueue    EventKind = "enqueue"
	EventStart      EventKind = "start"
	EventComplete   EventKind = "complete"
	EventFail       EventKind = "fail"
	EventExpire     EventKind = "expire"
	EventReject     EventKind = "reject"
	EventDrop       EventKind = "drop"
	EventRetry      EventKind = "retry"
	EventCancel     EventKind = "cancel"
	EventLost       EventKind = "lost"
	EventRefused    EventKind = "refused" // a late result of an attempt that had already ended; changes nothing
	EventPoolChange EventKind = "pool_change"
)

// Event is one entry of the audit trail. It is written in the transaction of
// the transition it records.
type Event struct {
	Source     Source
	Seq        int64 // 1, 2, 3, … within the source, without gaps
	At         time.Time
	Kind       EventKind
	PoolID     PoolID
	TaskID     TaskID
	JobID      JobID
	Submission int
	Tenant     Tenant
	Attempt    int
	// Units is what a start took or what the end of an attempt gave back; for
	// other kinds the task's weight.
	Units    Units
	Status   Status // of the task after the transition
	Reason   Reason
	Actor    string   // who asked, where somebody did; empty: the scheduler
	Subjects []string // "task:…", "pool:…", "tenant:…"
	Detail   []byte   // JSON object; nil: none
}

// NamedSubjects returns what the event's own fields name: its task, its pool and its
// tenant. The events of tasks and pools have these subjects and no others.
func (e *Event) NamedSubjects() []string {
	var named []string
	for _, n := range e.names() {
		if n.id != "" {
			named = append(named, n.kind+n.id)
		}
	}
	return named
}

// OnlyNamed reports whether the event's subjects are its NamedSubjects.
func (e *Event) OnlyNamed() bool {
	left := e.Subjects
	for _, n := range e.names() {
		if n.id == "" {
			continue
		}
		if len(left) == 0 || len(left[0]) != len(n.kind)+len(n.id) || !strings.HasPrefix(left[0], n.kind) || !strings.HasSuffix(left[0], n.id) {
			return false
		}
		left = left[1:]
	}
	return len(left) == 0
}

type name struct{ kind, id string }

func (e *Event) names() [3]name {
	return [3]name{{"task:", string(e.TaskID)}, {"pool:", string(e.PoolID)}, {"tenant:", string(e.Tenant)}}
}

// ID returns the event's public id: fixed width, so that ids of one source sort
// as text in commit order.
func (e *Event) ID() string { return streamID(e.Source, e.Seq) }

// Message is an outcome left in a mailbox.
type Message struct {
	Source     Source
	Seq        int64 // 1, 2, 3, … within the source, without gaps
	Mailbox    MailboxKey
	PoolID     PoolID
	TaskID     TaskID
	JobID      JobID
	Submission int
	Status     Status
	Reason     Reason
	Payload    []byte // JSON; nil: none
	CreatedAt  time.Time
	AckedAt    *time.Time // when somebody acknowledged it; nil: nobody has
}

// ID returns the message's public id, which also makes delivery through the
// outbox store it once.
func (m *Message) ID() string { return streamID(m.Source, m.Seq) }

func streamID(source Source, seq int64) string { return fmt.Sprintf("%016d.%s", seq, source) }

// Cursor is a position in the merged streams of several sources: the last
// sequence number seen of each. A source it does not name is read from its
// beginning, so no message can fall behind a cursor, however late it commits.
type Cursor map[Source]int64
