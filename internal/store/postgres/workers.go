package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/migrate"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// nowOr is now as a parameter; zero: the store's clock.
func (s *Store) nowOr(now time.Time) pgtype.Timestamptz {
	if now.IsZero() {
		return s.clock()
	}
	return instant(now)
}

// Heartbeat implements store.Workers, on a connection of its own. The first one of a
// worker says hello to the other processes, which from then on send hints.
func (s *Store) Heartbeat(ctx context.Context, w store.Worker, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	row, err := dbsqlc.New(s.beats).UpsertWorker(ctx, dbsqlc.UpsertWorkerParams{
		WorkerID: string(w.ID), Role: w.Role, Host: w.Host, Pid: int32(w.PID), Program: migrate.Program(),
		StartedAt: s.nowOr(w.StartedAt), Now: s.nowOr(now),
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("postgres: heartbeat: worker %s was marked dead: %w", w.ID, store.ErrGuard)
	}
	if err != nil {
		return classify("heartbeat", err)
	}
	s.peers.mine(string(w.ID))
	if row.Inserted {
		if err := s.notify(ctx, s.beats, nil); err != nil { // the others find out within peersFor anyway
			s.log.WarnContext(ctx, "say hello to the other processes", "error", err)
		}
	}
	if row.OldestProgram > migrate.Program() {
		return fmt.Errorf("postgres: heartbeat: %w: it is for programs that know migration %d, this one knows %d", store.ErrOutdated, row.OldestProgram, migrate.Program())
	}
	return nil
}

// ListWorkers implements store.Workers.
func (s *Store) ListWorkers(ctx context.Context) ([]store.Worker, error) {
	var workers []store.Worker
	err := s.read(ctx, "list workers", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListWorkers(ctx)
		for i := range rows {
			workers = append(workers, workerOf(&rows[i]))
		}
		return err
	})
	return workers, err
}

// Reap implements store.Workers.
func (s *Store) Reap(ctx context.Context, ttl time.Duration, now time.Time) ([]store.Worker, error) {
	var dead []store.Worker
	err := s.write(ctx, "reap", func(ctx context.Context, q *dbsqlc.Queries) error {
		locked, err := q.TryLockPool(ctx, s.lockKey("reap", ""))
		if err != nil || !locked {
			return err
		}
		at := s.nowOr(now)
		if _, err := q.MarkDead(ctx, dbsqlc.MarkDeadParams{Now: at, TtlSecs: ttl.Seconds()}); err != nil {
			return err
		}
		rows, err := q.ListDead(ctx)
		for i := range rows {
			dead = append(dead, workerOf(&rows[i]))
		}
		return err
	})
	return dead, err
}

// Orphans implements store.Workers. Holder is who attempts the River job in a
// worker pool.
func (s *Store) Orphans(ctx context.Context, pool domain.PoolID, after domain.JobID, limit int) ([]domain.Task, error) {
	var tasks []domain.Task
	err := s.read(ctx, "orphans of pool "+string(pool), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.OrphanJobs(ctx, dbsqlc.OrphanJobsParams{PoolID: string(pool), After: int64(after), MaxRows: int32(limit)})
		for i := range rows {
			tasks = append(tasks, heldTask((*dbsqlc.HeldJobsRow)(&rows[i])))
		}
		return err
	})
	return tasks, err
}

// Forget implements store.Workers.
func (s *Store) Forget(ctx context.Context, id domain.WorkerID) error {
	return s.read(ctx, "forget worker "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		return q.ForgetWorker(ctx, string(id))
	})
}
