package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// CreatePool implements store.Pools.
func (s *Store) CreatePool(ctx context.Context, pool domain.Pool, now time.Time) (stored domain.Pool, err error) {
	at := s.clockOr(now)
	tenants, executors, err := policyJSON(&pool)
	if err != nil {
		return stored, classify("create pool "+string(pool.PoolID), err)
	}
	err = s.write(ctx, "create pool "+string(pool.PoolID), func(ctx context.Context, q *dbsqlc.Queries) error {
		n, err := q.InsertPool(ctx, dbsqlc.InsertPoolParams{
			PoolID: string(pool.PoolID), Name: pool.Name, State: string(pool.State), MaxUnits: int64(pool.MaxUnits),
			MaxQueueDepth: pool.MaxQueueDepth, DefaultTimeoutMs: pool.DefaultTimeout.Milliseconds(),
			QueueBackend: string(pool.QueueBackend), MailboxBackend: string(pool.MailboxBackend),
			RuntimeAdapter: string(pool.Runtime), PriorityPolicy: string(pool.Policy), ResourceKind: string(pool.ResourceKind),
			MaxOvertakes: int64(pool.MaxOvertakes), MaxAttempts: int64(pool.MaxAttempts),
			RetryBaseMs: pool.RetryBackoff.Base.Milliseconds(), RetryMaxMs: pool.RetryBackoff.Max.Milliseconds(),
			Tenants: tenants, Executors: executors, Now: micros(at),
		})
		if err != nil {
			return err
		}
		if n == 1 {
			first := domain.Counters{At: at, Ceiling: pool.MaxUnits}
			if err := q.InsertTurn(ctx, insertTurn(pool.PoolID, &first)); err != nil {
				return err
			}
			if err := q.InsertSource(ctx, dbsqlc.InsertSourceParams{Source: string(pool.PoolID), Now: micros(at)}); err != nil {
				return err
			}
		}
		row, err := q.GetPool(ctx, string(pool.PoolID))
		if err != nil {
			return err
		}
		stored, err = poolOf(row)
		return err
	})
	return stored, err
}

// Pool implements store.Pools.
func (s *Store) Pool(ctx context.Context, id domain.PoolID) (view store.PoolView, err error) {
	err = s.read(ctx, "pool "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetPool(ctx, string(id))
		if err != nil {
			return err
		}
		view, err = poolView(ctx, q, row)
		return err
	})
	return view, err
}

// ListPools implements store.Pools.
func (s *Store) ListPools(ctx context.Context) (views []store.PoolView, err error) {
	err = s.read(ctx, "pools", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListPools(ctx)
		if err != nil {
			return err
		}
		for i := range rows {
			view, err := poolView(ctx, q, rows[i])
			if err != nil {
				return err
			}
			views = append(views, view)
		}
		return nil
	})
	return views, err
}

func poolView(ctx context.Context, q *dbsqlc.Queries, row dbsqlc.PlPool) (view store.PoolView, err error) {
	if view.Pool, err = poolOf(row); err != nil {
		return view, err
	}
	last, err := q.LastTurn(ctx, row.PoolID)
	if err != nil {
		return view, fmt.Errorf("counters of pool %s: %w", row.PoolID, err)
	}
	view.Counters = countersOf(last)
	if view.Queued+view.Waiting == 0 {
		return view, nil
	}
	oldest, err := q.OldestQueued(ctx, row.PoolID)
	if err != nil {
		return view, fmt.Errorf("oldest task of pool %s: %w", row.PoolID, err)
	}
	if len(oldest) > 0 {
		view.OldestQueuedAt = timePtr(&oldest[0])
	}
	return view, nil
}

// TenantUsages implements store.Pools.
func (s *Store) TenantUsages(ctx context.Context, id domain.PoolID) (usages []domain.TenantUsage, err error) {
	err = s.read(ctx, "tenants of pool "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListTenants(ctx, string(id))
		for _, r := range rows {
			usages = append(usages, usageOf(r.Tenant, r.ActiveUnits, r.Queued, r.FinishTag))
		}
		return err
	})
	return usages, err
}
