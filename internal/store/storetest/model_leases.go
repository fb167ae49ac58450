package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// lease writes what a turn says about leases.
func (p *modelPool) lease(d *plan.Decisions) error {
	for _, job := range d.LeasesAsked {
		if l, ok := p.leases[job]; ok {
			l.CancelAsked = new(d.Now)
			l.ExpiresAt = earliest(l.ExpiresAt, d.Now.Add(l.TTL))
			p.leases[job] = l
		}
	}
	for _, job := range d.Unleased {
		delete(p.leases, job)
	}
	for _, l := range d.Leased {
		if _, there := p.leases[l.Ref.JobID]; there || l.TTL <= 0 || l.ExpiresAt.After(l.TimeoutAt) || !storable(string(l.ID), l.Worker) {
			return fmt.Errorf("%w: lease %+v", store.ErrData, l)
		}
		p.leases[l.Ref.JobID] = l
	}
	return nil
}

// ExtendLeases implements store.Leases.
func (m *Model) ExtendLeases(_ context.Context, ids []domain.LeaseID, now time.Time) ([]domain.Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.clock(now)
	return m.leases(func(l *domain.Lease) bool {
		if !slices.Contains(ids, l.ID) {
			return false
		}
		l.ExpiresAt = earliest(at.Add(l.TTL), l.TimeoutAt)
		if l.CancelAsked != nil {
			l.ExpiresAt = earliest(l.ExpiresAt, l.CancelAsked.Add(l.TTL))
		}
		m.pools[l.Ref.PoolID].leases[l.Ref.JobID] = *l
		return true
	}), nil
}

// ExpiredLeases implements store.Leases.
func (m *Model) ExpiredLeases(_ context.Context, after domain.Lease, now time.Time, limit int) ([]domain.Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.clock(now)
	byExpiry := func(a, b domain.Lease) int {
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), cmp.Compare(a.Ref.PoolID, b.Ref.PoolID), cmp.Compare(a.Ref.JobID, b.Ref.JobID))
	}
	expired := m.leases(func(l *domain.Lease) bool { return !l.ExpiresAt.After(at) && byExpiry(*l, after) > 0 })
	slices.SortFunc(expired, byExpiry)
	return expired[:min(len(expired), limit)], nil
}

// ListLeases implements store.Leases.
func (m *Model) ListLeases(_ context.Context, f store.LeaseFilter) ([]domain.Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.leases(func(l *domain.Lease) bool {
		return l.Ref.PoolID == f.Pool && l.Ref.JobID > f.After && (f.Worker == "" || f.Worker == l.Worker)
	})
	return list[:min(len(list), f.Limit)], nil
}

// leases returns those that are chosen, by pool and job.
func (m *Model) leases(chosen func(*domain.Lease) bool) []domain.Lease {
	list := []domain.Lease{}
	for _, pool := range slices.Sorted(maps.Keys(m.pools)) {
		for _, job := range slices.Sorted(maps.Keys(m.pools[pool].leases)) {
			if l := m.pools[pool].leases[job]; chosen(&l) {
				list = append(list, l)
			}
		}
	}
	return list
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
