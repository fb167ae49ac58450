package scheduler

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// committed does everything that follows a durable turn: what the loop goes by at once,
// the rest in its aftermath. The order matters only in that nothing of it may come before
// the commit.
func (l *loop) committed(t *turn) {
	l.meanwhile() // of the turn before, if this one had no time for it
	l.inbox.lent(t.batch.lessees, t.decisions.Answers.Lessees)
	l.setTimer(t)
	l.view.saw(t.pool, l.now(t), t.capped(), !t.decisions.Idle)
	l.followUp(t)
}

// hand gives what the turn wrote to the feed. Messages on their way to another backend
// are handed over when they are there.
func (l *loop) hand(t *turn) {
	d := &t.decisions
	if len(d.Events) > 0 {
		l.s.opts.Feed.Recorded(l.backend.name, d.Events)
	}
	if len(d.Messages) > 0 && t.pool.MailboxBackend == l.backend.name {
		l.s.opts.Feed.Posted(l.backend.name, d.Messages)
	}
}

// now returns the pool's counters after the turn.
func (l *loop) now(t *turn) domain.Counters {
	if t.decisions.Idle {
		return t.before
	}
	return t.decisions.Counters
}

// capped returns what tenants with a units cap use after the turn.
func (t *turn) capped() map[domain.Tenant]domain.Units {
	var usage map[domain.Tenant]domain.Units
	note := func(u domain.TenantUsage) {
		if t.pool.Tenants[u.Tenant].MaxUnits == 0 {
			return
		}
		if usage == nil {
			usage = map[domain.Tenant]domain.Units{}
		}
		usage[u.Tenant] = u.ActiveUnits
	}
	for _, u := range t.tenants {
		note(u)
	}
	for _, u := range t.decisions.Tenants {
		note(u)
	}
	return usage
}

// start hands over tasks that the turn started in a native pool. What was started for
// an incarnation that has been given up meanwhile goes back.
func (l *loop) start(t *turn, started []domain.Task) {
	if len(started) == 0 || t.pool.Runtime != domain.RuntimeNative {
		return
	}
	if l.s.opts.Starter != nil && l.backend.holds(t.worker) {
		l.s.opts.Starter.Start(started)
		return
	}
	now := l.s.now()
	back := make([]*request, len(started))
	for i := range started {
		back[i] = newRequest(plan.Settle{
			Ref:     started[i].Ref(),
			Units:   started[i].Units,
			Verdict: plan.VerdictHandBack,
		}, nil, 0, now)
	}
	if err := l.inbox.put(back); err != nil {
		l.log.Warn("started tasks of an earlier incarnation are left to the reaper", "tasks", len(back))
	}
}

// setTimer notes when the pool's next deadline or backoff ends, by this process's clock.
func (l *loop) setTimer(t *turn) {
	l.due = time.Time{}
	next := t.decisions.Counters.NextDueAt
	if next == nil {
		return
	}
	now := l.s.now()
	l.due = t.at.Add(next.Sub(t.decisions.Now)) // t.at is the turn's Now by our clock
	if t.decisions.Idle && !l.due.After(now) {
		l.due = now.Add(guardMost) // it should have been served; not in a tight loop
	}
}

// hints says what other processes should know of the turn.
func (l *loop) hints(t *turn) store.Wake {
	d := &t.decisions
	w := store.Wake{Pool: l.pool, Ended: len(d.Ended) > 0 || len(d.Messages) > 0}
	if d.Idle {
		return w
	}
	w.Turn = earlier(d.Counters.NextDueAt, t.before.NextDueAt) ||
		d.Counters.Queued > 0 && (t.batch.reqs.NoStart || l.unwanted(t))
	for i := range d.Stopping {
		if d.Stopping[i].Holder != t.worker {
			w.Stop = true
			break
		}
	}
	return w
}

// unwanted reports whether tasks of a web pool could start and nobody here waits for
// them: somebody may elsewhere.
func (l *loop) unwanted(t *turn) bool {
	return t.pool.Runtime == domain.RuntimeWeb && t.decisions.Counters.ActiveUnits < t.pool.MaxUnits && !l.inbox.wanted()
}

// earlier reports whether a timer moved to an earlier time.
func earlier(now, before *time.Time) bool {
	return now != nil && (before == nil || now.Before(*before))
}

// resolve finds out what became of a turn whose commit is unknown, and goes on as
// after any other outcome. Until then no other turn is taken.
//
// The turn that looks waits for the pool's lock. Where the turn in doubt is not there, it
// takes the number after the newest one: what is still on its way to the server, and would be executed only
// now, is refused then, because it was decided on the turn before that number or on one that follows it. So TurnCommitted
// cannot miss a commit.
func (l *loop) resolve(ctx context.Context) pause {
	t := l.unresolved
	committed, err := l.lookUp(ctx, t)
	if err != nil {
		if l.downSince.IsZero() {
			l.downSince = t.began
			l.backend.answers(l.pool, false)
		}
		if l.s.since(l.downSince) >= l.s.opts.Patience {
			refusal := errUnavailable(err)
			l.refuseAsks(refusal)
			for _, r := range t.batch.requests() {
				if !r.gives() {
					r.fail(refusal)
				}
			}
			t.batch.dismiss(refusal)
		}
		return pause{d: l.retry.NextBackOff(), deaf: true}
	}
	l.unresolved = nil
	l.succeeded()
	defer l.view.setStuck(false)
	if committed {
		l.log.Info("the turn in doubt went through", "turn", t.decisions.Counters.TurnNo)
		return l.settled(t)
	}
	l.log.Info("the turn in doubt did not go through; deciding again", "turn", t.decisions.Counters.TurnNo)
	l.putBack(t.batch)
	l.inbox.wantLook()
	return pause{}
}

func (l *loop) lookUp(ctx context.Context, t *turn) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.s.opts.TurnTimeout)
	defer cancel()

	var now domain.Counters
	doubt := &t.decisions.Counters
	_, err := l.backend.store.Turn(ctx, store.TurnSpec{
		Pool:   l.pool,
		Gather: func() *plan.Requests { return &plan.Requests{NoStart: true} },
		Decide: func(snap plan.Snapshot, _ *plan.Requests) plan.Decisions {
			now = snap.Counters
			fence := snap.Counters
			if now.TurnNo < doubt.TurnNo {
				fence.TurnNo, fence.TurnID, fence.At = fence.TurnNo+1, uuid.NewString(), snap.Now
			}
			return plan.Decisions{Now: snap.Now, Counters: fence, Idle: fence.TurnNo == now.TurnNo}
		},
	})
	if err != nil {
		return false, err
	}
	if now.TurnNo > doubt.TurnNo {
		return l.backend.store.TurnCommitted(ctx, l.pool, doubt.TurnNo, t.batch.reqs.TurnID)
	}
	return now.TurnID == t.batch.reqs.TurnID, nil
}
