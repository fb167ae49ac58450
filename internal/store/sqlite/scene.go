package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// Scene implements store.Tasks.
func (s *Store) Scene(ctx context.Context, pool domain.PoolID, id domain.TaskID, now time.Time) (scene plan.Scene, err error) {
	err = s.read(ctx, "scene of task "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetTask(ctx, dbsqlc.GetTaskParams{PoolID: string(pool), TaskID: string(id)})
		if err != nil {
			return err
		}
		scene.Task = taskOf(lightJob(row))
		if scene.Snapshot, err = front(ctx, q, pool, scene.Task.Tenant, now); err != nil {
			return err
		}
		if scene.Position, err = position(ctx, q, &scene.Pool, &scene.Counters, scene.Task.JobID); err != nil {
			return err
		}
		held, err := q.HeldJobs(ctx, dbsqlc.HeldJobsParams{PoolID: string(pool), MaxRows: store.SceneHolders})
		for i := range held {
			scene.Holders = append(scene.Holders, taskOf(lightJob(held[i])))
		}
		return err
	})
	return scene, err
}

// front reads the part of a pool's snapshot that a reader needs.
func front(ctx context.Context, q *dbsqlc.Queries, id domain.PoolID, tenant domain.Tenant, now time.Time) (plan.Snapshot, error) {
	snap := plan.Snapshot{Now: now.UTC().Truncate(time.Microsecond), LaneLimit: plan.CandidateLimit}
	row, err := q.GetPool(ctx, string(id))
	if err != nil {
		return snap, err
	}
	if snap.Pool, err = poolOf(row); err != nil {
		return snap, err
	}
	last, err := q.LastTurn(ctx, string(id))
	if err != nil {
		return snap, fmt.Errorf("counters: %w", err)
	}
	snap.Counters = countersOf(last)
	if snap.Now.Before(snap.Counters.At) {
		snap.Now = snap.Counters.At
	}
	if err := readFronts(ctx, q, &snap); err != nil {
		return snap, err
	}
	return snap, readUsages(ctx, q, &snap, tenant)
}

// position counts who comes before a job in the order: the classes above are in the
// counters, of its own one range of the order index is counted in each lane.
func position(ctx context.Context, q *dbsqlc.Queries, pool *domain.Pool, counters *domain.Counters, job domain.JobID) (int64, error) {
	places, err := q.QueuePlace(ctx, dbsqlc.QueuePlaceParams{PoolID: string(pool.PoolID), JobID: int64(job)})
	if err != nil || len(places) == 0 {
		return 0, err
	}
	place := places[0]
	n := int64(1)
	for class := place.Priority + 1; class < int64(domain.PriorityClasses); class++ {
		n += counters.QueuedBy[class]
	}
	for _, lane := range lanes(pool) {
		ahead, err := q.CountAhead(ctx, dbsqlc.CountAheadParams{
			PoolID: string(pool.PoolID), Lane: lane, Priority: place.Priority, Rank: place.Rank, JobID: place.JobID,
		})
		if err != nil {
			return 0, err
		}
		n += ahead
	}
	return n, nil
}

// RecentCounters implements store.Pools.
func (s *Store) RecentCounters(ctx context.Context, pool domain.PoolID, limit int) (recent []domain.Counters, err error) {
	err = s.read(ctx, "turns of pool "+string(pool), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.RecentTurns(ctx, dbsqlc.RecentTurnsParams{PoolID: string(pool), MaxRows: int64(limit)})
		for _, row := range slices.Backward(rows) {
			recent = append(recent, countersOf(row))
		}
		return err
	})
	return recent, err
}
