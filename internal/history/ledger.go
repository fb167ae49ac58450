package history

import (
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Start is where a ledger begins: the zero value at the first event of an empty
// pool, or a checkpoint after which the trail is followed.
type Start struct {
	Seq    int64        // last event before the first one fed
	Limit  domain.Units // max_units in force then
	Active domain.Units
	Queued int64
}

// Counters is the part of a pool's counters that its trail determines.
type Counters struct {
	EventSeq    int64
	ActiveUnits domain.Units
	Running     int64
	Queued      int64 // in the order
	Waiting     int64 // retries in their backoff; -1: not known, and then not compared
}

// Attempt is one run of a task as the trail tells it.
type Attempt struct {
	TaskID domain.TaskID
	JobID  domain.JobID // 0 when the source does not tell
	Number int
	Units  domain.Units
	Limit  domain.Units // of the pool when it started
	// SubmitAt is when the task was submitted; zero when the ledger began after that.
	SubmitAt time.Time
	StartAt  time.Time
	Start    int64 // Seq of the start
	// QueuedAt is when the task had been queued, for a first attempt that did not
	// start on arrival; else zero.
	QueuedAt time.Time
	EndAt    time.Time
	End      int64 // Seq of the event that ended it; 0: it runs
	EndKind  domain.EventKind
	EndCode  domain.ReasonCode
}

// submission is one row's life: the newest of its task id, or a rejected one
// before it.
type submission struct {
	number   int
	status   domain.Status
	reason   domain.ReasonCode
	units    domain.Units
	attempts int // started so far
	live     *Attempt
	last     int64 // Seq of its last event
	submit   int64
	submitAt time.Time
	enqueue  int64 // of the first time; 0: never queued
	queuedAt time.Time
	start    int64 // of the first attempt
	startAt  time.Time
	end      int64 // of the terminal state; 0: none yet
	endAt    time.Time
	waiting  bool // queued by a retry and not in the order yet
	row      bool // its row was read
	mailbox  bool // and has a key
	priority domain.Priority
	earlier  *submission
}

// Ledger replays the trail of one pool. Feed it every event of the source in
// order. Not safe for concurrent use.
type Ledger struct {
	Source   domain.Source
	Usage    Usage
	Events   int64
	Outcomes map[domain.Status]int64
	Attempts []*Attempt // in order of start

	findings *Findings
	partial  bool // begun at a checkpoint: tasks from before it are unknown
	last     int64
	lastAt   time.Time
	limit    domain.Units
	active   domain.Units // by the attempts that are live
	sum      domain.Units // by adding up what the events say, as a reader of the trail would
	running  int64
	queued   int64 // status queued, backoff included
	tasks    map[domain.TaskID]*submission
	order    []domain.TaskID // as they came
	expect   *Counters
	messages int64 // in mailboxes, as last counted
}

// NewLedger returns a ledger for the trail of source after start.
func NewLedger(source domain.Source, start Start, findings *Findings) *Ledger {
	l := &Ledger{
		Source: source, Outcomes: map[domain.Status]int64{}, findings: findings,
		partial: start.Seq > 0, last: start.Seq, limit: start.Limit,
		active: start.Active, sum: start.Active, queued: start.Queued,
		tasks: map[domain.TaskID]*submission{},
	}
	l.Usage.Resume(start.Limit, start.Active, start.Queued)
	return l
}

// Expect compares the counters with the ledger's sums when the event they were
// read at has been replayed, which may be now.
func (l *Ledger) Expect(c Counters) {
	l.expect = &c
	l.compare()
}

// Pool returns the pool whose trail it is.
func (l *Ledger) Pool() domain.PoolID { return domain.PoolID(l.Source) }

// Last returns the sequence number of the last event replayed.
func (l *Ledger) Last() int64 { return l.last }

// Limit returns max_units as of the last event replayed.
func (l *Ledger) Limit() domain.Units { return l.limit }

// Tasks returns how many task ids the trail names.
func (l *Ledger) Tasks() int { return len(l.tasks) }

// Apply replays the next event.
func (l *Ledger) Apply(e *domain.Event) {
	l.Events++
	l.sequence(e)
	l.transition(e)
	l.addUp(e)
	l.Usage.Observe(e.At, l.limit, l.active, l.queued)
	l.compare()
}

// sequence checks that the event follows the one before it.
func (l *Ledger) sequence(e *domain.Event) {
	switch {
	case e.Seq == l.last+1:
	case e.Seq > l.last:
		l.faultf(e, PromiseSequence, "events %d to %d are missing before it", l.last+1, e.Seq-1)
	default:
		l.faultf(e, PromiseSequence, "it comes after event %d", l.last)
	}
	if e.At.Before(l.lastAt) {
		l.faultf(e, PromiseSequence, "its time %s is before that of the event before it, %s",
			e.At.Format(time.RFC3339Nano), l.lastAt.Format(time.RFC3339Nano))
	}
	l.last, l.lastAt = max(l.last, e.Seq), e.At
}

// addUp adds what the event says was taken or given back, as any reader of the
// trail may, and compares that with the attempts that are live.
func (l *Ledger) addUp(e *domain.Event) {
	switch e.Kind {
	case domain.EventStart:
		l.sum = l.sum.Add(e.Units)
	case domain.EventComplete, domain.EventFail, domain.EventExpire, domain.EventRetry, domain.EventLost:
		l.sum = l.sum.Sub(e.Units)
	}
	if !l.partial && l.sum != l.active {
		l.faultf(e, PromiseUnits, "adding up the trail gives %d units in use, the live attempts have %d", l.sum, l.active)
		l.sum = l.active
	}
}

// compare checks the expected counters once their event has been replayed.
func (l *Ledger) compare() {
	if l.expect == nil || l.last < l.expect.EventSeq {
		return
	}
	want := *l.expect
	l.expect = nil
	if l.last > want.EventSeq || l.partial {
		return
	}
	var waiting int64
	for _, s := range l.tasks {
		if s.status == domain.StatusQueued && s.waiting {
			waiting++
		}
	}
	l.counter("active_units", int64(want.ActiveUnits), int64(l.active))
	l.counter("running", want.Running, l.running)
	if want.Waiting < 0 {
		// Retries in their backoff may or may not be back in the order: the trail
		// says when they left it, the counter must lie between.
		if want.Queued < l.queued-waiting || want.Queued > l.queued {
			l.counter("queued", want.Queued, l.queued)
		}
		return
	}
	l.counter("queued + waiting", want.Queued+want.Waiting, l.queued)
}

// Close reports what only the end of the trail shows.
func (l *Ledger) Close() {
	if l.expect != nil {
		l.findings.Add(Violation{Promise: PromiseCounters, Source: l.Source, Message: fmt.Sprintf(
			"the pool has counted %d events, its trail ends at %d", l.expect.EventSeq, l.last)})
		l.expect = nil
	}
}

func (l *Ledger) counter(name string, counter, sum int64) {
	if counter != sum {
		l.findings.Add(Violation{Promise: PromiseCounters, Source: l.Source, Seq: l.last, Message: fmt.Sprintf(
			"the pool's counter %s is %d, its trail adds up to %d", name, counter, sum)})
	}
}

func (l *Ledger) faultf(e *domain.Event, p Promise, format string, args ...any) {
	l.findings.Add(Violation{
		Promise: p, Source: l.Source, TaskID: e.TaskID, Seq: e.Seq,
		Message: string(e.Kind) + ": " + fmt.Sprintf(format, args...),
	})
}
