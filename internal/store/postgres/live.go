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
	pool     string
	unqueued []int64
	ended    []int64
	queued   dbsqlc.MarkQueuedParams
	moved    dbsqlc.MoveQueuedParams
	running  []int64
}

func liveOf(pool domain.PoolID, d *plan.Decisions) *live {
	l := &live{pool: string(pool)}
	for i := range d.Inserted {
		l.enter(&d.Inserted[i])
	}
	for i := range d.Changed {
		c := &d.Changed[i]
		t := &c.Task
		if c.FromStatus == t.Status {
			if t.Status == domain.StatusQueued {
				l.move(t)
			}
			continue
		}
		switch c.FromStatus {
		case domain.StatusQueued:
			l.unqueued = append(l.unqueued, int64(t.JobID))
			l.enter(t)
		case domain.StatusRunning:
			l.ended = append(l.ended, int64(t.JobID))
			l.enter(t)
		}
	}
	return l
}

// enter notes where a task of a new status is to be found.
func (l *live) enter(t *domain.Task) {
	switch t.Status {
	case domain.StatusRunning:
		l.running = append(l.running, int64(t.JobID))
	case domain.StatusQueued:
		q := &l.queued
		q.PoolID = l.pool
		q.JobIds, q.Tenants, q.Lanes = append(q.JobIds, int64(t.JobID)), append(q.Tenants, string(t.Tenant)), append(q.Lanes, t.Lane)
		q.Priorities, q.Ranks = append(q.Priorities, int16(t.Priority)), append(q.Ranks, t.Rank)
		q.Deadlines, q.NotBefores = append(q.Deadlines, maybeInstant(t.Deadline)), append(q.NotBefores, maybeInstant(t.NotBefore))
	}
}

// move notes a task that stays in the queue.
func (l *live) move(t *domain.Task) {
	m := &l.moved
	m.PoolID = l.pool
	m.JobIds, m.Lanes, m.Priorities = append(m.JobIds, int64(t.JobID)), append(m.Lanes, t.Lane), append(m.Priorities, int16(t.Priority))
	m.Ranks, m.NotBefores = append(m.Ranks, t.Rank), append(m.NotBefores, maybeInstant(t.NotBefore))
	m.Want++
}

// write sends it, the departures first. It is called twice; see pipelined.
func (l *live) write(ctx context.Context, p pipe) error {
	if n := len(l.unqueued); n > 0 {
		if err := p.UnmarkQueued(ctx, dbsqlc.UnmarkQueuedParams{PoolID: l.pool, JobIds: l.unqueued, Want: int64(n)}); err != nil {
			return err
		}
	}
	if n := len(l.ended); n > 0 {
		if err := p.UnmarkRunning(ctx, dbsqlc.UnmarkRunningParams{PoolID: l.pool, JobIds: l.ended, Want: int64(n)}); err != nil {
			return err
		}
	}
	if len(l.moved.JobIds) > 0 {
		if err := p.MoveQueued(ctx, l.moved); err != nil {
			return err
		}
	}
	if len(l.queued.JobIds) > 0 {
		if err := p.MarkQueued(ctx, l.queued); err != nil {
			return err
		}
	}
	if len(l.running) > 0 {
		return p.MarkRunning(ctx, dbsqlc.MarkRunningParams{PoolID: l.pool, JobIds: l.running})
	}
	return nil
}
