package scheduler

import "time"

// Waits of turns that meet a row which somebody else changed or holds locked.
const (
	guardFirst = time.Millisecond
	guardMost  = 200 * time.Millisecond
	// guardsTogether is how many such turns in a row a batch takes as a whole before it
	// is divided, so that everybody else goes through.
	guardsTogether = 4
	shelfFirst     = 250 * time.Millisecond
	shelfMost      = 5 * time.Second
)

// shelved is a request that waits for somebody else to let go of its row.
type shelved struct {
	request *request
	until   time.Time
}

// guarded handles a turn that met a changed or locked row. At first the same requests
// are decided again, as what was read was simply old. When that does not help
// somebody holds a row (in psql, say): the batch is divided until the
// requests for that row are alone, and those wait on the shelf.
func (l *loop) guarded(t *turn, cause error) pause {
	b := t.batch
	rs := b.requests()
	l.guards++
	l.inbox.wantLook()
	if len(rs) == 0 || !b.alone && l.guards < guardsTogether {
		l.putBack(b)
		return pause{d: min(guardFirst<<min(l.guards, 16), guardMost), deaf: true}
	}
	l.unlend(b)
	if len(rs) == 1 {
		l.shelve(rs[0], cause)
		return pause{}
	}
	l.log.Warn("turns keep meeting a row that somebody else holds; looking for the request that waits for it",
		"requests", len(rs), "error", cause)
	l.divide(rs)
	return pause{}
}

// divide makes the halves of a batch have turns of their own, the first half first.
func (l *loop) divide(rs []*request) {
	half := len(rs) / 2
	l.alone = append(l.alone, rs[half:], rs[:half])
}

// shelve lets a request wait. Who asks waits for Options.Patience altogether.
func (l *loop) shelve(r *request, cause error) {
	now := l.s.now()
	if !r.gives() && now.Sub(r.arrived) >= l.s.opts.Patience {
		r.fail(errHeld(cause))
		return
	}
	r.rest = min(max(2*r.rest, shelfFirst), shelfMost)
	l.shelved = append(l.shelved, shelved{request: r, until: now.Add(r.rest)})
}

// unshelve brings back what has waited long enough.
func (l *loop) unshelve(now time.Time) {
	kept := l.shelved[:0]
	for _, s := range l.shelved {
		if now.Before(s.until) {
			kept = append(kept, s)
			continue
		}
		l.alone = append(l.alone, []*request{s.request})
	}
	l.shelved = kept
}
