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
	return store.Swept{Deleted: int64(had - len(p.jobs))}, nil
}

// SweepMessages implements store.Sweeps.
func (m *Model) SweepMessages(_ context.Context, unread, acked time.Duration) (deleted int64, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock(time.Time{})
	for source, messages := range m.messages {
		m.messages[source] = slices.DeleteFunc(slices.Clone(messages), func(msg domain.Message) bool {
			return msg.CreatedAt.Before(now.Add(-unread)) || msg.AckedAt != nil && msg.AckedAt.Before(now.Add(-acked))
		})
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
	return deleted, nil
}

// OldestAudit implements store.Sweeps.
func (m *Model) OldestAudit(context.Context) (time.Time, error) { return time.Time{}, nil }
