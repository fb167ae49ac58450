package bench

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// submitAll calls submit for every number from first to first+count-1, each of the
// submitters one after the other.
func submitAll(ctx context.Context, submitters, first, count int, submit func(ctx context.Context, n int) error) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range submitters {
		group.Go(func() error {
			for {
				n := int(next.Add(1)) - 1
				if n >= count {
					return nil
				}
				if err := submit(ctx, first+n); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}
