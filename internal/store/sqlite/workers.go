package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// Heartbeat implements store.Workers.
func (s *Store) Heartbeat(ctx context.Context, w store.Worker, now time.Time) error {
	return s.write(ctx, "heartbeat of "+string(w.ID), func(ctx context.Context, q *dbsqlc.Queries) error {
		if err := checkText("a worker", string(w.ID), w.Role, w.Host); err != nil {
			return err
		}
		n, err := q.UpsertWorker(ctx, dbsqlc.UpsertWorkerParams{
			WorkerID: string(w.ID), Role: w.Role, Host: w.Host, Pid: int64(w.PID),
			StartedAt: micros(s.clockOr(w.StartedAt)), Now: micros(s.clockOr(now)),
		})
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: %w", store.ErrGuard,
				domain.Errorf(domain.CodeConflict, "worker %s was marked dead; start again under a new id", w.ID))
		}
		return nil
	})
}

// ListWorkers implements store.Workers.
func (s *Store) ListWorkers(ctx context.Context) (workers []store.Worker, err error) {
	err = s.read(ctx, "workers", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListWorkers(ctx)
		workers = workersOf(rows)
		return err
	})
	return workers, err
}

// Reap implements store.Workers. The writer's mutex is the lock.
func (s *Store) Reap(ctx context.Context, ttl time.Duration, now time.Time) (dead []store.Worker, err error) {
	err = s.write(ctx, "reap", func(ctx context.Context, q *dbsqlc.Queries) error {
		at := s.clockOr(now)
		if _, err := q.MarkDead(ctx, dbsqlc.MarkDeadParams{Now: new(micros(at)), Before: micros(at.Add(-ttl))}); err != nil {
			return err
		}
		rows, err := q.ListDead(ctx)
		dead = workersOf(rows)
		return err
	})
	return dead, err
}

func workersOf(rows []dbsqlc.PlWorker) []store.Worker {
	workers := make([]store.Worker, len(rows))
	for i, r := range rows {
		workers[i] = store.Worker{
			ID: domain.WorkerID(r.WorkerID), Role: r.Role, Host: r.Host, PID: int(r.Pid),
			StartedAt: timeOf(r.StartedAt), HeartbeatAt: timeOf(r.HeartbeatAt), DeadAt: timePtr(r.DeadAt),
		}
	}
	return workers
}

// Orphans implements store.Workers.
func (s *Store) Orphans(ctx context.Context, pool domain.PoolID, after domain.JobID, limit int) (tasks []domain.Task, err error) {
	err = s.read(ctx, "orphans", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.OrphanJobs(ctx, dbsqlc.OrphanJobsParams{PoolID: string(pool), After: int64(after), MaxRows: int64(limit)})
		for i := range rows {
			tasks = append(tasks, taskOf(lightJob(rows[i])))
		}
		return err
	})
	return tasks, err
}

// Forget implements store.Workers.
func (s *Store) Forget(ctx context.Context, id domain.WorkerID) error {
	return s.write(ctx, "forget "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		return q.ForgetWorker(ctx, string(id))
	})
}
