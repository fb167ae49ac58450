package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Heartbeat implements store.Workers.
func (m *Model) Heartbeat(_ context.Context, w store.Worker, now time.Time) error {
	if !storable(string(w.ID), w.Role, w.Host) {
		return fmt.Errorf("%w: worker %q", store.ErrData, w.ID)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.workers[w.ID]; ok {
		if known.DeadAt != nil {
			return fmt.Errorf("%w: worker %s is dead", store.ErrGuard, w.ID)
		}
		w = known
	}
	w.StartedAt, w.HeartbeatAt = m.clock(w.StartedAt), m.clock(now)
	m.workers[w.ID] = w
	return nil
}

// ListWorkers implements store.Workers.
func (m *Model) ListWorkers(context.Context) ([]store.Worker, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.workers), func(a, b store.Worker) int {
		if (a.DeadAt == nil) != (b.DeadAt == nil) {
			if a.DeadAt == nil {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.ID, b.ID)
	}), nil
}

// Reap implements store.Workers.
func (m *Model) Reap(_ context.Context, ttl time.Duration, now time.Time) ([]store.Worker, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.clock(now)
	var dead []store.Worker
	for _, id := range slices.Sorted(maps.Keys(m.workers)) {
		w := m.workers[id]
		if w.DeadAt == nil && w.HeartbeatAt.Before(at.Add(-ttl)) {
			w.DeadAt = &at
			m.workers[id] = w
		}
		if w.DeadAt != nil {
			dead = append(dead, w)
		}
	}
	return dead, nil
}

// Orphans implements store.Workers.
func (m *Model) Orphans(_ context.Context, pool domain.PoolID, after domain.JobID, limit int) ([]domain.Task, error) {
	return m.running(pool, after, limit, func(t *domain.Task) bool {
		if t.Holder.Leased() {
			_, ok := m.pools[pool].leases[t.JobID]
			return !ok
		}
		w, ok := m.workers[t.Holder]
		return !ok || w.DeadAt != nil
	})
}

// Forget implements store.Workers.
func (m *Model) Forget(_ context.Context, id domain.WorkerID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	holds := func(t domain.Task) bool { return t.Status == domain.StatusRunning && t.Holder == id }
	for _, p := range m.pools {
		if slices.ContainsFunc(p.jobs, holds) {
			return nil
		}
	}
	delete(m.workers, id)
	return nil
}
