package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// ExtendLeases implements store.Leases: one statement, on a connection that no turn
// holds.
func (s *Store) ExtendLeases(ctx context.Context, ids []domain.LeaseID, now time.Time) ([]domain.Lease, error) {
	p := dbsqlc.ExtendLeasesParams{Now: s.nowOr(now)}
	for _, id := range sortedLeases(ids) {
		ref, _ := id.Ref()
		p.PoolIds = append(p.PoolIds, string(ref.PoolID))
		p.JobIds = append(p.JobIds, int64(ref.JobID))
		p.LeaseIds = append(p.LeaseIds, string(id))
	}
	return s.leases(ctx, "extend leases", func(ctx context.Context, q *dbsqlc.Queries) ([]dbsqlc.PlLease, error) {
		return q.ExtendLeases(ctx, p)
	})
}

// sortedLeases returns the ids that may be somebody's, each once, in the order in which
// turns lock them.
func sortedLeases(ids []domain.LeaseID) []domain.LeaseID {
	sorted := slices.DeleteFunc(slices.Clone(ids), func(id domain.LeaseID) bool {
		_, ok := id.Ref()
		return !ok
	})
	slices.SortFunc(sorted, func(a, b domain.LeaseID) int {
		x, _ := a.Ref()
		y, _ := b.Ref()
		if c := strings.Compare(string(x.PoolID), string(y.PoolID)); c != 0 {
			return c
		}
		return int(x.JobID - y.JobID)
	})
	return slices.Compact(sorted)
}

// ExpiredLeases implements store.Leases.
func (s *Store) ExpiredLeases(ctx context.Context, after domain.Lease, now time.Time, limit int) ([]domain.Lease, error) {
	p := dbsqlc.ExpiredLeasesParams{
		Now: s.nowOr(now), AfterPool: string(after.Ref.PoolID), AfterJob: int64(after.Ref.JobID), MaxRows: int32(limit),
		After: pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true},
	}
	if !after.ExpiresAt.IsZero() {
		p.After = instant(after.ExpiresAt)
	}
	return s.leases(ctx, "expired leases", func(ctx context.Context, q *dbsqlc.Queries) ([]dbsqlc.PlLease, error) {
		return q.ExpiredLeases(ctx, p)
	})
}

// ListLeases implements store.Leases.
func (s *Store) ListLeases(ctx context.Context, f store.LeaseFilter) ([]domain.Lease, error) {
	return s.leases(ctx, "list leases", func(ctx context.Context, q *dbsqlc.Queries) ([]dbsqlc.PlLease, error) {
		return q.ListLeases(ctx, dbsqlc.ListLeasesParams{
			PoolID: string(f.Pool), After: int64(f.After), WorkerID: f.Worker, MaxRows: int32(f.Limit),
		})
	})
}

func (s *Store) leases(ctx context.Context, what string, ask func(context.Context, *dbsqlc.Queries) ([]dbsqlc.PlLease, error)) ([]domain.Lease, error) {
	var rows []dbsqlc.PlLease
	if err := s.read(ctx, what, func(ctx context.Context, q *dbsqlc.Queries) (err error) {
		rows, err = ask(ctx, q)
		return err
	}); err != nil {
		return nil, err
	}
	leases := make([]domain.Lease, len(rows))
	for i := range rows {
		leases[i] = leaseOf(&rows[i])
	}
	return leases, nil
}

func leaseOf(row *dbsqlc.PlLease) domain.Lease {
	return domain.Lease{
		ID:     domain.LeaseID(row.LeaseID),
		Ref:    domain.Ref{PoolID: domain.PoolID(row.PoolID), JobID: domain.JobID(row.JobID), Attempt: int(row.Attempt)},
		Worker: row.WorkerID, TTL: time.Duration(row.TtlMs) * time.Millisecond,
		GrantedAt: row.GrantedAt.Time.UTC(), ExpiresAt: row.ExpiresAt.Time.UTC(), TimeoutAt: row.TimeoutAt.Time.UTC(),
		CancelAsked: maybeTime(row.CancelAskedAt),
	}
}

// leaseWrites are the parameters of what a turn writes about leases; the zero value
// writes nothing.
type leaseWrites struct {
	asked    *dbsqlc.AskLeasesParams
	ended    *dbsqlc.DeleteLeasesParams
	inserted *dbsqlc.InsertLeasesParams
}

func prepareLeases(pool domain.PoolID, d *plan.Decisions) (w leaseWrites) {
	if len(d.LeasesAsked) > 0 {
		w.asked = &dbsqlc.AskLeasesParams{PoolID: string(pool), JobIds: jobNumbers(d.LeasesAsked)}
	}
	if len(d.Unleased) > 0 {
		w.ended = &dbsqlc.DeleteLeasesParams{PoolID: string(pool), JobIds: jobNumbers(d.Unleased)}
	}
	n := len(d.Leased)
	if n == 0 {
		return w
	}
	p := &dbsqlc.InsertLeasesParams{
		PoolID: string(pool), JobIds: make([]int64, n), Attempts: make([]int32, n), LeaseIds: make([]string, n),
		WorkerIds: make([]string, n), Ttls: make([]int64, n), GrantedAts: make([]pgtype.Timestamptz, n),
		ExpiresAts: make([]pgtype.Timestamptz, n), TimeoutAts: make([]pgtype.Timestamptz, n),
	}
	for i := range d.Leased {
		l := &d.Leased[i]
		p.JobIds[i], p.Attempts[i], p.LeaseIds[i] = int64(l.Ref.JobID), int32(l.Ref.Attempt), string(l.ID)
		p.WorkerIds[i], p.Ttls[i] = l.Worker, l.TTL.Milliseconds()
		p.GrantedAts[i], p.ExpiresAts[i], p.TimeoutAts[i] = instant(l.GrantedAt), instant(l.ExpiresAt), instant(l.TimeoutAt)
	}
	w.inserted = p
	return w
}

// send deletes before it inserts: a task may go from one lease to the next in a turn.
func (w *leaseWrites) send(ctx context.Context, p pipe) error {
	if w.asked != nil {
		if err := p.AskLeases(ctx, *w.asked); err != nil {
			return err
		}
	}
	if w.ended != nil {
		if err := p.DeleteLeases(ctx, *w.ended); err != nil {
			return err
		}
	}
	if w.inserted != nil {
		return p.InsertLeases(ctx, *w.inserted)
	}
	return nil
}

func jobNumbers(jobs []domain.JobID) []int64 {
	numbers := make([]int64, len(jobs))
	for i, job := range jobs {
		numbers[i] = int64(job)
	}
	return numbers
}
