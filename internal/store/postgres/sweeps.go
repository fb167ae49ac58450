package postgres

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

const (
	// sweepBatch bounds one deletion: what it locks and writes is over in milliseconds.
	sweepBatch = 1000
	// dropTimeout is how long a day that is to be dropped waits for those who read or
	// write the trail; writers behind it wait as long.
	dropTimeout = 200 * time.Millisecond
)

// SweepTasks implements store.Sweeps.
func (s *Store) SweepTasks(ctx context.Context, pool domain.PoolID, keep time.Duration, after domain.JobID) (swept store.Swept, err error) {
	err = s.sweep(ctx, "sweep tasks of pool "+string(pool), func(ctx context.Context, q *dbsqlc.Queries, now time.Time) error {
		rows, err := q.OldestJobs(ctx, dbsqlc.OldestJobsParams{PoolID: string(pool), After: int64(after), MaxRows: sweepBatch})
		if err != nil || len(rows) == 0 {
			return err
		}
		before := now.Add(-keep)
		var over []int64
		for i := range rows {
			if ended := rows[i].FinishedAt; ended.Valid && ended.Time.Before(before) {
				over = append(over, rows[i].JobID)
			}
		}
		last := &rows[len(rows)-1]
		if len(rows) == sweepBatch && last.CreatedAt.Time.Before(before) {
			swept.Next = domain.JobID(last.JobID)
		}
		if len(over) > 0 {
			swept.Deleted, err = q.DeleteJobs(ctx, dbsqlc.DeleteJobsParams{PoolID: string(pool), JobIds: over})
		}
		if err != nil {
			return err
		}
		return raise(ctx, q, string(pool), store.HorizonTasks, before, swept.Deleted)
	})
	return swept, err
}

// SweepMessages implements store.Sweeps.
func (s *Store) SweepMessages(ctx context.Context, unread, acked time.Duration) (deleted int64, err error) {
	err = s.sweep(ctx, "sweep messages", func(ctx context.Context, q *dbsqlc.Queries, now time.Time) error {
		var over dbsqlc.DeleteMessagesParams
		rows, err := q.AckedMessages(ctx, dbsqlc.AckedMessagesParams{Before: instant(now.Add(-acked)), MaxRows: sweepBatch})
		if err != nil {
			return err
		}
		read := map[string]int64{}
		for i := range rows {
			over.Sources, over.Seqs = append(over.Sources, rows[i].Source), append(over.Seqs, rows[i].Seq)
			read[rows[i].Source]++
		}
		for source, n := range read {
			if err := raise(ctx, q, source, store.HorizonAcknowledged, now.Add(-acked), n); err != nil {
				return err
			}
		}
		sources, err := q.MessageSources(ctx)
		if err != nil {
			return err
		}
		for _, source := range sources {
			left := sweepBatch - len(over.Seqs)
			if left <= 0 {
				break
			}
			rows, err := q.OldMessages(ctx, dbsqlc.OldMessagesParams{Source: source, Before: instant(now.Add(-unread)), MaxRows: int32(left)})
			if err != nil {
				return err
			}
			for i := range rows {
				over.Sources, over.Seqs = append(over.Sources, rows[i].Source), append(over.Seqs, rows[i].Seq)
			}
			if err := raise(ctx, q, source, store.HorizonUnread, now.Add(-unread), int64(len(rows))); err != nil {
				return err
			}
		}
		if len(over.Seqs) > 0 {
			deleted, err = q.DeleteMessages(ctx, over)
		}
		return err
	})
	return deleted, err
}

// SweepAudit implements store.Sweeps: it drops the oldest day. One that somebody holds on
// to is left for another time.
func (s *Store) SweepAudit(ctx context.Context, keep time.Duration) (dropped int64, err error) {
	var refused error
	err = s.sweep(ctx, "drop a day of the audit trail", func(ctx context.Context, q *dbsqlc.Queries, now time.Time) error {
		if err := q.LockWait(ctx, milliseconds(dropTimeout)); err != nil {
			return err
		}
		day, err := q.OldestAuditDay(ctx)
		if err != nil || !day.Valid {
			return err
		}
		if dropped, refused = q.DropAuditDay(ctx, instant(now.Add(-keep))); refused != nil {
			return refused
		}
		return raise(ctx, q, "", store.HorizonAudit, day.Time.AddDate(0, 0, 1), dropped)
	})
	if hasCode(refused, codeLockNotAvailable) {
		return 0, nil
	}
	return dropped, err
}

// raise notes that something was deleted, if it was.
func raise(ctx context.Context, q *dbsqlc.Queries, source, what string, before time.Time, deleted int64) error {
	if deleted == 0 {
		return nil
	}
	return q.RaiseHorizon(ctx, dbsqlc.RaiseHorizonParams{Source: source, What: what, CutAt: instant(before), Deleted: deleted})
}

// OldestAudit implements store.Sweeps.
func (s *Store) OldestAudit(ctx context.Context) (oldest time.Time, err error) {
	err = s.write(ctx, "the oldest day of the audit trail", func(ctx context.Context, q *dbsqlc.Queries) error {
		day, err := q.OldestAuditDay(ctx)
		oldest = day.Time
		return err
	})
	return oldest, err
}

// sweep calls f in a transaction, unless another process sweeps just now.
func (s *Store) sweep(ctx context.Context, what string, f func(ctx context.Context, q *dbsqlc.Queries, now time.Time) error) error {
	return s.write(ctx, what, func(ctx context.Context, q *dbsqlc.Queries) error {
		mine, err := q.TryLockPool(ctx, s.lockKey("sweep", ""))
		if err != nil || !mine {
			return err
		}
		now, err := q.SweepNow(ctx, s.clock())
		if err != nil {
			return err
		}
		return f(ctx, q, now.Time)
	})
}
