package postgres

import (
	"context"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// Origin implements store.Pools.
func (s *Store) Origin(ctx context.Context, id domain.PoolID) (store.Origin, error) {
	var origin store.Origin
	err := s.write(ctx, "origin of pool "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		origin = store.Origin{}
		horizons, err := q.Horizons(ctx, string(id))
		if err != nil {
			return err
		}
		for _, h := range horizons {
			origin.Set(h.What, h.CutAt.Time.UTC(), h.Deleted)
		}
		pools, err := q.ListPools(ctx, string(id))
		if err != nil {
			return err
		}
		origin.Home = len(pools) > 0
		if !origin.Home || origin.Audit.IsZero() || !pools[0].PlPool.CreatedAt.Time.Before(origin.Audit) {
			return nil
		}
		turns, err := q.TurnBefore(ctx, dbsqlc.TurnBeforeParams{PoolID: string(id), Before: instant(origin.Audit)})
		if err != nil {
			return err
		}
		if len(turns) == 0 { // an older program did not keep it
			if turns, err = q.FirstTurn(ctx, string(id)); err != nil {
				return err
			}
		}
		for i := range turns {
			origin.Checkpoint = new(countersOf(&turns[i]))
		}
		return nil
	})
	return origin, err
}
