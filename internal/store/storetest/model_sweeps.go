package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// SweepTasks implements store.Sweeps; it looks at all tasks at once.
func (m *Model) SweepTasks(_ context.Context, pool domain.PoolID, keep time.Duration, after domain.JobID) (store.Swept, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.pools[pool]
	if !ok {
		return store.Swept{}, nil
	}
	before, had := m.clock(time.Time{}).Add(-keep), len(p.jobs)
	p.jobs = slices.DeleteFunc(slices.Clone(p.jobs), func(t domain.Task) bool {
		return t.JobID > after && t.FinishedAt != nil && t.FinishedAt.Before(before)
	})
	if had > len(p.jobs) {
		m.raise(pool, store.HorizonTasks, before, 0)
	}
	return store.Swept{Deleted: int64(had - len(p.jobs))}, nil
}

// SweepMessages implements store.Sweeps.
func (m *Model) SweepMessages(_ context.Context, unread, acked time.Duration) (deleted int64, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock(time.Time{})
	for source, messages := range m.messages {
		var read, old int64
		m.messages[source] = slices.DeleteFunc(slices.Clone(messages), func(msg domain.Message) bool {
			switch {
			case msg.AckedAt != nil && msg.AckedAt.Before(now.Add(-acked)):
				read++
			case msg.CreatedAt.Before(now.Add(-unread)):
				old++
			default:
				return false
			}
			return true
		})
		if read > 0 {
			m.raise(domain.PoolID(source), store.HorizonAcknowledged, now.Add(-acked), read)
		}
		if old > 0 {
			m.raise(domain.PoolID(source), store.HorizonUnread, now.Add(-unread), 0)
		}
		deleted += int64(len(messages) - len(m.messages[source]))
	}
	return deleted, nil
}

// SweepAudit implements store.Sweeps.
func (m *Model) SweepAudit(_ context.Context, keep time.Duration) (deleted int64, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.clock(time.Time{}).Add(-keep).Truncate(24 * time.Hour)
	for source, events := range m.events {
		m.events[source] = slices.DeleteFunc(slices.Clone(events), func(e domain.Event) bool { return e.At.Before(before) })
		deleted += int64(len(events) - len(m.events[source]))
	}
	if deleted > 0 {
		m.audit = before
	}
	return deleted, nil
}

// raise notes what was deleted. The clock of a model never goes back.
func (m *Model) raise(pool domain.PoolID, what string, before time.Time, deleted int64) {
	o := m.origins[pool]
	o.Set(what, before, o.AcknowledgedDeleted+deleted)
	m.origins[pool] = o
}

// Origin implements store.Pools.
func (m *Model) Origin(_ context.Context, id domain.PoolID) (store.Origin, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	origin := m.origins[id]
	p, ok := m.pools[id]
	origin.Audit, origin.Home = m.audit, ok
	if !ok || m.audit.IsZero() || !p.created.Before(m.audit) {
		return origin, nil
	}
	checkpoint := p.turns[0]
	for i := range p.turns {
		if p.turns[i].At.Before(m.audit) {
			checkpoint = p.turns[i]
		}
	}
	origin.Checkpoint = &checkpoint
	return origin, nil
}

// OldestAudit implements store.Sweeps.
func (m *Model) OldestAudit(context.Context) (time.Time, error) { return time.Time{}, nil }
