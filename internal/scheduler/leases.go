package scheduler

import (
	"context"
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// Bounds of the look for expired leases.
const (
	leaseEvery = 250 * time.Millisecond
	leasePage  = 500
)

// expireLeases has the attempts of remote workers that have fallen silent settled as
// lost, and those that ran for as long as they may as expired, until ctx ends. Any process
// may do it; a turn decides each again, with the lease locked against heartbeats.
func (b *backend) expireLeases(ctx context.Context) {
	select {
	case <-b.ready:
	case <-ctx.Done():
		return
	}
	failing := false
	every(ctx, leaseEvery, func(ctx context.Context) {
		err := b.expireAll(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			b.log.Warn("looking for expired leases failed; trying again", "error", err)
		}
		failing = err != nil
	})
}

func (b *backend) expireAll(ctx context.Context) error {
	var after domain.Lease
	for {
		page, err := b.store.ExpiredLeases(ctx, after, time.Time{}, leasePage)
		if err != nil {
			return err //nolint:wrapcheck // says what was asked
		}
		b.expire(ctx, page)
		if len(page) < leasePage {
			return nil
		}
		after = page[len(page)-1]
	}
}

// expire has the leases of a page settled, pool by pool.
func (b *backend) expire(ctx context.Context, page []domain.Lease) {
	byPool := map[domain.PoolID][]any{}
	for i := range page {
		lease := &page[i]
		if !b.mayExpire(lease) {
			continue
		}
		byPool[lease.Ref.PoolID] = append(byPool[lease.Ref.PoolID], plan.Lost{
			Ref: lease.Ref, Holder: domain.LeaseHolder(lease.Worker),
			Reason: domain.Reason{
				Code:    domain.ReasonWorkerLost,
				Message: fmt.Sprintf("no heartbeat came from worker %q within %s", lease.Worker, lease.TTL),
			},
		})
	}
	for pool, losts := range byPool {
		if l := b.s.loop(pool); l != nil && l.backend == b {
			l.loseAll(ctx, losts)
		}
	}
}

// mayExpire reports whether the worker of an expired lease has had the time to extend it
// since the backend last did not answer, or since this process began: its heartbeats may
// have failed for that. A timeout needs no such patience.
func (b *backend) mayExpire(lease *domain.Lease) bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	return !lease.ExpiresAt.Before(lease.TimeoutAt) || b.s.since(b.troubleAt) >= lease.TTL
}
