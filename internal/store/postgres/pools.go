package postgres

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// CreatePool implements store.Pools.
func (s *Store) CreatePool(ctx context.Context, pool domain.Pool, now time.Time) (domain.Pool, error) {
	what := "create pool " + string(pool.PoolID)
	at := s.nowOr(now)
	tenants, executors, err := policyOf(&pool)
	if err != nil {
		return domain.Pool{}, classify(what, err)
	}
	var stored domain.Pool
	err = s.write(ctx, what, func(ctx context.Context, q *dbsqlc.Queries) error {
		made, err := q.InsertPool(ctx, dbsqlc.InsertPoolParams{
			PoolID:           string(pool.PoolID),
			Name:             pool.Name,
			State:            string(pool.State),
			MaxUnits:         int64(pool.MaxUnits),
			MaxQueueDepth:    pool.MaxQueueDepth,
			DefaultTimeoutMs: pool.DefaultTimeout.Milliseconds(),
			QueueBackend:     string(pool.QueueBackend),
			MailboxBackend:   string(pool.MailboxBackend),
			RuntimeAdapter:   string(pool.Runtime),
			PriorityPolicy:   string(pool.Policy),
			ResourceKind:     string(pool.ResourceKind),
			MaxOvertakes:     int32(pool.MaxOvertakes),
			MaxAttempts:      int32(pool.MaxAttempts),
			RetryBaseMs:      pool.RetryBackoff.Base.Milliseconds(),
			RetryMaxMs:       pool.RetryBackoff.Max.Milliseconds(),
			Tenants:          tenants,
			Executors:        executors,
			Now:              at,
		})
		if err != nil {
			return err
		}
		if made > 0 {
			if err := q.InsertFirstTurn(ctx, dbsqlc.InsertFirstTurnParams{
				PoolID: string(pool.PoolID), At: at, Ceiling: int64(pool.MaxUnits),
			}); err != nil {
				return err
			}
			if err := q.InsertSources(ctx, dbsqlc.InsertSourcesParams{
				Sources: []string{string(pool.PoolID)}, Now: at,
			}); err != nil {
				return err
			}
		}
		row, err := q.GetPool(ctx, string(pool.PoolID))
		if err != nil {
			return err
		}
		stored, err = poolOf(&row)
		return err
	})
	return stored, err
}

// Pool implements store.Pools.
func (s *Store) Pool(ctx context.Context, id domain.PoolID) (store.PoolView, error) {
	views, err := s.pools(ctx, "pool "+string(id), id)
	if err != nil {
		return store.PoolView{}, err
	}
	if len(views) == 0 {
		return store.PoolView{}, classify("pool "+string(id), store.ErrNotFound)
	}
	return views[0], nil
}

// ListPools implements store.Pools.
func (s *Store) ListPools(ctx context.Context) ([]store.PoolView, error) {
	return s.pools(ctx, "list pools", "")
}

func (s *Store) pools(ctx context.Context, what string, id domain.PoolID) ([]store.PoolView, error) {
	var views []store.PoolView
	err := s.read(ctx, what, func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListPools(ctx, string(id))
		if err != nil {
			return err
		}
		for i := range rows {
			pool, err := poolOf(&rows[i].PlPool)
			if err != nil {
				return err
			}
			views = append(views, store.PoolView{
				Pool: pool, Counters: countersOf(&rows[i].PlPoolTurn), OldestQueuedAt: maybeTime(rows[i].OldestQueuedAt),
			})
		}
		return nil
	})
	return views, err
}

// TenantUsages implements store.Pools.
func (s *Store) TenantUsages(ctx context.Context, id domain.PoolID) ([]domain.TenantUsage, error) {
	var usages []domain.TenantUsage
	err := s.read(ctx, "tenants of pool "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListTenants(ctx, string(id))
		for _, row := range rows {
			usages = append(usages, domain.TenantUsage{
				Tenant: domain.Tenant(row.Tenant), ActiveUnits: domain.Units(row.ActiveUnits), Queued: row.Queued, FinishTag: row.FinishTag,
			})
		}
		return err
	})
	return usages, err
}
