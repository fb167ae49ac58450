package sqlite

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// sweepBatch bounds one deletion: turns wait for it.
const sweepBatch = 1000

// SweepTasks implements store.Sweeps.
func (s *Store) SweepTasks(ctx context.Context, pool domain.PoolID, keep time.Duration, after domain.JobID) (swept store.Swept, err error) {
	before := micros(s.now().Add(-keep))
	err = s.write(ctx, "sweep tasks", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.OldestJobs(ctx, dbsqlc.OldestJobsParams{PoolID: string(pool), After: int64(after), MaxRows: sweepBatch})
		if err != nil || len(rows) == 0 {
			return err
		}
		for i := range rows {
			if rows[i].FinishedAt == nil || *rows[i].FinishedAt >= before {
				continue
			}
			n, err := q.DeleteJob(ctx, dbsqlc.DeleteJobParams{PoolID: string(pool), JobID: rows[i].JobID})
			if err != nil {
				return err
			}
			swept.Deleted += n
		}
		if last := &rows[len(rows)-1]; len(rows) == sweepBatch && last.CreatedAt < before {
			swept.Next = domain.JobID(last.JobID)
		}
		return raise(ctx, q, string(pool), store.HorizonTasks, before, swept.Deleted)
	})
	return swept, err
}

// SweepMessages implements store.Sweeps.
func (s *Store) SweepMessages(ctx context.Context, unread, acked time.Duration) (deleted int64, err error) {
	now := s.now()
	ackedBefore, unreadBefore := micros(now.Add(-acked)), micros(now.Add(-unread))
	err = s.write(ctx, "sweep messages", func(ctx context.Context, q *dbsqlc.Queries) error {
		read, err := q.DeleteAckedMessages(ctx, dbsqlc.DeleteAckedMessagesParams{Before: &ackedBefore, MaxRows: sweepBatch})
		if err != nil {
			return err
		}
		for _, source := range read {
			if err := raise(ctx, q, source, store.HorizonAcknowledged, ackedBefore, 1); err != nil {
				return err
			}
		}
		deleted = int64(len(read))
		names, err := q.ListSources(ctx)
		if err != nil {
			return err
		}
		for _, source := range names {
			if deleted >= sweepBatch {
				break
			}
			n, err := q.DeleteOldMessages(ctx, dbsqlc.DeleteOldMessagesParams{
				Source: source, Before: unreadBefore, MaxRows: sweepBatch - deleted,
			})
			if err != nil {
				return err
			}
			if err := raise(ctx, q, source, store.HorizonUnread, unreadBefore, n); err != nil {
				return err
			}
			deleted += n
		}
		return nil
	})
	return deleted, err
}

// SweepAudit implements store.Sweeps: it deletes a batch of rows of days that are over.
func (s *Store) SweepAudit(ctx context.Context, keep time.Duration) (deleted int64, err error) {
	before := micros(s.now().UTC().Add(-keep).Truncate(24 * time.Hour))
	err = s.write(ctx, "sweep the audit trail", func(ctx context.Context, q *dbsqlc.Queries) error {
		names, err := q.ListSources(ctx)
		if err != nil {
			return err
		}
		for _, source := range names {
			if deleted >= sweepBatch {
				break
			}
			n, err := q.DeleteOldEvents(ctx, dbsqlc.DeleteOldEventsParams{Source: source, Before: before, MaxRows: sweepBatch - deleted})
			if err != nil {
				return err
			}
			deleted += n
		}
		return raise(ctx, q, "", store.HorizonAudit, before, deleted)
	})
	return deleted, err
}

// raise notes that something was deleted, if it was.
func raise(ctx context.Context, q *dbsqlc.Queries, source, what string, before, deleted int64) error {
	if deleted == 0 {
		return nil
	}
	return q.RaiseHorizon(ctx, dbsqlc.RaiseHorizonParams{Source: source, What: what, CutAt: before, Deleted: deleted})
}

// OldestAudit implements store.Sweeps. There are no days to look after.
func (s *Store) OldestAudit(context.Context) (time.Time, error) { return time.Time{}, nil }
