package app

import (
	"cmp"
	"context"
	"slices"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Pools implements api.Service.
func (s *service) Pools(ctx context.Context) ([]store.PoolView, error) {
	lists, err := everywhere(ctx, s.stores, func(ctx context.Context, st store.Store) ([]store.PoolView, error) {
		return st.ListPools(ctx)
	})
	if err != nil {
		return nil, err
	}
	facilities, err := s.parking.pools(ctx)
	if err != nil {
		return nil, err
	}
	return byID(append(slices.Concat(lists...), facilities...)), nil
}

// PoolViews implements telemetry.PoolReader.
func (s *service) PoolViews(ctx context.Context) []store.PoolView {
	var views []store.PoolView
	for _, backend := range sortedBackends(s.stores) {
		if list, err := s.stores[backend].ListPools(ctx); err == nil {
			views = append(views, list...)
		}
	}
	if facilities, err := s.parking.pools(ctx); err == nil {
		views = append(views, facilities...)
	}
	return slices.CompactFunc(byID(views), func(a, b store.PoolView) bool { return a.PoolID == b.PoolID })
}

// OutboxBacklog implements telemetry.PoolReader.
func (s *service) OutboxBacklog() []scheduler.Backlog { return s.scheduler.OutboxBacklog() }

func byID(views []store.PoolView) []store.PoolView {
	slices.SortStableFunc(views, func(a, b store.PoolView) int { return cmp.Compare(a.PoolID, b.PoolID) })
	return views
}

// Pool implements api.Service.
func (s *service) Pool(ctx context.Context, id domain.PoolID) (store.PoolView, error) {
	home, err := s.home(ctx, id)
	if domain.CodeOf(err) == domain.CodeUnknownPool {
		return s.parking.pool(ctx, id)
	}
	if err != nil {
		return store.PoolView{}, err
	}
	view, err := home.Pool(ctx, id)
	return view, edge(err, unknownPool(id))
}

// Origin implements api.Service. Messages may be in another backend than the trail.
func (s *service) Origin(ctx context.Context, id domain.PoolID) (store.Origin, error) {
	if _, err := s.home(ctx, id); err != nil {
		return s.parking.origin(ctx, s.stores, id, err)
	}
	lists, err := everywhere(ctx, s.stores, func(ctx context.Context, st store.Store) ([]store.Origin, error) {
		origin, err := st.Origin(ctx, id)
		return []store.Origin{origin}, err //nolint:wrapcheck // the store's words
	})
	if err != nil {
		return store.Origin{}, err
	}
	var origin store.Origin
	for _, list := range lists {
		for i := range list {
			origin.Join(&list[i])
		}
	}
	return origin, nil
}

// ChangePool implements api.Service.
func (s *service) ChangePool(ctx context.Context, id domain.PoolID, change plan.PoolChange) (store.PoolView, error) {
	answer, err := s.scheduler.Change(ctx, id, change)
	switch {
	case err != nil:
		return store.PoolView{}, s.parking.readOnly(ctx, id, edge(err, nil))
	case answer.Err != nil:
		return store.PoolView{}, answer.Err
	}
	return s.Pool(ctx, id)
}
