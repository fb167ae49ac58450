package scheduler

import (
	"slices"
	"sync"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// inbox is where requests wait for a pool's next turn. Callers put, the pool's
// loop takes. What gives units back is kept apart: it is taken first and never
// refused.
type inbox struct {
	wake chan struct{} // holds a signal when something was put or somebody wants a look

	mu       sync.Mutex
	gives    []*request
	asks     []*request
	lessees  []*lessee     // in the order of arrival
	bytes    int           // of asks
	look     bool          // take a turn even with nothing to decide
	refusal  *domain.Error // not nil: the backend does not answer, asks are refused at once
	closed   bool          // the loop has ended: everything is refused
	maxAsks  int
	maxBytes int
}

func newInbox(maxAsks, maxBytes int) *inbox {
	return &inbox{wake: make(chan struct{}, 1), look: true, maxAsks: maxAsks, maxBytes: maxBytes}
}

// put adds all of rs, which are of one sort, or none.
func (b *inbox) put(rs []*request) *domain.Error {
	if len(rs) == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()

	if b.closed {
		return errStopping()
	}
	if rs[0].gives() {
		b.gives = append(b.gives, rs...)
		signal(b.wake)
		return nil
	}
	if b.refusal != nil {
		return b.refusal
	}
	size := 0
	for _, r := range rs {
		size += r.bytes
	}
	if len(b.asks)+len(rs) > b.maxAsks || b.bytes+size > b.maxBytes {
		return errOverloaded(len(b.asks))
	}
	b.asks = append(b.asks, rs...)
	b.bytes += size
	signal(b.wake)
	return nil
}

// wantLook makes the loop take a turn although nobody asked for anything.
func (b *inbox) wantLook() {
	b.mu.Lock()
	b.look = true
	b.mu.Unlock()
	signal(b.wake)
}

// pending reports whether there is a reason for a turn, and forgets wanted looks:
// the turn that follows is the look.
func (b *inbox) pending() bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	look := b.look
	b.look = false
	return look || len(b.gives) > 0 || len(b.asks) > 0
}

// waiting reports whether requests are left, for another turn at once.
func (b *inbox) waiting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	return len(b.gives) > 0 || len(b.asks) > 0
}

// size returns how many requests wait.
func (b *inbox) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()

	return len(b.gives) + len(b.asks)
}

// fill moves requests into the batch, up to a turn's limits.
func (b *inbox) fill(to *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.lend(to)
	var bytes int
	if b.gives, _ = move(b.gives, to); len(b.gives) > 0 {
		return
	}
	b.asks, bytes = move(b.asks, to)
	b.bytes -= bytes
}

func move(from []*request, to *batch) (rest []*request, bytes int) {
	n := 0
	for n < len(from) && !to.full(from[n]) {
		to.add(from[n])
		bytes += from[n].bytes
		n++
	}
	if n == len(from) {
		return nil, bytes
	}
	return from[n:], bytes
}

// putBack returns requests that a turn could not decide to the front.
func (b *inbox) putBack(rs []*request) {
	b.mu.Lock()
	defer b.mu.Unlock()

	var gives, asks []*request
	for _, r := range rs {
		if r.gives() {
			gives = append(gives, r)
			continue
		}
		asks = append(asks, r)
		b.bytes += r.bytes
	}
	b.gives = append(gives, b.gives...)
	b.asks = append(asks, b.asks...)
}

// refuse lets asks be refused with err from now on, and takes out those that
// wait. A nil err lets them in again.
func (b *inbox) refuse(err *domain.Error) []*request {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.refusal = err
	if err == nil {
		return nil
	}
	b.dismiss(err)
	return b.takeAsks()
}

// close refuses everything from now on and takes out all that waits.
func (b *inbox) close() []*request {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.closed = true
	b.dismiss(errStopping())
	rs := slices.Concat(b.gives, b.takeAsks())
	b.gives = nil
	return rs
}

// dismiss ends the wait of all lessees.
func (b *inbox) dismiss(err *domain.Error) {
	for _, w := range b.lessees {
		w.fail(err)
	}
	b.lessees = nil
}

func (b *inbox) takeAsks() []*request {
	rs := b.asks
	b.asks, b.bytes = nil, 0
	return rs
}

// settling returns the attempts that a waiting request will end.
func (b *inbox) settling() map[domain.Ref]bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	return refsOf(b.gives)
}
