package postgres

import (
	"context"
	"slices"
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
	var first pgtype.Date // not valid: yesterday by the database's clock
	if !now.IsZero() {
		first = pgtype.Date{Time: now.UTC().AddDate(0, 0, -1), Valid: true}
	}
	return s.write(ctx, "make audit partitions", func(ctx context.Context, q *dbsqlc.Queries) error {
		if err := q.LockWait(ctx, milliseconds(time.Second)); err != nil {
			return err
		}
		_, err := q.EnsureAuditPartitions(ctx, dbsqlc.EnsureAuditPartitionsParams{
			First: first, Days: auditDaysAhead,
		})
		return err
	})
}

// auditBlock is how many numbers of a source a block of pl_audit_blocks has; the functions
// of the schema say it too.
const auditBlock = 256

// blocksTogether is how many finished blocks are summarised at once, because to begin costs as
// much as some blocks do. Readers look through so many at most that are not.
const blocksTogether = 8

// finishedBlocks returns the blocks that are finished once the events are committed, which are of one
// source and numbered without a gap; nil: none.
func finishedBlocks(events []domain.Event) *dbsqlc.SummariseEventsParams {
	if len(events) == 0 {
		return nil
	}
	last := &events[len(events)-1]
	block := last.Seq / auditBlock
	if (events[0].Seq-1)/auditBlock/blocksTogether == block/blocksTogether {
		return nil
	}
	return &dbsqlc.SummariseEventsParams{Source: string(last.Source), BeforeBlock: block, Now: instant(last.At)}
}

// Events implements store.Audit.
func (s *Store) Events(ctx context.Context, f store.EventFilter) ([]domain.Event, error) {
	arg := dbsqlc.EventsOfKeyParams{
		FromAt: bound(f.From, pgtype.NegativeInfinity), ToAt: bound(f.To, pgtype.Infinity),
		Tenant: string(f.Tenant), Kind: string(f.Kind), Subject: f.Subject, MaxRows: int32(f.Limit), PoolID: string(f.Pool),
	}
	arg.CursorSources, arg.CursorSeqs = cursorOf(f.Cursor)
	task := string(f.TaskID)
	if id, ok := strings.CutPrefix(f.Subject, "task:"); ok && task == "" {
		task = id
	}
	arg.Key, arg.Also = auditKeys(&f)
	if id, ok := strings.CutPrefix(f.Subject, "pool:"); ok && f.Pool == "" {
		arg.PoolID = id // its events are of its own source
	}
	var events []domain.Event
	err := s.read(ctx, "events", func(ctx context.Context, q *dbsqlc.Queries) (err error) {
		var rows []dbsqlc.PlAuditEvent
		switch {
		case task != "":
			rows, err = q.EventsOfTask(ctx, dbsqlc.EventsOfTaskParams{
				CursorSources: arg.CursorSources, CursorSeqs: arg.CursorSeqs, TaskID: task, Tenant: arg.Tenant,
				FromAt: arg.FromAt, ToAt: arg.ToAt, Kind: arg.Kind, Subject: arg.Subject, MaxRows: arg.MaxRows, PoolID: arg.PoolID,
			})
		case f.Kind != "" || f.Tenant != "" || f.Subject != "":
			rows, err = q.EventsOfKey(ctx, arg)
		default:
			rows, err = q.Events(ctx, dbsqlc.EventsParams{
				CursorSources: arg.CursorSources, CursorSeqs: arg.CursorSeqs,
				FromAt: arg.FromAt, ToAt: arg.ToAt, MaxRows: arg.MaxRows, PoolID: arg.PoolID,
			})
		}
		for i := range rows {
			events = append(events, eventOf(&rows[i]))
		}
		return err
	})
	return events, err
}

// auditKeys returns the keys of pl_audit_blocks to look through for what fits f, at most
// two: the one that likely has fewer events first; empty for none.
func auditKeys(f *store.EventFilter) (key, also string) {
	var keys []string
	if f.Subject != "" && !strings.HasPrefix(f.Subject, "pool:") {
		keys = append(keys, f.Subject)
	}
	common := f.Kind == domain.EventSubmit || f.Kind == domain.EventEnqueue || f.Kind == domain.EventStart || f.Kind == domain.EventComplete
	if f.Kind != "" && !common {
		keys = append(keys, "kind:"+string(f.Kind))
	}
	if f.Tenant != "" {
		keys = append(keys, "tenant:"+string(f.Tenant))
	}
	if common {
		keys = append(keys, "kind:"+string(f.Kind))
	}
	keys = append(slices.Compact(keys), "", "")
	return keys[0], keys[1]
}

// bound is an end of a range of time; the zero time: open.
func bound(t time.Time, open pgtype.InfinityModifier) pgtype.Timestamptz {
	if t.IsZero() {
		return pgtype.Timestamptz{InfinityModifier: open, Valid: true}
	}
	return instant(t)
}
