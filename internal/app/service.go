package app

import (
	"context"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/telemetry"
)

// service is the API's view of the program: decisions go through the scheduler,
// reads go to the backends. It holds nothing that changes and is safe for
// concurrent use.
type service struct {
	*readiness

	scheduler *scheduler.Scheduler
	stores    map[domain.Backend]store.Store
	homes     map[domain.PoolID]domain.Backend // of the queues of the configured pools
	parking   *parkingHalf
	feeds     *feeds
	limits    config.Limits
	log       *slog.Logger
	metrics   *telemetry.Metrics
}

var _ api.Service = (*service)(nil)

// home returns the backend of a pool's queue. A pool that the configuration does
// not name any more is still read where it is stored.
func (s *service) home(ctx context.Context, id domain.PoolID) (store.Store, error) {
	if backend, configured := s.homes[id]; configured {
		return s.stores[backend], nil
	}
	for _, backend := range sortedBackends(s.stores) {
		_, err := s.stores[backend].Pool(ctx, id)
		if err == nil {
			return s.stores[backend], nil
		}
		if err := edge(err, unknownPool(id)); domain.CodeOf(err) != domain.CodeUnknownPool {
			return nil, err
		}
	}
	return nil, unknownPool(id)
}

// everywhere asks all backends at once and returns their lists. One that does not
// answer fails the whole: an outcome that is there must not look as if it were not.
func everywhere[T any](ctx context.Context, stores map[domain.Backend]store.Store, ask func(context.Context, store.Store) ([]T, error)) ([][]T, error) {
	group, ctx := errgroup.WithContext(ctx)
	backends := sortedBackends(stores)
	lists := make([][]T, len(backends))
	for i, backend := range backends {
		group.Go(func() error {
			var err error
			lists[i], err = ask(ctx, stores[backend])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, edge(err, nil)
	}
	return lists, nil
}
