package sqlite

import (
	"context"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// Labels implements store.Labels.
func (s *Store) Labels(ctx context.Context, pool domain.PoolID, jobs []domain.JobID) (labels map[domain.JobID]map[string]string, err error) {
	tasks := make([]domain.Task, len(jobs))
	for i, job := range jobs {
		tasks[i].JobID = job
	}
	err = s.read(ctx, "labels", func(ctx context.Context, q *dbsqlc.Queries) error {
		return addLabels(ctx, q, pool, tasks)
	})
	labels = make(map[domain.JobID]map[string]string, len(jobs))
	for i := range tasks {
		if tasks[i].Labels != nil {
			labels[tasks[i].JobID] = tasks[i].Labels
		}
	}
	return labels, err
}
