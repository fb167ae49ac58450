package scheduler

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// sweepPause is the least time between two batches of a sweep; turns come first.
const sweepPause = 20 * time.Millisecond

// retain makes one round of deleting what has been kept long enough.
func (b *backend) retain(ctx context.Context) {
	keep := b.s.opts.Retention
	if keep.Tasks > 0 {
		for _, l := range b.loops() {
			var place domain.JobID
			b.inBatches(ctx, SweptTasks, func(ctx context.Context) (int64, bool, error) {
				swept, err := b.store.SweepTasks(ctx, l.pool, keep.Tasks, place)
				place = swept.Next
				return swept.Deleted, swept.Next != 0, err
			})
		}
	}
	if keep.Unread > 0 && keep.Acknowledged > 0 {
		b.inBatches(ctx, SweptMessages, func(ctx context.Context) (int64, bool, error) {
			n, err := b.store.SweepMessages(ctx, keep.Unread, keep.Acknowledged)
			return n, n > 0, err
		})
	}
	if keep.Audit > 0 {
		b.inBatches(ctx, SweptAudit, func(ctx context.Context) (int64, bool, error) {
			n, err := b.store.SweepAudit(ctx, keep.Audit)
			return n, n > 0, err
		})
	}
	if day, err := b.store.OldestAudit(ctx); err == nil && !day.IsZero() {
		b.s.opts.Metrics.OldestAudit(b.name, day)
	}
}

// inBatches calls batch until it says that there is no more, with pauses at least as
// long as the batches: what is over can wait.
func (b *backend) inBatches(ctx context.Context, what string, batch func(context.Context) (deleted int64, more bool, err error)) {
	for ctx.Err() == nil {
		began := time.Now()
		deleted, more, err := batch(ctx)
		if err != nil {
			if ctx.Err() == nil {
				b.log.Warn("retention did not get through; it goes on in a minute", "of", what, "error", err)
			}
			return
		}
		b.s.opts.Metrics.Swept(b.name, what, deleted)
		if !more {
			return
		}
		sleep(ctx, max(sweepPause, time.Since(began)))
	}
}
