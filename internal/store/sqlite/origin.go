package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// Origin implements store.Pools.
func (s *Store) Origin(ctx context.Context, id domain.PoolID) (origin store.Origin, err error) {
	err = s.read(ctx, "origin of pool "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		origin = store.Origin{}
		horizons, err := q.Horizons(ctx, string(id))
		if err != nil {
			return err
		}
		for _, h := range horizons {
			origin.Set(h.What, timeOf(h.CutAt), h.Deleted)
		}
		pool, err := q.GetPool(ctx, string(id))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		origin.Home = err == nil
		if err != nil || origin.Audit.IsZero() || pool.CreatedAt >= micros(origin.Audit) {
			return err
		}
		turns, err := q.TurnBefore(ctx, dbsqlc.TurnBeforeParams{PoolID: string(id), Before: micros(origin.Audit)})
		if err != nil {
			return err
		}
		if len(turns) == 0 { // an older program did not keep it
			if turns, err = q.FirstTurn(ctx, string(id)); err != nil {
				return err
			}
		}
		for i := range turns {
			origin.Checkpoint = new(countersOf(turns[i]))
		}
		return nil
	})
	return origin, err
}
