package scheduler

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// turn is one attempt at a turn.
type turn struct {
	batch  *batch
	worker domain.WorkerID
	began  time.Time

	// Written by decide, read when store.Turn has returned.
	decided  bool
	at       time.Time // this process's clock when the snapshot's Now had just been read
	before   domain.Counters
	pool     domain.Pool
	tenants  map[domain.Tenant]domain.TenantUsage // as read
	panicked error
	noStart  bool // as newTurn set it

	aside   time.Duration // spent on the turn before, meanwhile
	strange any           // what that panicked with

	decisions plan.Decisions
}

// newTurn takes the next part of a refused batch if there is one, else what waits.
func (l *loop) newTurn() *turn {
	b := &batch{alone: l.blamed != nil || len(l.alone) > 0}
	if n := len(l.alone); n > 0 && l.blamed == nil {
		for _, r := range l.alone[n-1] {
			b.add(r)
		}
		l.alone = l.alone[:n-1]
	}
	worker, may := l.backend.holder()
	b.reqs.TurnID = uuid.NewString()
	b.reqs.Worker = worker
	b.reqs.NoStart = !may || l.s.draining.Load()
	return &turn{batch: b, worker: worker, began: l.s.now(), noStart: b.reqs.NoStart}
}

// gather is store.TurnSpec.Gather: a second call adds what has come since.
func (l *loop) gather(t *turn) *plan.Requests {
	if !t.batch.alone {
		l.letAsk()
		l.inbox.fill(t.batch)
	}
	return &t.batch.reqs
}

// Bounds of letAsk: it ends after so many yields that brought nothing, and in any case.
const (
	quietYields = 3
	mostYields  = 64
)

// letAsk gives way to whoever is about to put something into the inbox: those that the
// last turn has answered ask again at once, and the tasks it has started may have ended.
// Without, they would be spread over twice as many turns, and every turn has its price
// however little it carries. Nothing is waited for: with nobody about to run it costs
// less than a microsecond.
func (l *loop) letAsk() {
	before := l.inbox.size()
	for n, quiet := 0, 0; n < mostYields && quiet < quietYields && before < plan.MaxRequests; n++ {
		runtime.Gosched()
		size := l.inbox.size()
		if quiet++; size > before {
			before, quiet = size, 0
		}
	}
}

// decide is store.TurnSpec.Decide: of several calls the last one counts. A panic of plan.Turn
// becomes an idle turn, so that the transaction is rolled back in order.
func (l *loop) decide(t *turn, snap plan.Snapshot, reqs *plan.Requests) (d plan.Decisions) {
	t.panicked, reqs.NoStart = nil, t.noStart
	t.decided, t.at, t.before, t.pool = true, l.s.now(), snap.Counters, snap.Pool
	t.tenants = snap.Tenants
	l.recall(snap.Now)
	l.view.measured(t.at, snap.Now)
	l.view.passed(snap.Counters)
	reqs.Drain = l.view.drain(snap.Now)
	defer func() {
		if p := recover(); p != nil {
			t.panicked = fmt.Errorf("%w: %v", errPanic, p)
			l.log.Error("deciding a turn panicked", "panic", p, "stack", string(debug.Stack()))
			d = plan.Decisions{Now: snap.Now, Counters: snap.Counters, Idle: true}
		}
	}()
	if snap.Pool.Runtime == domain.RuntimeNative && (l.s.opts.Starter == nil || !l.s.opts.Runs(l.pool, snap.Pool.Executors)) {
		reqs.NoStart = true
	}
	d = l.s.decide(snap, reqs)
	if d.Pool != nil {
		t.pool = *d.Pool
	}
	return d
}

// turn takes one turn and handles what becomes of it.
func (l *loop) turn(ctx context.Context) pause {
	t := l.newTurn()
	err := l.take(ctx, t)
	if t.strange != nil {
		panic(t.strange)
	}
	if err != nil {
		l.meanwhile()
	}
	took := l.s.since(t.began) - t.aside

	outcome, p := l.handle(t, err)
	report := TurnReport{
		Pool:     l.pool,
		Outcome:  outcome,
		Requests: t.batch.reqs.Len(),
		Bytes:    t.batch.bytes,
		Waited:   t.began.Sub(t.batch.oldest(t.began)),
		Duration: took,
	}
	if outcome == OutcomeCommitted {
		report.Decisions = &t.decisions
	}
	l.s.opts.Metrics.Turn(report)
	return p
}

// take runs the store's transaction. The process's own end does not cut it off: a
// turn ends in order or at its timeout.
func (l *loop) take(ctx context.Context, t *turn) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
			l.log.Error("a turn panicked outside the plan", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.s.opts.TurnTimeout)
	defer cancel()

	t.decisions, err = l.backend.store.Turn(ctx, store.TurnSpec{
		Pool:      l.pool,
		Gather:    func() *plan.Requests { return l.gather(t) },
		Decide:    func(snap plan.Snapshot, reqs *plan.Requests) plan.Decisions { return l.decide(t, snap, reqs) },
		Meanwhile: func() { l.beside(t) },
	})
	if t.panicked != nil {
		return t.panicked
	}
	return err
}

// handle does what the outcome of a turn asks for.
func (l *loop) handle(t *turn, err error) (outcome string, p pause) {
	switch {
	case err == nil:
		l.succeeded()
		outcome = OutcomeCommitted
		if t.decisions.Idle {
			outcome = OutcomeIdle
		}
		return outcome, l.settled(t)
	case errors.Is(err, store.ErrCommitUnknown):
		l.unresolved = t
		l.view.setStuck(true)
		l.log.Warn("connection lost while committing a turn; finding out whether it went through",
			"turn", t.decisions.Counters.TurnNo, "turn_id", t.batch.reqs.TurnID, "error", err)
		return OutcomeUnknown, pause{}
	case errors.Is(err, store.ErrGuard):
		return OutcomeGuard, l.guarded(t, err)
	case errors.Is(err, errPanic):
		return OutcomePanic, l.bisect(t, err)
	case errors.Is(err, store.ErrData):
		return OutcomeData, l.bisect(t, err)
	case errors.Is(err, store.ErrNotFound):
		return OutcomeNoPool, l.noPool(t.batch)
	}
	return OutcomeUnavailable, l.failed(t, err)
}

// noPool answers everybody that the pool is not there, and rests until asked again.
func (l *loop) noPool(b *batch) pause {
	for _, r := range b.requests() {
		r.fail(errUnknownPool(l.pool))
	}
	b.dismiss(errUnknownPool(l.pool))
	l.succeeded()
	l.due = time.Time{}
	if l.inbox.waiting() {
		return pause{}
	}
	return pause{d: -1}
}

// settled does what follows a turn that went through or had nothing to write, and
// says when the next one is due.
func (l *loop) settled(t *turn) pause {
	if l.blamed != nil {
		return l.convict(t)
	}
	l.committed(t)
	switch {
	case l.inbox.waiting() || len(l.alone) > 0:
		return pause{}
	case t.decisions.Again && t.decisions.Idle:
		// Nothing could be done although there is something: not in a tight loop.
		l.inbox.wantLook()
		return pause{d: guardMost}
	case t.decisions.Again:
		l.inbox.wantLook()
		return pause{}
	}
	return l.untilDue()
}
