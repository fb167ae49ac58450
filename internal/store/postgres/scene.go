package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// Scene implements store.Tasks.
func (s *Store) Scene(ctx context.Context, pool domain.PoolID, id domain.TaskID, now time.Time) (plan.Scene, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var scene plan.Scene
	oneSnapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.pool, oneSnapshot, func(tx pgx.Tx) error {
		q := dbsqlc.New(tx)
		if err := s.planner(ctx, q); err != nil {
			return err
		}
		row, err := q.GetTask(ctx, dbsqlc.GetTaskParams{PoolID: string(pool), TaskID: string(id)})
		if err != nil {
			return err
		}
		scene.Task = taskOf(&row.PlQueueJobsLight)
		if scene.Snapshot, err = front(ctx, q, pool, scene.Task.Tenant, now); err != nil {
			return err
		}
		if scene.Position, err = q.QueuePosition(ctx, dbsqlc.QueuePositionParams{PoolID: string(pool), JobID: row.PlQueueJobsLight.JobID}); err != nil {
			return err
		}
		return holders(ctx, q, &scene)
	})
	return scene, classify("scene of task "+string(id), err)
}

// front reads the part of a pool's snapshot that a reader needs.
func front(ctx context.Context, q *dbsqlc.Queries, id domain.PoolID, tenant domain.Tenant, now time.Time) (plan.Snapshot, error) {
	pool, err := q.GetPool(ctx, string(id))
	if err != nil {
		return plan.Snapshot{}, err
	}
	last, err := q.LastTurn(ctx, string(id))
	if err != nil {
		return plan.Snapshot{}, err
	}
	usages, err := q.TurnTenants(ctx, dbsqlc.TurnTenantsParams{Tenants: []string{string(tenant)}, PoolID: string(id)})
	if err != nil {
		return plan.Snapshot{}, err
	}
	rows, err := q.LaneFronts(ctx, dbsqlc.LaneFrontsParams{PoolID: string(id), MaxRows: plan.CandidateLimit + 1})
	if err != nil {
		return plan.Snapshot{}, err
	}
	r := &reads{pool: id, usages: usages, candidates: make([]dbsqlc.CandidatesRow, len(rows))}
	r.found.PlPool, r.found.PlPoolTurn, r.found.Take = pool, last, plan.CandidateLimit+1
	r.found.Now = instant(latest(now.Truncate(time.Microsecond), last.At.Time))
	for i := range rows {
		r.candidates[i] = dbsqlc.CandidatesRow(rows[i])
	}
	snap, err := r.snapshot()
	snap.Leases = nil // a reader asks for none
	return snap, err
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// holders adds who runs, and who runs the task of the scene.
func holders(ctx context.Context, q *dbsqlc.Queries, scene *plan.Scene) error {
	pool := string(scene.Pool.PoolID)
	rows, err := q.HeldJobs(ctx, dbsqlc.HeldJobsParams{PoolID: pool, MaxRows: store.SceneHolders})
	if err != nil {
		return err
	}
	scene.Holders = heldTasks(rows)
	if scene.Task.Status != domain.StatusRunning {
		return nil
	}
	own, err := q.HeldJobs(ctx, dbsqlc.HeldJobsParams{PoolID: pool, After: int64(scene.Task.JobID) - 1, MaxRows: 1})
	if tasks := heldTasks(own); len(tasks) > 0 && tasks[0].JobID == scene.Task.JobID {
		scene.Task.Holder = tasks[0].Holder
	}
	return err
}

// heldTasks: the Holder of a worker pool's task is who attempts its River job.
func heldTasks(rows []dbsqlc.HeldJobsRow) []domain.Task {
	tasks := make([]domain.Task, 0, len(rows))
	for i := range rows {
		tasks = append(tasks, heldTask(&rows[i]))
	}
	return tasks
}

// RecentCounters implements store.Pools.
func (s *Store) RecentCounters(ctx context.Context, pool domain.PoolID, limit int) ([]domain.Counters, error) {
	var recent []domain.Counters
	err := s.read(ctx, "turns of pool "+string(pool), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.RecentTurns(ctx, dbsqlc.RecentTurnsParams{PoolID: string(pool), MaxRows: int32(limit)})
		for i := len(rows) - 1; i >= 0; i-- {
			recent = append(recent, countersOf(&rows[i]))
		}
		return err
	})
	return recent, err
}
