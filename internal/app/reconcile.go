package app

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// reconcileTimeout bounds one comparison: it counts rows.
const reconcileTimeout = 30 * time.Second

// reconcile compares the counters of every pool with the rows they count, from
// time to time, until ctx ends. A difference is a defect of the program (or of a
// hand in psql): it is logged and measured, never repaired silently.
func (p *process) reconcile(ctx context.Context) {
	ticker := time.NewTicker(p.cfg.Limits.Reconcile())
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for pool, backend := range p.homes {
			p.reconcilePool(ctx, pool, backend)
		}
	}
}

func (p *process) reconcilePool(ctx context.Context, pool domain.PoolID, backend domain.Backend) {
	limited, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	found, err := p.backends.stores[backend].Reconcile(limited, pool)
	if err != nil {
		if ctx.Err() == nil {
			p.log.WarnContext(ctx, "counters could not be compared with rows", "pool", string(pool), "error", err)
		}
		return
	}
	p.metrics.Reconciled(pool, found)
	for _, d := range found {
		p.log.ErrorContext(ctx, "a counter differs from the rows it counts", "pool", string(pool), "what", d.What, "counter", d.Counter, "rows", d.Rows)
	}
}
