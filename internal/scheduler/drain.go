package scheduler

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// Bounds of what a process that has just started looks back on.
const (
	drainTurns   = 1000
	drainBack    = 10 * time.Minute
	drainTimeout = 2 * time.Second
)

// readPast reads the turns before this process's first, so that it knows how fast the
// queue drains as soon as it takes turns.
func (l *loop) readPast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()

	recent, err := l.backend.store.RecentCounters(ctx, l.pool, drainTurns)
	if err != nil {
		l.log.Debug("the drain of the queue is not known from earlier turns", "error", err)
		return
	}
	l.past = recent
}

// recall takes in what was read of earlier turns, as far as it is recent at now: a time of
// the backend, as those of the turns are.
func (l *loop) recall(now time.Time) {
	for i := range l.past {
		if now.Sub(l.past[i].At) < drainBack {
			l.view.passed(l.past[i])
		}
	}
	l.past = nil
}

// Now returns the time by the clock of the pool's backend, as last measured by a turn of this process;
// before its first turn, by the clock of the process.
func (s *Scheduler) Now(pool domain.PoolID) time.Time {
	if l := s.loop(pool); l != nil {
		return l.view.now(s.now())
	}
	return s.now().UTC()
}

// DrainRate returns how fast the queue of a pool has been emptying, as far as this
// process knows: from its own turns, and about once a second from those of others.
func (s *Scheduler) DrainRate(pool domain.PoolID) plan.Drain {
	l := s.loop(pool)
	if l == nil {
		return plan.Drain{}
	}
	return l.view.drain(s.Now(pool))
}

// EstimatedStart estimates when a queued task that is at a position of the order
// starts, by the clock of the pool's backend; nil: not known.
func (s *Scheduler) EstimatedStart(task *domain.Task, position int64) *time.Time {
	l := s.loop(task.PoolID)
	if l == nil {
		return nil
	}
	pool, units := l.view.tenant(task.Tenant)
	now := s.Now(task.PoolID)
	return plan.EstimatedStart(now, &pool, task, units, l.view.drain(now), position)
}
