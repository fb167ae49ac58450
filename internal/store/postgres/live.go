package postgres

import (
	"context"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// live is what a turn changes of pl_queued_jobs and pl_running_jobs, so that they name
// exactly the tasks that are queued and running.
type live struct {
	unqueued dbsqlc.UnmarkQueuedParams
	queued   dbsqlc.MarkQueuedParams
	moved    dbsqlc.MoveQueuedParams
	running  dbsqlc.MarkRunningParams
}

// add notes what a turn of the pool changes.
func (l *live) add(pool domain.PoolID, d *plan.Decisions) {
	id := string(pool)
	for i := range d.Inserted {
		if t := &d.Inserted[i]; t.Status == domain.StatusQueued { // InsertJobs marks those that run
			l.enter(id, t)
		}
	}
	for i := range d.Changed {
		c := &d.Changed[i]
		t := &c.Task
		if c.FromStatus == t.Status {
			if t.Status == domain.StatusQueued {
				l.move(id, t)
			}
			continue
		}
		switch c.FromStatus {
		case domain.StatusQueued:
			w := &l.unqueued
			w.PoolIds, w.JobIds, w.Want = append(w.PoolIds, id), append(w.JobIds, int64(t.JobID)), w.Want+1
			l.enter(id, t)
		case domain.StatusRunning:
			l.enter(id, t) // UpdateJobs takes the mark away
		}
	}
}

// enter notes where a task of a new status is to be found.
func (l *live) enter(pool string, t *domain.Task) {
	switch t.Status {
	case domain.StatusRunning:
		l.running.PoolIds, l.running.JobIds = append(l.running.PoolIds, pool), append(l.running.JobIds, int64(t.JobID))
	case domain.StatusQueued:
		q := &l.queued
		q.PoolIds, q.JobIds = append(q.PoolIds, pool), append(q.JobIds, int64(t.JobID))
		q.Tenants, q.Lanes = append(q.Tenants, string(t.Tenant)), append(q.Lanes, t.Lane)
		q.Priorities, q.Ranks = append(q.Priorities, int16(t.Priority)), append(q.Ranks, t.Rank)
		q.Deadlines, q.NotBefores = append(q.Deadlines, maybeInstant(t.Deadline)), append(q.NotBefores, maybeInstant(t.NotBefore))
	}
}

// move notes a task that stays in the queue.
func (l *live) move(pool string, t *domain.Task) {
	m := &l.moved
	m.PoolIds, m.JobIds = append(m.PoolIds, pool), append(m.JobIds, int64(t.JobID))
	m.Lanes, m.Priorities = append(m.Lanes, t.Lane), append(m.Priorities, int16(t.Priority))
	m.Ranks, m.NotBefores = append(m.Ranks, t.Rank), append(m.NotBefores, maybeInstant(t.NotBefore))
	m.Want++
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
	if len(l.queued.JobIds) > 0 {
		if err := p.MarkQueued(ctx, l.queued); err != nil {
			return err
		}
	}
	if len(l.running.JobIds) > 0 {
		return p.MarkRunning(ctx, l.running)
	}
	return nil
}
