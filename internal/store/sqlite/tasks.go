package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// Task implements store.Tasks.
func (s *Store) Task(ctx context.Context, pool domain.PoolID, id domain.TaskID) (task domain.Task, err error) {
	err = s.read(ctx, "task "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetTask(ctx, dbsqlc.GetTaskParams{PoolID: string(pool), TaskID: string(id)})
		if err != nil {
			return err
		}
		tasks := []domain.Task{taskOf(lightJob(row))}
		if err := addLabels(ctx, q, pool, tasks); err != nil {
			return err
		}
		task = tasks[0]
		result, err := q.Result(ctx, dbsqlc.ResultParams{PoolID: string(pool), JobID: row.JobID})
		task.Result = bytesOf(result)
		return err
	})
	return task, err
}

// ListTasks implements store.Tasks. Without a pool it merges all pools by time
// of arrival; Before then counts in each.
func (s *Store) ListTasks(ctx context.Context, f store.TaskFilter) (tasks []domain.Task, err error) {
	before := int64(f.Before)
	if before == 0 {
		before = math.MaxInt64
	}
	err = s.read(ctx, "list tasks", func(ctx context.Context, q *dbsqlc.Queries) error {
		pools := []string{string(f.Pool)}
		if f.Pool == "" {
			rows, err := q.ListPools(ctx)
			if err != nil {
				return err
			}
			pools = pools[:0]
			for i := range rows {
				pools = append(pools, rows[i].PoolID)
			}
		}
		for _, pool := range pools {
			rows, err := q.ListJobs(ctx, dbsqlc.ListJobsParams{
				PoolID: pool, Before: before, Status: string(f.Status), Tenant: string(f.Tenant),
				LabelKey: f.Label[0], LabelValue: f.Label[1], MaxRows: int64(f.Limit),
			})
			if err != nil {
				return err
			}
			some := make([]domain.Task, len(rows))
			for i := range rows {
				some[i] = taskOf(lightJob(rows[i]))
			}
			if err := addLabels(ctx, q, domain.PoolID(pool), some); err != nil {
				return err
			}
			tasks = append(tasks, some...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if f.Pool == "" {
		slices.SortFunc(tasks, func(a, b domain.Task) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.PoolID, b.PoolID), cmp.Compare(b.JobID, a.JobID))
		})
	}
	return tasks[:min(len(tasks), f.Limit)], nil
}

// addLabels reads the labels of tasks of one pool.
func addLabels(ctx context.Context, q *dbsqlc.Queries, pool domain.PoolID, tasks []domain.Task) error {
	if len(tasks) == 0 {
		return nil
	}
	at := make(map[int64]int, len(tasks))
	ids := make([]domain.JobID, len(tasks))
	for i := range tasks {
		ids[i] = tasks[i].JobID
		at[int64(ids[i])] = i
	}
	rows, err := q.Labels(ctx, dbsqlc.LabelsParams{PoolID: string(pool), JobIds: jsonOf(ids)})
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := json.Unmarshal(bytesOf(r.Labels), &tasks[at[r.JobID]].Labels); err != nil {
			return fmt.Errorf("labels of job %d: %w", r.JobID, err)
		}
	}
	return nil
}

// Attempts implements store.Tasks.
func (s *Store) Attempts(ctx context.Context, refs []domain.Ref) (map[domain.Ref]domain.Task, error) {
	live := make(map[domain.Ref]domain.Task, len(refs))
	err := s.read(ctx, "attempts", func(ctx context.Context, q *dbsqlc.Queries) error {
		for _, ref := range refs {
			task, err := attempt(ctx, q, ref)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			live[ref] = task
		}
		return nil
	})
	return live, err
}

func attempt(ctx context.Context, q *dbsqlc.Queries, ref domain.Ref) (domain.Task, error) {
	row, err := q.Attempt(ctx, dbsqlc.AttemptParams{
		PoolID: string(ref.PoolID), JobID: int64(ref.JobID), Attempt: int64(ref.Attempt),
	})
	if err != nil {
		return domain.Task{}, err
	}
	tasks := []domain.Task{taskOf(lightJob(row))}
	if err := addLabels(ctx, q, ref.PoolID, tasks); err != nil {
		return domain.Task{}, err
	}
	payloads, err := payloadsOf(ctx, q, ref.PoolID, []domain.JobID{ref.JobID})
	tasks[0].Payload = payloads[ref.JobID]
	return tasks[0], err
}

// Payloads implements store.Tasks.
func (s *Store) Payloads(ctx context.Context, pool domain.PoolID, jobs []domain.JobID) (payloads map[domain.JobID][]byte, err error) {
	err = s.read(ctx, "payloads", func(ctx context.Context, q *dbsqlc.Queries) error {
		payloads, err = payloadsOf(ctx, q, pool, jobs)
		return err
	})
	return payloads, err
}

func payloadsOf(ctx context.Context, q *dbsqlc.Queries, pool domain.PoolID, jobs []domain.JobID) (map[domain.JobID][]byte, error) {
	rows, err := q.Payloads(ctx, dbsqlc.PayloadsParams{PoolID: string(pool), JobIds: jsonOf(jobs)})
	payloads := make(map[domain.JobID][]byte, len(rows))
	for _, r := range rows {
		payloads[domain.JobID(r.JobID)] = bytesOf(r.Payload)
	}
	return payloads, err
}

// Position implements store.Tasks.
func (s *Store) Position(ctx context.Context, pool domain.PoolID, job domain.JobID) (place int64, err error) {
	err = s.read(ctx, "position", func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetPool(ctx, string(pool))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		p, err := poolOf(row)
		if err != nil {
			return err
		}
		last, err := q.LastTurn(ctx, string(pool))
		if err != nil {
			return fmt.Errorf("counters: %w", err)
		}
		counters := countersOf(last)
		place, err = position(ctx, q, &p, &counters, job)
		return err
	})
	return place, err
}

// Held implements store.Tasks.
func (s *Store) Held(ctx context.Context, pool domain.PoolID, holder domain.WorkerID, after domain.JobID, limit int) (tasks []domain.Task, err error) {
	err = s.read(ctx, "held tasks", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.HeldJobs(ctx, dbsqlc.HeldJobsParams{
			PoolID: string(pool), Holder: string(holder), After: int64(after), MaxRows: int64(limit),
		})
		for i := range rows {
			tasks = append(tasks, taskOf(lightJob(rows[i])))
		}
		return err
	})
	return tasks, err
}
