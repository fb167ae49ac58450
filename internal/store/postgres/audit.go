package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// auditDaysAhead is how many days of partitions there are from yesterday on: a week
// ahead of today.
const auditDaysAhead = 9

// EventHeads implements store.Audit.
func (s *Store) EventHeads(ctx context.Context) (domain.Cursor, error) {
	heads := domain.Cursor{}
	err := s.read(ctx, "heads of events", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.EventHeads(ctx)
		for i := range rows {
			heads[domain.Source(rows[i].Source)] = rows[i].Seq
		}
		return err
	})
	return heads, err
}

// EnsureAudit implements store.Audit.
func (s *Store) EnsureAudit(ctx context.Context, now time.Time) error {
	if now.IsZero() {
		now = time.Now()
	}
	yesterday := now.UTC().AddDate(0, 0, -1)
	return s.write(ctx, "make audit partitions", func(ctx context.Context, q *dbsqlc.Queries) error {
		if err := q.LockWait(ctx, milliseconds(time.Second)); err != nil {
			return err
		}
		_, err := q.EnsureAuditPartitions(ctx, dbsqlc.EnsureAuditPartitionsParams{
			First: pgtype.Date{Time: yesterday, Valid: true}, Days: auditDaysAhead,
		})
		return err
	})
}

// Events implements store.Audit. Subjects that name a task, a tenant or a pool are
// looked up by what they name.
func (s *Store) Events(ctx context.Context, f store.EventFilter) ([]domain.Event, error) {
	if id, ok := strings.CutPrefix(f.Subject, "task:"); ok && f.TaskID == "" {
		f.TaskID = domain.TaskID(id)
	}
	if tenant, ok := strings.CutPrefix(f.Subject, "tenant:"); ok && f.Tenant == "" {
		f.Tenant = domain.Tenant(tenant)
	}
	arg := dbsqlc.EventsParams{
		FromAt: bound(f.From, pgtype.NegativeInfinity), ToAt: bound(f.To, pgtype.Infinity), Kind: string(f.Kind), Subject: f.Subject,
		MaxRows: int32(f.Limit), PoolID: string(f.Pool),
	}
	arg.CursorSources, arg.CursorSeqs = cursorOf(f.Cursor)
	var events []domain.Event
	err := s.read(ctx, "events", func(ctx context.Context, q *dbsqlc.Queries) (err error) {
		var rows []dbsqlc.PlAuditEvent
		switch {
		case f.TaskID != "":
			rows, err = q.EventsOfTask(ctx, dbsqlc.EventsOfTaskParams{
				CursorSources: arg.CursorSources, CursorSeqs: arg.CursorSeqs, TaskID: string(f.TaskID), Tenant: string(f.Tenant),
				FromAt: arg.FromAt, ToAt: arg.ToAt, Kind: arg.Kind, Subject: arg.Subject, MaxRows: arg.MaxRows, PoolID: arg.PoolID,
			})
		case f.Tenant != "":
			rows, err = q.EventsOfTenant(ctx, dbsqlc.EventsOfTenantParams{
				CursorSources: arg.CursorSources, CursorSeqs: arg.CursorSeqs, Tenant: string(f.Tenant),
				FromAt: arg.FromAt, ToAt: arg.ToAt, Kind: arg.Kind, Subject: arg.Subject, MaxRows: arg.MaxRows, PoolID: arg.PoolID,
			})
		default:
			rows, err = q.Events(ctx, arg)
		}
		for i := range rows {
			events = append(events, eventOf(&rows[i]))
		}
		return err
	})
	return events, err
}

// bound is an end of a range of time; the zero time: open.
func bound(t time.Time, open pgtype.InfinityModifier) pgtype.Timestamptz {
	if t.IsZero() {
		return pgtype.Timestamptz{InfinityModifier: open, Valid: true}
	}
	return instant(t)
}
