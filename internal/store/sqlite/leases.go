package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// ExtendLeases implements store.Leases, behind whatever the writer is doing.
func (s *Store) ExtendLeases(ctx context.Context, ids []domain.LeaseID, now time.Time) (leases []domain.Lease, err error) {
	err = s.write(ctx, "extend leases", func(ctx context.Context, q *dbsqlc.Queries) error {
		at := micros(s.clockOr(now))
		for _, id := range ids {
			ref, ok := id.Ref()
			if !ok {
				continue
			}
			rows, err := q.ExtendLease(ctx, dbsqlc.ExtendLeaseParams{
				Now: at, PoolID: string(ref.PoolID), JobID: int64(ref.JobID), LeaseID: string(id),
			})
			if err != nil {
				return err
			}
			leases = append(leases, leasesOf(rows)...)
		}
		return nil
	})
	slices.SortFunc(leases, func(a, b domain.Lease) int {
		return cmp.Or(cmp.Compare(a.Ref.PoolID, b.Ref.PoolID), cmp.Compare(a.Ref.JobID, b.Ref.JobID))
	})
	same := func(a, b domain.Lease) bool { return a.ID == b.ID }
	return slices.CompactFunc(leases, same), err
}

// ExpiredLeases implements store.Leases.
func (s *Store) ExpiredLeases(ctx context.Context, after domain.Lease, now time.Time, limit int) (leases []domain.Lease, err error) {
	p := dbsqlc.ExpiredLeasesParams{
		Now: micros(s.clockOr(now)), AfterPool: string(after.Ref.PoolID), AfterJob: int64(after.Ref.JobID), MaxRows: int64(limit),
	}
	if !after.ExpiresAt.IsZero() {
		p.After = micros(after.ExpiresAt)
	}
	err = s.read(ctx, "expired leases", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ExpiredLeases(ctx, p)
		leases = leasesOf(rows)
		return err
	})
	return leases, err
}

// ListLeases implements store.Leases.
func (s *Store) ListLeases(ctx context.Context, f store.LeaseFilter) (leases []domain.Lease, err error) {
	err = s.read(ctx, "list leases", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListLeases(ctx, dbsqlc.ListLeasesParams{
			PoolID: string(f.Pool), After: int64(f.After), WorkerID: f.Worker, MaxRows: int64(f.Limit),
		})
		leases = leasesOf(rows)
		return err
	})
	return leases, err
}

// readLeases reads the leases on what settlements and losses name.
func (s *Store) readLeases(ctx context.Context, snap *plan.Snapshot, rq *plan.Requests) error {
	jobs := rq.LeasedJobs()
	snap.Leases = make(map[domain.JobID]domain.Lease, len(jobs))
	if len(jobs) == 0 {
		return nil
	}
	rows, err := s.w.LeasesByJob(ctx, dbsqlc.LeasesByJobParams{PoolID: string(snap.Pool.PoolID), JobIds: jsonOf(jobs)})
	if err != nil {
		return fmt.Errorf("leases: %w", err)
	}
	for _, lease := range leasesOf(rows) {
		snap.Leases[lease.Ref.JobID] = lease
	}
	return nil
}

// writeLeases deletes before it inserts: a task may go from one lease to the next in a
// turn.
func (s *Store) writeLeases(ctx context.Context, pool domain.PoolID, d *plan.Decisions) error {
	if len(d.LeasesAsked) > 0 {
		if err := s.w.AskLeases(ctx, dbsqlc.AskLeasesParams{
			Now: micros(d.Now), PoolID: string(pool), JobIds: jsonOf(d.LeasesAsked),
		}); err != nil {
			return fmt.Errorf("leases asked to end: %w", err)
		}
	}
	if len(d.Unleased) > 0 {
		if err := s.w.DeleteLeases(ctx, dbsqlc.DeleteLeasesParams{PoolID: string(pool), JobIds: jsonOf(d.Unleased)}); err != nil {
			return fmt.Errorf("ended leases: %w", err)
		}
	}
	for i := range d.Leased {
		l := &d.Leased[i]
		if err := checkText("a lease", string(l.ID), l.Worker); err != nil {
			return err
		}
		if err := s.w.InsertLease(ctx, dbsqlc.InsertLeaseParams{
			PoolID: string(pool), JobID: int64(l.Ref.JobID), Attempt: int64(l.Ref.Attempt), LeaseID: string(l.ID), WorkerID: l.Worker,
			TtlMs: l.TTL.Milliseconds(), GrantedAt: micros(l.GrantedAt), ExpiresAt: micros(l.ExpiresAt), TimeoutAt: micros(l.TimeoutAt),
		}); err != nil {
			return fmt.Errorf("lease on job %d: %w", l.Ref.JobID, err)
		}
	}
	return nil
}

func leasesOf(rows []dbsqlc.PlLease) []domain.Lease {
	leases := make([]domain.Lease, len(rows))
	for i, r := range rows {
		leases[i] = domain.Lease{
			ID:     domain.LeaseID(r.LeaseID),
			Ref:    domain.Ref{PoolID: domain.PoolID(r.PoolID), JobID: domain.JobID(r.JobID), Attempt: int(r.Attempt)},
			Worker: r.WorkerID, TTL: time.Duration(r.TtlMs) * time.Millisecond,
			GrantedAt: timeOf(r.GrantedAt), ExpiresAt: timeOf(r.ExpiresAt), TimeoutAt: timeOf(r.TimeoutAt), CancelAsked: timePtr(r.CancelAskedAt),
		}
	}
	return leases
}
