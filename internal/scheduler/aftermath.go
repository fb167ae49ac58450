package scheduler

import (
	"runtime"

	"github.com/parkinglot/parkinglot/internal/store"
)

// aftermath is what follows a durable turn for everybody but the loop: starting and
// stopping what is here, answering callers, waking who waits. It is done in one or two
// parts, by who holds the loop's turning.
type aftermath struct {
	t       *turn
	hints   store.Wake // for the other processes
	begun   bool
	started int    // of t.decisions.Started
	told    [6]int // of the batch's requests, by kind
}

// worthATurn is how many requests are worth a turn of their own: fewer wait for those that
// the last turn answers, because every turn has its price.
const worthATurn = 64

// followUp does what follows t, so that the database loses no time over it: when enough
// waits for the next turn, that is sent first, and what is left to do is done by
// l.meanwhile. A large turn's aftermath is parted, so that the half that comes back first
// makes the next turn.
func (l *loop) followUp(t *turn) {
	l.after = &aftermath{t: t, hints: l.hints(t)}
	if l.inbox.size() < worthATurn && t.batch.reqs.Len() >= 2*worthATurn {
		const half = 2
		l.after.part(l, half)
		l.letAsk()
	}
	if l.inbox.size() < worthATurn {
		l.meanwhile()
	}
}

// meanwhile ends the aftermath of the turn before.
func (l *loop) meanwhile() {
	if a := l.after; a != nil {
		l.after = nil
		a.part(l, 1)
	}
}

// beside is store.TurnSpec.Meanwhile of t. The time is the turn's before, and so is a panic:
// it must not be taken for one of t's requests.
func (l *loop) beside(t *turn) {
	began := l.s.now()
	defer func() {
		t.aside += l.s.since(began)
		if p := recover(); p != nil && t.strange == nil {
			t.strange = p
		}
	}()
	l.meanwhile()
}

// part starts one part of so many of what the turn started, and tells that part of the
// callers, counted from the first ones; of one, all that are left.
func (a *aftermath) part(l *loop, of int) {
	a.start(l, len(a.t.decisions.Started)/of)
	if of == 1 && a.started > 0 && l.inbox.size() == 0 {
		runtime.Gosched() // what was started is entered first; who asked is told right after
	}
	a.begin(l)
	for kind, rs := range a.t.batch.by {
		a.tell(kind, len(rs)/of)
	}
}

// begin stops what the turn stopped, and wakes who follows tasks and streams.
func (a *aftermath) begin(l *loop) {
	if a.begun {
		return
	}
	a.begun = true
	d := &a.t.decisions
	l.s.stop(d.Stopping)
	if len(d.Ended) > 0 || len(d.Messages) > 0 {
		l.s.watchers.ended(l.pool, d.Ended)
	}
	l.hand(a.t)
	l.backend.hint(a.hints)
	if len(d.Messages) > 0 && a.t.pool.MailboxBackend != l.backend.name {
		l.backend.outbox.kick()
	}
}

// start hands over what was started, up to the first until of them.
func (a *aftermath) start(l *loop, until int) {
	if from := a.started; from < until {
		a.started = until
		l.start(a.t, a.t.decisions.Started[from:until])
	}
}

// tell answers the callers of a kind, up to the first until of them.
func (a *aftermath) tell(kind, until int) {
	a.t.batch.answer(&a.t.decisions.Answers, kind, a.told[kind], until)
	a.told[kind] = until
}
