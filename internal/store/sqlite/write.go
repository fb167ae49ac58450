package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// writeDecisions writes everything that a turn has decided. was is the pool as
// the turn read it. The first row that is not as expected fails the whole.
func (s *Store) writeDecisions(ctx context.Context, was *domain.Pool, d *plan.Decisions) error {
	// The counters first: their CHECK is what keeps the pool within its units.
	if err := s.w.InsertTurn(ctx, insertTurn(was.PoolID, &d.Counters)); err != nil {
		return fmt.Errorf("counters: %w", err)
	}
	pool := was
	if d.Pool != nil {
		pool = d.Pool
		if err := s.updatePool(ctx, was, d); err != nil {
			return err
		}
	}
	if err := s.writeTasks(ctx, was.PoolID, d); err != nil {
		return err
	}
	if err := s.writeLeases(ctx, was.PoolID, d); err != nil {
		return err
	}
	for _, u := range d.Tenants {
		if err := checkText("a tenant", string(u.Tenant)); err != nil {
			return err
		}
		if err := s.w.UpsertTenant(ctx, dbsqlc.UpsertTenantParams{
			PoolID: string(was.PoolID), Tenant: string(u.Tenant), ActiveUnits: int64(u.ActiveUnits), Queued: u.Queued, FinishTag: u.FinishTag,
		}); err != nil {
			return fmt.Errorf("tenant %s: %w", u.Tenant, err)
		}
	}
	for i := range d.Events {
		p, err := insertEvent(&d.Events[i])
		if err != nil {
			return err
		}
		if err := s.w.InsertEvent(ctx, p); err != nil {
			return fmt.Errorf("event %s: %w", d.Events[i].ID(), err)
		}
	}
	for i := range d.Messages {
		p, err := insertMessage(&d.Messages[i])
		if err != nil {
			return err
		}
		if pool.MailboxBackend == s.Backend() {
			err = s.w.InsertMessage(ctx, p)
		} else {
			err = s.w.InsertOutbox(ctx, dbsqlc.InsertOutboxParams(p))
		}
		if err != nil {
			return fmt.Errorf("message %s: %w", d.Messages[i].ID(), err)
		}
	}
	return nil
}

func (s *Store) updatePool(ctx context.Context, was *domain.Pool, d *plan.Decisions) error {
	p := d.Pool
	tenants, executors, err := policyJSON(p)
	if err != nil {
		return err
	}
	n, err := s.w.UpdatePool(ctx, dbsqlc.UpdatePoolParams{
		PoolID: string(was.PoolID), FromVersion: was.Version, Version: p.Version, Now: micros(d.Now),
		Name: p.Name, State: string(p.State), MaxUnits: int64(p.MaxUnits), MaxQueueDepth: p.MaxQueueDepth,
		DefaultTimeoutMs: p.DefaultTimeout.Milliseconds(), QueueBackend: string(p.QueueBackend),
		MailboxBackend: string(p.MailboxBackend), RuntimeAdapter: string(p.Runtime), PriorityPolicy: string(p.Policy),
		ResourceKind: string(p.ResourceKind), MaxOvertakes: int64(p.MaxOvertakes), MaxAttempts: int64(p.MaxAttempts),
		RetryBaseMs: p.RetryBackoff.Base.Milliseconds(), RetryMaxMs: p.RetryBackoff.Max.Milliseconds(),
		Tenants: tenants, Executors: executors,
	})
	if err != nil {
		return fmt.Errorf("pool: %w", err)
	}
	if n != 1 {
		return fmt.Errorf("%w: pool %s is no longer at version %d", store.ErrGuard, was.PoolID, was.Version)
	}
	for _, t := range d.Relane {
		if err := s.w.RelaneJobs(ctx, dbsqlc.RelaneJobsParams{
			PoolID: string(was.PoolID), Tenant: string(t), Lane: p.TenantLane(t),
		}); err != nil {
			return fmt.Errorf("lane of tenant %s: %w", t, err)
		}
	}
	return nil
}

func (s *Store) writeTasks(ctx context.Context, pool domain.PoolID, d *plan.Decisions) error {
	for i := range d.Changed {
		c := &d.Changed[i]
		p, err := updateJob(pool, c.FromStatus, c.FromAttempt, &c.Task)
		if err != nil {
			return err
		}
		n, err := s.w.UpdateJob(ctx, p)
		if err != nil {
			return fmt.Errorf("task %s: %w", c.Task.TaskID, err)
		}
		if n != 1 {
			return fmt.Errorf("%w: task %s is no longer %s at attempt %d", store.ErrGuard, c.Task.TaskID, c.FromStatus, c.FromAttempt)
		}
	}
	for i := range d.Inserted {
		p, err := insertJob(&d.Inserted[i])
		if err != nil {
			return err
		}
		if err := s.w.InsertJob(ctx, p); err != nil {
			return fmt.Errorf("task %s: %w", d.Inserted[i].TaskID, err)
		}
	}
	return nil
}

// isTaken reports whether a key was taken that the turn has numbered or looked up itself: no value of
// a request is the cause.
func isTaken(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return true
	}
	return false
}
