package history

import (
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Start is where a ledger begins: the zero value at the first event of an empty
// pool, or a checkpoint after which the trail is followed.
type Start struct {
	Seq     int64        // last event before the first one fed
	Limit   domain.Units // max_units in force then
	Active  domain.Units
	Running int64
	Queued  int64 // backoff included
	Waiting int64 // of them in their backoff
	// Jobs is the last job id given out before: a job up to it may be carried over, which
	// means that it goes on in the trail although its submission is not there. The
	// counters say how many may.
	Jobs domain.JobID
	At   time.Time // of the checkpoint; zero: there is none
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

// submission is one row's life. It is in memory from its submission to its end.
type submission struct {
	job      domain.JobID
	task     domain.TaskID
	number   int
	status   domain.Status
	reason   domain.ReasonCode
	units    domain.Units // 0: not known, it was submitted before the checkpoint
	attempts int          // started so far
	live     *Attempt
	last     int64 // Seq of its last event
	submit   int64 // 0: before the checkpoint
	submitAt time.Time
	enqueue  int64 // of the first time; 0: never queued
	queuedAt time.Time
	start    int64 // of the first attempt
	end      int64 // of the terminal state; 0: none yet
	endAt    time.Time
	waiting  bool // queued by a retry and not in the order yet
}

// Ledger replays the trail of one pool. Feed it every event of the source in
// order. What has ended leaves its memory for its Book. Not safe for concurrent use.
type Ledger struct {
	Source   domain.Source
	Usage    Usage
	Events   int64
	Outcomes map[domain.Status]int64
	Started  int64 // attempts
	// KeepAttempts collects Attempts, in order of start: memory for the whole history.
	KeepAttempts bool
	Attempts     []*Attempt
	// MostAlive is the most submissions that were in memory at once.
	MostAlive int
	// LongestIdle is the longest time in which nothing at all ran although tasks stood
	// in the order of a pool that may start: the first of them fits by definition. It
	// spans outages too, when nobody was there to start anything.
	LongestIdle time.Duration

	findings *Findings
	book     *Book
	begin    Start
	carried  Start // of what begin had, what the trail has not touched yet
	last     int64
	lastAt   time.Time
	limit    domain.Units
	active   domain.Units // by the attempts that are live
	sum      domain.Units // by adding up what the events say, as a reader of the trail would
	running  int64
	queued   int64 // status queued, backoff included
	waiting  int64 // of them in their backoff
	disabled bool
	idle     time.Time // since when LongestIdle may grow; zero: it does not
	alive    map[domain.JobID]*submission
	ids      map[domain.TaskID]*submission // the same by task id
	expect   *Counters
}

// NewLedger returns a ledger for the trail of source after start. What ends, and what only
// the whole history can tell, goes to book; nil: it is not judged.
func NewLedger(source domain.Source, start Start, findings *Findings, book *Book) *Ledger {
	l := &Ledger{
		Source: source, Outcomes: map[domain.Status]int64{}, findings: findings, book: book,
		begin: start, carried: start, last: start.Seq, lastAt: start.At, limit: start.Limit,
		active: start.Active, sum: start.Active, running: start.Running, queued: start.Queued, waiting: start.Waiting,
		alive: map[domain.JobID]*submission{}, ids: map[domain.TaskID]*submission{},
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

// Apply replays the next event.
func (l *Ledger) Apply(e *domain.Event) {
	l.Events++
	l.sequence(e)
	l.transition(e)
	l.addUp(e)
	l.Usage.Observe(e.At, l.limit, l.active, l.queued)
	l.idleness(e.At)
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

// idleness measures how long nothing runs while something could.
func (l *Ledger) idleness(at time.Time) {
	could := l.active == 0 && l.queued > l.waiting && l.limit > 0 && !l.disabled
	switch {
	case could && l.idle.IsZero():
		l.idle = at
	case !could && !l.idle.IsZero():
		l.LongestIdle = max(l.LongestIdle, at.Sub(l.idle))
		l.idle = time.Time{}
	}
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
	if l.sum != l.active {
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
	if l.last > want.EventSeq {
		return
	}
	l.counter("active_units", int64(want.ActiveUnits), int64(l.active))
	l.counter("running", want.Running, l.running)
	if want.Waiting < 0 {
		// Retries in their backoff may or may not be back in the order: the trail
		// says when they left it, the counter must lie between.
		if want.Queued < l.queued-l.waiting || want.Queued > l.queued {
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
