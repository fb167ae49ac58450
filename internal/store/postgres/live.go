package postgres

import (
	"context"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store/postgres/composite"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// live is what a turn changes of pl_queued_jobs and pl_running_jobs, so that they name
// exactly the tasks that are queued and running.
type live struct {
	unqueued dbsqlc.UnmarkQueuedParams
	queued   []composite.Row
	moved    dbsqlc.MoveQueuedParams
	running  dbsqlc.MarkRunningParams
}

// add notes what a turn of the pool changes.
func (l *live) add(b *composite.Builder, pool domain.PoolID, d *plan.Decisions) {
	for i := range d.Inserted {
		if t := &d.Inserted[i]; t.Status == domain.StatusQueued { // InsertJobs marks those that run
			l.enter(b, pool, t)
		}
	}
	for i := range d.Changed {
		c := &d.Changed[i]
		t := &c.Task
		if c.FromStatus == t.Status {
			if t.Status == domain.StatusQueued {
				l.moved.Marks, l.moved.Want = append(l.moved.Marks, markRow(b, pool, t)), l.moved.Want+1
			}
			continue
		}
		switch c.FromStatus {
		case domain.StatusQueued:
			w := &l.unqueued
			w.PoolIds, w.JobIds, w.Want = append(w.PoolIds, string(pool)), append(w.JobIds, int64(t.JobID)), w.Want+1
			l.enter(b, pool, t)
		case domain.StatusRunning:
			l.enter(b, pool, t) // UpdateJobs takes the mark away
		}
	}
}

// enter notes where a task of a new status is to be found.
func (l *live) enter(b *composite.Builder, pool domain.PoolID, t *domain.Task) {
	switch t.Status {
	case domain.StatusRunning:
		l.running.PoolIds, l.running.JobIds = append(l.running.PoolIds, string(pool)), append(l.running.JobIds, int64(t.JobID))
	case domain.StatusQueued:
		l.queued = append(l.queued, markRow(b, pool, t))
	}
}

// write sends it, the departures first. It is called twice; see pipelined.
func (l *live) write(ctx context.Context, p pipe) error {
	if l.unqueued.Want > 0 {
		if err := p.UnmarkQueued(ctx, l.unqueued); err != nil {
			return err
		}
	}
	if l.moved.Want > 0 {
		if err := p.MoveQueued(ctx, l.moved); err != nil {
			return err
		}
	}
	if len(l.queued) > 0 {
		if err := p.MarkQueued(ctx, l.queued); err != nil {
			return err
		}
	}
	if len(l.running.JobIds) > 0 {
		return p.MarkRunning(ctx, l.running)
	}
	return nil
}
