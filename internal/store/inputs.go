package store

import (
	"context"
	"errors"
	"sync"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Inputs are what an executor gets of tasks and a turn does not read, by job id; jobs
// without are absent.
type Inputs struct {
	Payloads map[domain.JobID][]byte
	Labels   map[domain.JobID]map[string]string
}

// ReadInputs reads payloads and labels side by side: whoever waits for them holds units.
func ReadInputs(ctx context.Context, tasks Tasks, pool domain.PoolID, jobs []domain.JobID) (in Inputs, err error) {
	var both sync.WaitGroup
	var unlabelled error
	if labels, ok := tasks.(Labels); ok {
		both.Go(func() { in.Labels, unlabelled = labels.Labels(ctx, pool, jobs) })
	}
	in.Payloads, err = tasks.Payloads(ctx, pool, jobs)
	both.Wait()
	return in, errors.Join(err, unlabelled)
}
