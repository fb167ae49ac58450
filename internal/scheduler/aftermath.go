package scheduler

// aftermath is what follows a durable turn outside of the loop: starting and stopping
// what is here, answering callers, waking who waits. It is done in one or two parts, and
// belongs to the loop's goroutine.
type aftermath struct {
	t       *turn
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
	l.after = &aftermath{t: t}
	if l.inbox.size() < worthATurn && t.batch.reqs.Len() >= 2*worthATurn {
		l.after.half(l)
		l.letAsk()
	}
	if l.inbox.size() < worthATurn {
		l.meanwhile()
	}
}

// meanwhile is store.TurnSpec.Meanwhile: it ends the aftermath of the turn before.
func (l *loop) meanwhile() {
	if a := l.after; a != nil {
		l.after = nil
		a.rest(l)
	}
}

// half starts half of what the turn started and tells half of the callers.
func (a *aftermath) half(l *loop) {
	a.begin(l)
	a.start(l, len(a.t.decisions.Started)/2)
	for kind, rs := range a.t.batch.by {
		a.tell(kind, len(rs)/2)
	}
}

func (a *aftermath) rest(l *loop) {
	a.begin(l)
	a.start(l, len(a.t.decisions.Started))
	for kind, rs := range a.t.batch.by {
		a.tell(kind, len(rs))
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
	l.backend.hint(l.hints(a.t))
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
