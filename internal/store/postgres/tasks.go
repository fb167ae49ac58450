package postgres

import (
	"context"
	"math"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// Task implements store.Tasks.
func (s *Store) Task(ctx context.Context, pool domain.PoolID, id domain.TaskID) (domain.Task, error) {
	var task domain.Task
	err := s.read(ctx, "task "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetTask(ctx, dbsqlc.GetTaskParams{PoolID: string(pool), TaskID: string(id)})
		if err != nil {
			return err
		}
		task = taskOf(&row.PlQueueJobsLight)
		task.Result = maybeBytes(row.Result)
		task.Labels, err = labelsOf(row.Labels)
		return err
	})
	return task, err
}

// ListTasks implements store.Tasks.
func (s *Store) ListTasks(ctx context.Context, f store.TaskFilter) ([]domain.Task, error) {
	before := int64(f.Before)
	if before == 0 {
		before = math.MaxInt64
	}
	var tasks []domain.Task
	err := s.read(ctx, "list tasks", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListJobs(ctx, dbsqlc.ListJobsParams{
			PoolID: string(f.Pool), Before: before, Status: string(f.Status), Tenant: string(f.Tenant),
			LabelKey: f.Label[0], LabelValue: f.Label[1], MaxRows: int32(f.Limit),
		})
		if err != nil {
			return err
		}
		for i := range rows {
			task := taskOf(&rows[i].PlQueueJobsLight)
			if task.Labels, err = labelsOf(rows[i].Labels); err != nil {
				return err
			}
			tasks = append(tasks, task)
		}
		return nil
	})
	return tasks, err
}

// Attempts implements store.Tasks.
func (s *Store) Attempts(ctx context.Context, refs []domain.Ref) (map[domain.Ref]domain.Task, error) {
	var of dbsqlc.AttemptsParams
	for _, ref := range refs {
		of.PoolIds = append(of.PoolIds, string(ref.PoolID))
		of.JobIds = append(of.JobIds, int64(ref.JobID))
		of.Attempts = append(of.Attempts, int32(ref.Attempt))
	}
	live := make(map[domain.Ref]domain.Task, len(refs))
	err := s.read(ctx, "attempts", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.Attempts(ctx, of)
		if err != nil {
			return err
		}
		for i := range rows {
			task, err := attemptOf(&rows[i])
			if err != nil {
				return err
			}
			live[task.Ref()] = task
		}
		return nil
	})
	return live, err
}

// Payloads implements store.Tasks.
func (s *Store) Payloads(ctx context.Context, pool domain.PoolID, jobs []domain.JobID) (map[domain.JobID][]byte, error) {
	ids := make([]int64, len(jobs))
	for i, job := range jobs {
		ids[i] = int64(job)
	}
	payloads := map[domain.JobID][]byte{}
	err := s.read(ctx, "payloads of pool "+string(pool), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.Payloads(ctx, dbsqlc.PayloadsParams{PoolID: string(pool), JobIds: ids})
		for _, row := range rows {
			payloads[domain.JobID(row.JobID)] = maybeBytes(row.Payload)
		}
		return err
	})
	return payloads, err
}

// Labels implements store.Labels.
func (s *Store) Labels(ctx context.Context, pool domain.PoolID, jobs []domain.JobID) (map[domain.JobID]map[string]string, error) {
	ids := make([]int64, len(jobs))
	for i, job := range jobs {
		ids[i] = int64(job)
	}
	labels := map[domain.JobID]map[string]string{}
	err := s.read(ctx, "labels of pool "+string(pool), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.Labels(ctx, dbsqlc.LabelsParams{PoolID: string(pool), JobIds: ids})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if labels[domain.JobID(row.JobID)], err = labelsOf(row.Labels); err != nil {
				return err
			}
		}
		return nil
	})
	return labels, err
}

// Position implements store.Tasks.
func (s *Store) Position(ctx context.Context, pool domain.PoolID, job domain.JobID) (int64, error) {
	var position int64
	err := s.read(ctx, "position in pool "+string(pool), func(ctx context.Context, q *dbsqlc.Queries) (err error) {
		position, err = q.QueuePosition(ctx, dbsqlc.QueuePositionParams{PoolID: string(pool), JobID: int64(job)})
		return err
	})
	return position, err
}

// Held implements store.Tasks. The Holder of a worker pool's task is who attempts
// its River job.
func (s *Store) Held(
	ctx context.Context, pool domain.PoolID, holder domain.WorkerID, after domain.JobID, limit int,
) ([]domain.Task, error) {
	var tasks []domain.Task
	err := s.read(ctx, "held tasks of pool "+string(pool), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.HeldJobs(ctx, dbsqlc.HeldJobsParams{
			PoolID: string(pool), After: int64(after), Holder: string(holder), MaxRows: int32(limit),
		})
		tasks = heldTasks(rows)
		return err
	})
	return tasks, err
}
