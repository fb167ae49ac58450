package sqlite

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// Events implements store.Audit. A pool's events are of one source, which is its id.
func (s *Store) Events(ctx context.Context, f store.EventFilter) (events []domain.Event, err error) {
	err = s.read(ctx, "events", func(ctx context.Context, q *dbsqlc.Queries) error {
		names, err := sources(ctx, q, domain.Source(f.Pool))
		if err != nil {
			return err
		}
		streams := make([][]domain.Event, 0, len(names))
		for _, source := range names {
			rows, err := eventRows(ctx, q, source, &f)
			if err != nil {
				return err
			}
			stream := make([]domain.Event, len(rows))
			for i := range rows {
				if stream[i], err = eventOf(rows[i]); err != nil {
					return err
				}
			}
			streams = append(streams, stream)
		}
		events = merge(streams, f.Limit, func(e *domain.Event) (time.Time, domain.Source) { return e.At, e.Source })
		return nil
	})
	return events, err
}

// eventRows reads one source by the best index that the filter allows.
func eventRows(ctx context.Context, q *dbsqlc.Queries, source string, f *store.EventFilter) ([]dbsqlc.PlAuditEvent, error) {
	from, to := span(f.From, f.To)
	after := f.Cursor[domain.Source(source)]
	switch {
	case f.TaskID != "":
		return q.EventsOfTask(ctx, dbsqlc.EventsOfTaskParams{
			Source: source, After: after, TaskID: string(f.TaskID), Tenant: string(f.Tenant), Kind: string(f.Kind),
			FromAt: from, ToAt: to, Subject: f.Subject, MaxRows: int64(f.Limit),
		})
	case f.Tenant != "":
		return q.EventsOfTenant(ctx, dbsqlc.EventsOfTenantParams{
			Source: source, After: after, Tenant: string(f.Tenant), Kind: string(f.Kind),
			FromAt: from, ToAt: to, Subject: f.Subject, MaxRows: int64(f.Limit),
		})
	}
	return q.Events(ctx, dbsqlc.EventsParams{
		Source: source, After: after, Kind: string(f.Kind),
		FromAt: from, ToAt: to, Subject: f.Subject, MaxRows: int64(f.Limit),
	})
}

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

// EnsureAudit implements store.Audit. One table takes the events of all days.
func (s *Store) EnsureAudit(context.Context, time.Time) error { return nil }
