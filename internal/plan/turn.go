package plan

import (
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// turn is the working state of one call of Turn. Nothing of it outlives the call
// but what Decisions points to.
type turn struct {
	*ledger
	snap *Snapshot
	req  *Requests

	known   map[domain.TaskID]*row // rows inserted in this turn, by their id
	entered []*row                 // rows that came into the order in this turn
	queue   []*row                 // the order, once the start pass has built it
	keptFor *row                   // the blocked task for which the start pass keeps what is free
	refused int64                  // submissions that found no room in the queue

	room   int // tasks that the lessees still take
	lent   []Lent
	leased []domain.Lease

	stopping []domain.Task
	started  []*row
	changed  bool            // the pool row
	relane   []domain.Tenant // whose lane a change of policy moved
	again    bool
}

// Turn decides one turn of a pool. It may change snap, and keeps parts of snap
// and req in what it returns. It is safe for concurrent use on different
// snapshots and never panics on a snapshot that a store could have read.
//
// Answers are in the order of the requests. Errors in them are CodeInvalid (with
// every fault), CodeTaskExists, the codes of a rejection, CodeUnknownTask,
// CodeTaskFinal and CodeConflict.
func Turn(snap Snapshot, req *Requests) Decisions {
	t := &turn{ledger: newLedger(&snap, len(req.Submits), req.Len()), snap: &snap, req: req}
	a := Answers{
		Settles: make([]Answer, len(req.Settles)),
		Losts:   make([]Answer, len(req.Losts)),
		Forces:  make([]Answer, len(req.Forces)),
		Cancels: make([]Answer, len(req.Cancels)),
		Changes: make([]Answer, len(req.Changes)),
		Submits: make([]Answer, len(req.Submits)),
	}
	for i := range req.Settles {
		a.Settles[i] = t.settle(&req.Settles[i])
	}
	for i := range req.Losts {
		a.Losts[i] = t.lose(&req.Losts[i])
	}
	for i := range req.Forces {
		a.Forces[i] = t.force(&req.Forces[i])
	}
	t.expireDue()
	t.enterRested()
	for i := range req.Cancels {
		a.Cancels[i] = t.cancel(&req.Cancels[i])
	}
	for i := range req.Changes {
		a.Changes[i] = t.change(&req.Changes[i])
	}
	t.openLeases()
	t.submit(a.Submits)
	a.Lessees = t.lent
	return t.decisions(a)
}

// decisions closes the books.
func (t *turn) decisions(a Answers) Decisions {
	d := Decisions{
		Now:      t.now,
		Events:   t.events,
		Messages: t.messages,
		Tenants:  t.usages(),
		Relane:   t.relane,
		Answers:  a,
		Stopping: t.stopping,
		Started:  tasks(t.started),
		Ended:    tasks(t.ended),
		Inserted: t.new,
		Changed:  t.changes(),
	}
	d.RiverDone = t.riverDone
	d.Leased, d.Unleased, d.LeasesAsked = t.leased, t.unleased, t.leasesAsked
	if t.changed {
		pool := t.pool
		d.Pool = &pool
	}
	next := t.nextDue()
	if t.nothing(&d) && !t.mustStore(next) {
		d.Idle = true
		d.Counters = t.snap.Counters
		d.Counters.NextDueAt = next
		return d
	}
	t.counters.TurnNo++
	t.counters.TurnID = t.req.TurnID
	t.counters.At = t.now
	t.counters.Ceiling = max(t.pool.MaxUnits, t.counters.ActiveUnits)
	t.counters.NextDueAt = next
	d.Counters = t.counters
	d.Again = t.again || t.snap.DueCut && len(t.snap.Due)+len(t.snap.Rested) > 0
	return d
}

// nothing reports whether d has nothing to write.
func (t *turn) nothing(d *Decisions) bool {
	return len(d.Inserted) == 0 && len(d.Changed) == 0 && len(d.Events) == 0 &&
		len(d.Messages) == 0 && len(d.Tenants) == 0 && d.Pool == nil
}

// nextDue returns the earliest instant at which a timer has to fire: the
// snapshot's, or one of a task that this turn left in the queue. It may be early
// (the task it was for has just started), never late: a turn at that instant
// reads the next one.
func (t *turn) nextDue() *time.Time {
	next := t.snap.NextDueAt
	earlier := func(at *time.Time) {
		if at != nil && (next == nil || at.Before(*next)) {
			next = at
		}
	}
	consider := func(task *domain.Task) {
		if task.Status == domain.StatusQueued {
			earlier(task.Deadline)
			earlier(task.NotBefore)
		}
	}
	for i := range t.new {
		consider(&t.new[i])
	}
	for _, r := range t.touched {
		consider(r.t)
	}
	return next
}

// mustStore reports whether next is worth a turn of its own: when the stored
// instant would fire too late, or has passed and would fire for ever.
func (t *turn) mustStore(next *time.Time) bool {
	stored := t.snap.Counters.NextDueAt
	if stored == nil {
		return next != nil
	}
	if next != nil && next.Equal(*stored) {
		return false
	}
	return !stored.After(t.now) || next != nil && next.Before(*stored)
}

// tasks copies the tasks of rows as the turn leaves them.
func tasks(rows []*row) []domain.Task {
	if len(rows) == 0 {
		return nil
	}
	out := make([]domain.Task, len(rows))
	for i, r := range rows {
		out[i] = *r.t
	}
	return out
}
