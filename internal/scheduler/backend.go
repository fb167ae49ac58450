package scheduler

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// backend is what this process keeps for one backend: its incarnation there, and
// what it needs to live beside other processes.
type backend struct {
	s     *Scheduler
	name  domain.Backend
	store store.Store
	// waker reaches the other processes; nil: this process has the backend for itself.
	waker  store.Waker
	log    *slog.Logger
	hinter *hinter
	outbox *outbox
	checks *checks

	ready chan struct{} // closed when the backend has registered this process for the first time
	born  chan struct{} // holds a signal when an incarnation begins

	mu         sync.Mutex
	worker     store.Worker
	registered bool      // the register knows worker
	leaving    bool      // worker is being given up; only giveUp ends that
	beatAt     time.Time // when the last heartbeat that arrived was sent
	troubleAt  time.Time // when the backend last did not answer a heartbeat; at first the start
	down       map[domain.PoolID]bool
}

func newBackend(s *Scheduler, name domain.Backend, st store.Store) *backend {
	b := &backend{
		s:         s,
		name:      name,
		store:     st,
		log:       s.opts.Log.With("backend", string(name)),
		worker:    s.opts.Worker,
		troubleAt: s.now(),
		down:      make(map[domain.PoolID]bool),
		ready:     make(chan struct{}),
		born:      make(chan struct{}, 1),
	}
	b.waker, _ = st.(store.Waker)
	b.hinter = &hinter{b: b, wake: make(chan struct{}, 1), pending: make(map[domain.PoolID]store.Wake)}
	b.outbox = newOutbox(b)
	b.checks = newChecks(b)
	return b
}

// helpers returns what runs beside the loops until ctx ends.
func (b *backend) helpers() []func(context.Context) {
	all := []func(context.Context){b.beat, b.guard, b.reap, b.expireLeases, b.checks.run, b.sweep}
	if len(b.s.backends) > 1 {
		all = append(all, b.outbox.run)
	}
	if b.waker != nil {
		all = append(all, b.poll, b.hinter.run, b.listen)
	}
	return all
}

// holder returns the incarnation that holds what a turn starts now, and whether it may
// start anything: only while the register knows it and others cannot think it dead.
func (b *backend) holder() (domain.WorkerID, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.worker.ID, b.registered && (b.waker == nil || b.s.since(b.beatAt) < b.graceLeft())
}

// holds reports whether id is still this process's incarnation.
func (b *backend) holds(id domain.WorkerID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.worker.ID == id
}

// graceLeft is how long after a heartbeat this process may trust that others think
// it alive.
func (b *backend) graceLeft() time.Duration { return b.s.opts.WorkerTTL - b.s.opts.Margin }

// answers notes whether a pool's turns go through.
func (b *backend) answers(pool domain.PoolID, up bool) {
	b.mu.Lock()
	was := len(b.down) == 0
	if up {
		delete(b.down, pool)
	} else {
		b.down[pool] = true
	}
	is := len(b.down) == 0
	b.mu.Unlock()

	if was != is {
		b.s.opts.Metrics.BackendUp(b.name, is)
	}
}

// loops returns the loops of the backend's pools.
func (b *backend) loops() []*loop {
	var mine []*loop
	for _, l := range b.s.allLoops() {
		if l.backend == b {
			mine = append(mine, l)
		}
	}
	return mine
}

// leave removes this process from the register. What it still holds is then
// nobody's, and lost at once.
func (b *backend) leave(ctx context.Context) {
	b.mu.Lock()
	id, registered := b.worker.ID, b.registered
	b.mu.Unlock()

	if !registered {
		return
	}
	if err := b.store.Forget(ctx, id); err != nil {
		b.log.Warn("this process stays in the register until the reaper finds it", "worker", string(id), "error", err)
	}
}

// every calls f at intervals until ctx ends; a negative interval never does.
func every(ctx context.Context, interval time.Duration, f func(context.Context)) {
	if interval < 0 {
		return
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f(ctx)
		}
	}
}
