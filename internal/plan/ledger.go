package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// ledger keeps the books of a turn: rows, counters, tenants' usage, the audit
// trail and the mailbox. Whoever wants to change the state of a task calls move;
// nothing else writes a counter, an event or a message of a task.
type ledger struct {
	now      time.Time
	at       *time.Time // now, for the rows; shared, because nobody writes through it
	pool     domain.Pool
	counters domain.Counters
	tenants  map[domain.Tenant]domain.TenantUsage // as read
	accounts map[domain.Tenant]*account           // opened when somebody asks for them
	spare    []account                            // made together, for those opened next
	rows     map[domain.JobID]*row                // every row that a request or a timer named

	// inserted are the new rows in the order of acceptance, new their tasks: made once
	// with room for all, because rows and answers point into it.
	inserted []row
	new      []domain.Task
	touched  []*row // stored before, changed in this turn
	expected int    // about so many stored rows are named

	events    []domain.Event
	messages  []domain.Message
	ended     []*row
	riverDone []int64

	unleased    []domain.JobID // whose lease has ended
	leasesAsked []domain.JobID // whose lease must know of a cancellation

	poolSubject string
}

// row is one task in the hands of a turn.
type row struct {
	t           *domain.Task
	fromStatus  domain.Status
	fromAttempt int
	fromCancel  *time.Time
	isNew       bool // not stored yet
	touched     bool
	arriving    bool // submitted in this turn, not decided yet
	stored      bool // read as a candidate
	subjects    []string
}

// account is what a tenant holds, and what the ledger knows of it besides.
type account struct {
	domain.TenantUsage
	was    domain.TenantUsage
	limit  domain.TenantPolicy
	capped bool         // reached its units cap in this start pass
	claim  domain.Units // the most that one of its tasks waits for, in this start pass
	// promised is the finish tag after the arrivals of this turn that are not decided yet.
	promised int64
	subject  string
}

// record is what move writes into the audit trail. The zero kind writes nothing.
type record struct {
	kind   domain.EventKind
	actor  string
	detail []byte
}

// newLedger opens the books of a turn with at most so many submissions, and about
// so many requests in all.
func newLedger(snap *Snapshot, submits, requests int) *ledger {
	l := &ledger{
		inserted:    make([]row, 0, submits),
		new:         make([]domain.Task, 0, submits),
		events:      make([]domain.Event, 0, 2*requests),
		expected:    requests - submits + len(snap.Due) + len(snap.Rested),
		now:         snap.Now.UTC().Truncate(time.Microsecond),
		pool:        snap.Pool,
		counters:    snap.Counters,
		tenants:     snap.Tenants,
		accounts:    make(map[domain.Tenant]*account, min(len(snap.Tenants), requests)),
		poolSubject: "pool:" + string(snap.Pool.PoolID),
	}
	if l.now.Before(l.counters.At) {
		l.now = l.counters.At
	}
	at := l.now
	l.at = &at
	return l
}

// account returns the account of a tenant; one without a row starts at nothing.
func (l *ledger) account(tenant domain.Tenant) *account {
	if a, ok := l.accounts[tenant]; ok {
		return a
	}
	const together = 16
	if len(l.spare) == 0 {
		l.spare = make([]account, together)
	}
	a := &l.spare[0]
	l.spare = l.spare[1:]
	usage := l.tenants[tenant]
	usage.Tenant = tenant
	a.TenantUsage, a.was, a.limit = usage, usage, l.pool.Tenants[tenant]
	l.accounts[tenant] = a
	return a
}

// adopt takes a stored task into the books. The same job is the same row,
// however many parts of the snapshot show it.
func (l *ledger) adopt(t *domain.Task) *row {
	if r, ok := l.rows[t.JobID]; ok {
		return r
	}
	if l.rows == nil {
		l.rows = make(map[domain.JobID]*row, l.expected)
	}
	r := &row{t: t, fromStatus: t.Status, fromAttempt: t.Attempt, fromCancel: t.CancelAsked}
	l.rows[t.JobID] = r
	return r
}

// insert takes a new task into the books.
func (l *ledger) insert(t domain.Task) *row {
	l.new = append(l.new, t)
	l.inserted = append(l.inserted, row{t: &l.new[len(l.new)-1], isNew: true})
	return &l.inserted[len(l.inserted)-1]
}

// touch notes that the row must be written.
func (l *ledger) touch(r *row) {
	if !r.touched && !r.isNew {
		r.touched = true
		l.touched = append(l.touched, r)
	}
}

// move takes a task from one state to the next: it takes the task out of the
// counters, lets change write the new state, counts it again, and records it. Units
// that an attempt held are in the event that ended it; a task that ended leaves its
// message.
func (l *ledger) move(r *row, rec record, change func(t *domain.Task)) {
	l.touch(r)
	t := r.t
	from := t.Status
	l.count(t, -1)
	change(t)
	l.count(t, 1)

	if from == domain.StatusRunning && t.Status != domain.StatusRunning {
		if t.RiverJobID != 0 {
			l.riverDone = append(l.riverDone, t.RiverJobID)
		}
		if t.Holder.Leased() {
			l.unleased = append(l.unleased, t.JobID)
		}
		t.RiverJobID, t.Holder = 0, ""
	}
	if t.Status.Terminal() && !from.Terminal() {
		t.FinishedAt = l.at
		l.ended = append(l.ended, r)
	}
	if rec.kind != "" {
		units := t.Units
		if givesBack(rec.kind) && from != domain.StatusRunning {
			units = 0 // it ended no attempt
		}
		l.record(r, rec, t.Attempt, units, t.Reason)
	}
	if t.Status.Terminal() && !from.Terminal() {
		l.post(t)
	}
}

// count adds the task to the counters of the state it is in, n times.
func (l *ledger) count(t *domain.Task, n int64) {
	switch t.Status {
	case domain.StatusRunning:
		units := t.Units
		if n < 0 {
			units = -units
		}
		a := l.account(t.Tenant)
		a.ActiveUnits = a.ActiveUnits.Add(units)
		l.counters.ActiveUnits = l.counters.ActiveUnits.Add(units)
		l.counters.Running += n
	case domain.StatusQueued:
		l.account(t.Tenant).Queued += n
		if t.NotBefore != nil {
			l.counters.Waiting += n
			return
		}
		if n < 0 {
			l.counters.Drained -= n
		}
		l.counters.Queued += n
		l.counters.QueuedBy[t.Priority] += n
	}
}

// givesBack reports whether events of kind carry what an attempt gave back.
func givesBack(kind domain.EventKind) bool {
	switch kind {
	case domain.EventComplete, domain.EventFail, domain.EventExpire, domain.EventRetry, domain.EventLost:
		return true
	}
	return false
}

// record writes one event of a task.
func (l *ledger) record(r *row, rec record, attempt int, units domain.Units, reason domain.Reason) {
	if r.subjects == nil {
		a := l.account(r.t.Tenant)
		if a.subject == "" {
			a.subject = "tenant:" + string(r.t.Tenant)
		}
		r.subjects = []string{"task:" + string(r.t.TaskID), l.poolSubject, a.subject}
	}
	l.append(&domain.Event{
		Kind: rec.kind, TaskID: r.t.TaskID, JobID: r.t.JobID, Submission: r.t.Submission, Tenant: r.t.Tenant,
		Attempt: attempt, Units: units, Status: r.t.Status, Reason: reason,
		Actor: rec.actor, Subjects: r.subjects, Detail: rec.detail,
	})
}

// append numbers an event and adds it to the trail.
func (l *ledger) append(e *domain.Event) {
	l.counters.EventSeq++
	e.Source, e.Seq, e.At, e.PoolID = domain.Source(l.pool.PoolID), l.counters.EventSeq, l.now, l.pool.PoolID
	l.events = append(l.events, *e)
}

// post leaves the outcome of a task that has just ended in its mailbox.
func (l *ledger) post(t *domain.Task) {
	if t.Mailbox == nil {
		return
	}
	l.counters.MessageSeq++
	m := domain.Message{
		Source: domain.Source(l.pool.PoolID), Seq: l.counters.MessageSeq, Mailbox: *t.Mailbox,
		PoolID: l.pool.PoolID, TaskID: t.TaskID, JobID: t.JobID, Submission: t.Submission,
		Status: t.Status, Reason: t.Reason, CreatedAt: l.now,
	}
	if t.Status == domain.StatusCompleted {
		m.Payload = t.Result
	}
	l.messages = append(l.messages, m)
}

// usages returns the accounts that changed, by tenant.
func (l *ledger) usages() []domain.TenantUsage {
	var out []domain.TenantUsage
	for _, a := range l.accounts {
		if a.TenantUsage != a.was {
			out = append(out, a.TenantUsage)
		}
	}
	slices.SortFunc(out, func(a, b domain.TenantUsage) int { return cmp.Compare(a.Tenant, b.Tenant) })
	return out
}

// changes returns the stored rows that changed, by job id, which is the order in
// which the database locks them.
func (l *ledger) changes() []Change {
	if len(l.touched) == 0 {
		return nil
	}
	slices.SortFunc(l.touched, func(a, b *row) int { return cmp.Compare(a.t.JobID, b.t.JobID) })
	out := make([]Change, len(l.touched))
	for i, r := range l.touched {
		out[i] = Change{FromStatus: r.fromStatus, FromAttempt: r.fromAttempt, FromCancelAsked: r.fromCancel, Task: *r.t}
	}
	return out
}
