package scheduler

import (
	"context"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Bounds of the reaper.
const (
	orphanPage = 500
	// orphanRounds is how often the reaper looks for tasks of unknown holders although
	// nobody died.
	orphanRounds = 5
	lostTimeout  = 30 * time.Second
)

// reap finds dead processes and has the tasks they held settled as lost, until
// ctx ends. Any process may do it; a turn decides each loss again under the pool's lock.
func (b *backend) reap(ctx context.Context) {
	if b.waker == nil {
		b.reapLonely(ctx)
		return
	}
	rounds := 0
	r := &reaping{b: b}
	every(ctx, max(b.s.opts.HeartbeatEvery, b.s.opts.WorkerTTL/2), func(ctx context.Context) {
		if !b.mayReap() {
			return
		}
		rounds++
		r.round(ctx, rounds%orphanRounds == 0)
	})
}

// reaping is what the reaper of a shared backend remembers between rounds.
type reaping struct {
	b *backend
	// unknown are orphans whose holder is not in the register, as seen in the last
	// round: a process that has just begun to fetch may appear there a moment later.
	unknown map[orphan]bool
}

type orphan struct {
	ref    domain.Ref
	holder domain.WorkerID
}

// reapLonely settles what earlier processes left running on a backend that only
// one process can have open: at once, and now and then for pools added later.
func (b *backend) reapLonely(ctx context.Context) {
	select {
	case <-b.ready:
	case <-ctx.Done():
		return
	}
	for ctx.Err() == nil {
		wait := lonelyBeat
		for _, l := range b.loops() {
			all := func(domain.Task) bool { return true }
			if _, ok := b.loseOrphans(ctx, l, all); !ok {
				wait = retryMost
			}
		}
		sleep(ctx, wait)
	}
}

// mayReap reports whether every living process has had the time to show that it
// lives since the backend last failed to answer, or since this process began.
func (b *backend) mayReap() bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	ttl := b.s.opts.WorkerTTL + b.s.opts.Margin
	return b.registered && b.s.since(b.troubleAt) >= ttl
}

func (r *reaping) round(ctx context.Context, thorough bool) {
	b := r.b
	dead, err := b.reapOnce(ctx)
	if err != nil {
		if ctx.Err() == nil {
			b.trouble(err)
		}
		return
	}
	if len(dead) == 0 && len(r.unknown) == 0 && !thorough {
		return
	}
	certain := make(map[domain.WorkerID]bool, len(dead))
	for _, w := range dead {
		certain[w.ID] = true
	}
	before := r.unknown
	r.unknown = make(map[orphan]bool)
	lost := func(t domain.Task) bool {
		o := orphan{ref: t.Ref(), holder: t.Holder}
		if certain[t.Holder] || before[o] {
			return true
		}
		r.unknown[o] = true
		return false
	}
	clean := true
	for _, l := range b.loops() {
		if n, _ := l.view.running(); n == 0 && len(dead) == 0 && len(before) == 0 {
			continue
		}
		left, ok := b.loseOrphans(ctx, l, lost)
		clean = clean && ok && left == 0
	}
	if !clean {
		return
	}
	for _, w := range dead {
		if err := b.store.Forget(ctx, w.ID); err != nil {
			b.log.Warn("a dead process stays in the register", "worker", string(w.ID), "error", err)
		}
	}
}

func (b *backend) reapOnce(ctx context.Context) ([]store.Worker, error) {
	ctx, cancel := context.WithTimeout(ctx, b.s.opts.HeartbeatEvery)
	defer cancel()

	return b.store.Reap(ctx, b.s.opts.WorkerTTL+b.s.opts.Margin, time.Time{})
}

// loseOrphans has the pool's tasks of dead or unknown holders settled as lost,
// page by page, those that lost agrees to. It returns how many it found, and whether it got through.
func (b *backend) loseOrphans(ctx context.Context, l *loop, lost func(domain.Task) bool) (found int, ok bool) {
	var after domain.JobID
	for {
		page, err := b.store.Orphans(ctx, l.pool, after, orphanPage)
		if err != nil {
			if ctx.Err() == nil {
				b.log.Warn("looking for orphans failed", "pool", string(l.pool), "error", err)
			}
			return found, false
		}
		if len(page) == 0 {
			return found, true
		}
		after = page[len(page)-1].JobID
		found += len(page)
		last := len(page) < orphanPage
		page = slices.DeleteFunc(page, func(t domain.Task) bool { return !lost(t) })
		if len(page) > 0 {
			b.log.Warn("tasks are lost: their holder is dead", "pool", string(l.pool), "tasks", len(page))
			l.lose(ctx, page, "the process that ran this attempt died")
		}
		if last {
			return found, true
		}
	}
}

// lose has tasks settled as lost and waits for that.
func (l *loop) lose(ctx context.Context, tasks []domain.Task, why string) {
	bodies := make([]any, len(tasks))
	for i := range tasks {
		bodies[i] = plan.Lost{
			Ref:    tasks[i].Ref(),
			Holder: tasks[i].Holder,
			Reason: domain.Reason{Code: domain.ReasonWorkerLost, Message: why},
		}
	}
	l.loseAll(ctx, bodies)
}

// loseAll has losses decided and waits for that.
func (l *loop) loseAll(ctx context.Context, losts []any) {
	ctx, cancel := context.WithTimeout(ctx, lostTimeout)
	defer cancel()

	if _, err := l.s.ask(ctx, l.pool, losts...); err != nil {
		l.log.Warn("lost tasks are not settled yet", "tasks", len(losts), "error", err)
	}
}
