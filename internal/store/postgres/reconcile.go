package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// Reconcile implements store.Turns.
func (s *Store) Reconcile(ctx context.Context, pool domain.PoolID) ([]store.Difference, error) {
	ctx, cancel := context.WithTimeout(ctx, 6*callTimeout) // it counts every live row
	defer cancel()
	var diffs []store.Difference
	differ := func(what string, counter, rows int64) {
		if counter != rows {
			diffs = append(diffs, store.Difference{What: what, Counter: counter, Rows: rows})
		}
	}
	oneSnapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.pool, oneSnapshot, func(tx pgx.Tx) error {
		q := dbsqlc.New(tx)
		last, err := q.LastTurn(ctx, string(pool))
		if err != nil {
			return err
		}
		rows, err := q.CountJobs(ctx, string(pool))
		if err != nil {
			return err
		}
		differ("active_units", last.ActiveUnits, rows.ActiveUnits)
		differ("running", last.Running, rows.Running)
		differ("queued", last.Queued, rows.Queued)
		differ("queued low", last.QueuedLow, rows.QueuedLow)
		differ("queued normal", last.QueuedNormal, rows.QueuedNormal)
		differ("queued high", last.QueuedHigh, rows.QueuedHigh)
		differ("queued critical", last.QueuedCritical, rows.QueuedCritical)
		differ("waiting", last.Waiting, rows.Waiting)

		tenants := map[string]dbsqlc.CountTenantJobsRow{}
		counted, err := q.CountTenantJobs(ctx, string(pool))
		if err != nil {
			return err
		}
		for _, row := range counted {
			tenants[row.Tenant] = row
		}
		usages, err := q.ListTenants(ctx, string(pool))
		if err != nil {
			return err
		}
		for _, u := range usages {
			row := tenants[u.Tenant]
			delete(tenants, u.Tenant)
			differ("tenant "+u.Tenant+" active_units", u.ActiveUnits, row.ActiveUnits)
			differ("tenant "+u.Tenant+" queued", u.Queued, row.Queued)
		}
		for _, tenant := range slices.Sorted(maps.Keys(tenants)) {
			differ("tenant "+tenant+" active_units", 0, tenants[tenant].ActiveUnits)
			differ("tenant "+tenant+" queued", 0, tenants[tenant].Queued)
		}
		return nil
	})
	return diffs, classify("reconcile pool "+string(pool), err)
}
