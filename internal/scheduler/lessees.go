package scheduler

import (
	"context"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// lesseesMost bounds how many lessees one turn sees: those that have waited longest.
const lesseesMost = 256

// lessee is a remote worker that waits for tasks of a web pool. It is no request: it
// comes with every turn, so that what is submitted or given back starts for it in that
// very turn, and stays until it got something or leaves.
type lessee struct {
	ask  plan.Lessee
	once bool // answered by the next turn, whatever that brings

	lent plan.Lent // written by the loop, read by the caller after done
	done chan struct{}

	leaving  bool // the caller waits no longer; guarded by the inbox
	answered bool // of the loop alone
}

// answer tells the caller. Only the first answer counts.
func (w *lessee) answer(lent plan.Lent) {
	if w.answered {
		return
	}
	w.answered = true
	w.lent = lent
	close(w.done)
}

func (w *lessee) fail(err *domain.Error) { w.answer(plan.Lent{Err: err}) }

// enter lets a lessee wait.
func (b *inbox) enter(w *lessee) *domain.Error {
	b.mu.Lock()
	defer b.mu.Unlock()

	switch {
	case b.closed:
		return errStopping()
	case b.refusal != nil:
		return b.refusal
	case len(b.lessees) >= b.maxAsks:
		return errOverloaded(len(b.lessees))
	}
	b.lessees = append(b.lessees, w)
	b.look = true
	signal(b.wake)
	return nil
}

// leave ends a lessee's wait. False: a turn has it, and will answer it.
func (b *inbox) leave(w *lessee) bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	if i := slices.Index(b.lessees, w); i >= 0 {
		b.lessees = slices.Delete(b.lessees, i, i+1)
		return true
	}
	w.leaving = true
	return false
}

// lend takes the lessees for a turn.
func (b *inbox) lend(to *batch) {
	n := min(len(b.lessees), lesseesMost-len(to.lessees))
	for _, w := range b.lessees[:n] {
		to.lessees = append(to.lessees, w)
		to.reqs.Lessees = append(to.reqs.Lessees, w.ask)
	}
	b.lessees = slices.Delete(b.lessees, 0, n)
}

// lent answers the lessees of a turn that went through; who got nothing and can wait
// goes on waiting where it was.
func (b *inbox) lent(ws []*lessee, lents []plan.Lent) {
	b.mu.Lock()
	defer b.mu.Unlock()

	var waiting []*lessee
	for i, w := range ws {
		var lent plan.Lent
		if i < len(lents) {
			lent = lents[i]
		}
		if w.answered || len(lent.Leases) > 0 || lent.Err != nil || w.once || w.leaving {
			w.answer(lent)
			continue
		}
		waiting = append(waiting, w)
	}
	b.lessees = append(waiting, b.lessees...)
}

// unlent lets the lessees of a turn that did not go through wait for the next one.
func (b *inbox) unlent(ws []*lessee) {
	if len(ws) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()

	var waiting []*lessee
	for _, w := range ws {
		if w.answered || w.leaving {
			w.answer(plan.Lent{})
			continue
		}
		waiting = append(waiting, w)
	}
	b.lessees = append(waiting, b.lessees...)
	b.look = true
}

// unlend returns the lessees of a batch whose turn did not go through.
func (l *loop) unlend(b *batch) {
	l.inbox.unlent(b.lessees)
	b.lessees = nil
}

// dismiss ends the wait of the batch's lessees. What the turn may have lent them ends
// with its lease.
func (b *batch) dismiss(err *domain.Error) {
	for _, w := range b.lessees {
		w.fail(err)
	}
}

// wanted reports whether somebody waits for tasks.
func (b *inbox) wanted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	return len(b.lessees) > 0
}

// Lease has tasks of a web pool started for a remote worker: as soon as some may start,
// at most wait later (0: one turn finds out), or until stop is closed. It returns what
// was leased, which may be nothing. When ctx has ended by then, what was
// leased goes back at once. Errors: CodePoolNotWeb, CodeUnknownPool, CodeUnavailable.
func (s *Scheduler) Lease(ctx context.Context, pool domain.PoolID, ask plan.Lessee, wait time.Duration, stop <-chan struct{}) (plan.Lent, error) {
	l := s.loop(pool)
	if l == nil {
		return plan.Lent{}, errUnknownPool(pool)
	}
	w := &lessee{ask: ask, once: wait <= 0, done: make(chan struct{})}
	if err := l.inbox.enter(w); err != nil {
		return plan.Lent{}, err
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	var over <-chan time.Time
	if !w.once {
		over = deadline.C
	}
	select {
	case <-w.done:
	case <-over:
		l.quit(w)
	case <-stop:
		l.quit(w)
	case <-ctx.Done():
		l.quit(w)
	}
	switch {
	case w.lent.Err != nil:
		return plan.Lent{}, w.lent.Err
	case ctx.Err() != nil && len(w.lent.Leases) > 0:
		s.GiveBack(w.lent.Leases)
		return plan.Lent{}, errGaveUp(ctx)
	}
	return w.lent, nil
}

// quit ends a wait: at once, or with the turn that is under way.
func (l *loop) quit(w *lessee) {
	if !l.inbox.leave(w) {
		<-w.done
	}
}

// GiveBack puts attempts that their lessee never got to see back into the order. It does
// not wait; what cannot be given back now ends with its lease.
func (s *Scheduler) GiveBack(leases []domain.Lease) {
	now := s.now()
	for i := range leases {
		l := s.loop(leases[i].Ref.PoolID)
		if l == nil {
			continue
		}
		_ = l.inbox.put([]*request{newRequest(plan.Settle{ // refused by a process that has ended only
			Ref: leases[i].Ref, Lease: leases[i].ID, Verdict: plan.VerdictHandBack,
		}, nil, 0, now)})
	}
}
