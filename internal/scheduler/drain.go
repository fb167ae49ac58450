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

// seedDrain looks at the turns before this process's first, so that it knows how fast
// the queue drains as soon as it takes turns.
func (l *loop) seedDrain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()

	recent, err := l.backend.store.RecentCounters(ctx, l.pool, drainTurns)
	if err != nil {
		l.log.Debug("the drain of the queue is not known from earlier turns", "error", err)
		return
	}
	for i := range recent {
		if time.Since(recent[i].At) < drainBack {
			l.view.passed(recent[i])
		}
	}
}

// DrainRate returns how fast the queue of a pool has been emptying, as far as this
// process knows: from its own turns, and about once a second from those of others.
func (s *Scheduler) DrainRate(pool domain.PoolID) plan.Drain {
	l := s.loop(pool)
	if l == nil {
		return plan.Drain{}
	}
	return l.view.drain(time.Now())
}

// EstimatedStart estimates when a queued task that is at a position of the order
// starts; nil: not known.
func (s *Scheduler) EstimatedStart(task *domain.Task, position int64) *time.Time {
	l := s.loop(task.PoolID)
	if l == nil {
		return nil
	}
	pool, units := l.view.tenant(task.Tenant)
	now := time.Now().UTC()
	return plan.EstimatedStart(now, &pool, task, units, l.view.drain(now), position)
}
