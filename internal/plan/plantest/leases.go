package plantest

import (
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// Extend is a heartbeat for the lease on a job.
func (m *Model) Extend(job domain.JobID, now time.Time) {
	lease := m.Leases[job]
	lease.ExpiresAt = now.Add(lease.TTL)
	if lease.TimeoutAt.Before(lease.ExpiresAt) {
		lease.ExpiresAt = lease.TimeoutAt
	}
	m.Leases[job] = lease
}

// lease writes what a turn has decided about leases.
func (m *Model) lease(d *plan.Decisions) error {
	for _, job := range d.LeasesAsked {
		lease, ok := m.Leases[job]
		if !ok {
			return fmt.Errorf("job %d has no lease that could be asked to end", job)
		}
		lease.CancelAsked = &d.Now
		m.Leases[job] = lease
	}
	for _, job := range d.Unleased {
		if _, ok := m.Leases[job]; !ok {
			return fmt.Errorf("job %d has no lease that could end", job)
		}
		delete(m.Leases, job)
	}
	for _, lease := range d.Leased {
		if _, ok := m.Leases[lease.Ref.JobID]; ok {
			return fmt.Errorf("job %d has two leases", lease.Ref.JobID)
		}
		if lease.ExpiresAt.After(lease.TimeoutAt) || !lease.GrantedAt.Equal(d.Now) {
			return fmt.Errorf("the lease cannot be like this: %+v", lease)
		}
		if ref, ok := lease.ID.Ref(); !ok || ref != lease.Ref {
			return fmt.Errorf("the id %q names %+v, the lease is on %+v", lease.ID, ref, lease.Ref)
		}
		m.Leases[lease.Ref.JobID] = lease
	}
	return nil
}

// held checks that a task that a remote worker holds has a lease on this attempt, and
// no other task has one.
func (m *Model) held(t *domain.Task) error {
	lease, ok := m.Leases[t.JobID]
	if ok != t.Holder.Leased() || ok && lease.Ref != t.Ref() {
		return fmt.Errorf("job %d is %s, attempt %d, held by %q, with lease %q", t.JobID, t.Status, t.Attempt, t.Holder, lease.ID)
	}
	return nil
}
