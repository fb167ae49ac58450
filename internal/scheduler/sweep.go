package scheduler

import (
	"context"
	"time"
)

// Bounds of the sweeps.
const (
	sweepEvery     = time.Minute
	auditEvery     = 12 * time.Hour
	auditTimeout   = 30 * time.Second
	turnsPruned    = 10_000 // at most, a call
	turnsAtLeast   = 1_000  // of this process before it prunes a pool
	pruneCallsMost = 50
)

// sweep prunes turn rows, makes room for audit events, and deletes what has been kept
// long enough, until ctx ends. Every process does it that takes turns; the backend
// lets one at a time.
func (b *backend) sweep(ctx context.Context) {
	audited := b.s.now() // beat makes room before the first turn
	every(ctx, sweepEvery, func(ctx context.Context) {
		for _, l := range b.loops() {
			if l.view.takeTurns(turnsAtLeast) > 0 {
				b.prune(ctx, l)
			}
		}
		if b.s.since(audited) >= auditEvery && b.roomForAudit(ctx) {
			audited = b.s.now()
		}
		b.retain(ctx)
	})
}

func (b *backend) prune(ctx context.Context, l *loop) {
	for range pruneCallsMost {
		n, err := b.store.PruneTurns(ctx, l.pool, int64(b.s.opts.TurnsKept))
		if err != nil {
			if ctx.Err() == nil {
				l.log.Warn("turn rows were not pruned", "error", err)
			}
			return
		}
		if n < turnsPruned {
			return
		}
	}
}

// roomForAudit makes room for the events of the days to come.
func (b *backend) roomForAudit(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()

	if err := b.store.EnsureAudit(ctx, time.Time{}); err != nil {
		b.log.Warn("no room was made for audit events of the days to come", "error", err)
		return false
	}
	return true
}
