package postgres

import (
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// How wrong the clock may be that a turn was decided by without reading the database's:
// ahead by what two clocks drift apart between readings, behind by as long as a
// statement may have waited for its turn on a busy server.
const (
	mostAhead  = 100 * time.Millisecond
	mostBehind = time.Second
)

// lookBehind is how many candidates a turn looks at behind a head that does not fit, beyond those
// that may overtake it.
const lookBehind = 32

// snapshot returns what a turn at now would read for the requests, and whether all of that is
// known, and no timer is due.
func (r *recollection) snapshot(rq *plan.Requests, now time.Time) (snap plan.Snapshot, enough bool) {
	p, c := &r.pool, &r.counters
	switch {
	case c.At.Sub(now) > mostAhead:
		return snap, false
	case rq.Len() != len(rq.Submits)+len(rq.Settles), rq.Len() == 0:
		return snap, false
	case c.NextDueAt != nil && !c.NextDueAt.After(now):
		return snap, false
	}
	now = latest(now, c.At)
	snap = plan.Snapshot{
		Now: now, Pool: *p, Counters: *c, NextDueAt: c.NextDueAt, LaneLimit: r.laneLimit(rq),
		Tenants: make(map[domain.Tenant]domain.TenantUsage),
		Known:   make(map[domain.TaskID]domain.Task),
		Held:    make(map[domain.JobID]domain.Task, len(rq.Settles)),
		Leases:  make(map[domain.JobID]domain.Lease),
	}
	for i := range rq.Settles {
		task, known := r.running[rq.Settles[i].Ref.JobID]
		if !known || task.Attempt != rq.Settles[i].Ref.Attempt || rq.Settles[i].Lease != "" || !r.tell(&snap, task.Tenant) {
			return snap, false
		}
		snap.Held[task.JobID] = task
	}
	for i := range rq.Submits {
		if !r.tell(&snap, rq.Submits[i].Tenant) {
			return snap, false
		}
	}
	for tenant, policy := range p.Tenants {
		if policy.MaxUnits > 0 || policy.MaxQueueDepth > 0 {
			r.tell(&snap, tenant) // or it has none yet
		}
	}
	return snap, r.candidates(&snap)
}

// laneLimit is how many candidates of a lane a turn looks at, as TurnState says.
func (r *recollection) laneLimit(rq *plan.Requests) int {
	p, c := &r.pool, &r.counters
	free := int64(p.MaxUnits-c.ActiveUnits) + freedUnits(rq)
	if p.State == domain.PoolDisabled || c.Queued == 0 || free <= 0 {
		return 0
	}
	if p.MaxOvertakes > 0 {
		free += int64(p.MaxOvertakes) + lookBehind
	}
	return int(min(free, plan.CandidateLimit))
}

// candidates puts the candidates into a snapshot, if all of the queue is known.
func (r *recollection) candidates(snap *plan.Snapshot) (known bool) {
	if snap.LaneLimit == 0 {
		snap.CandidatesCut = snap.Counters.Queued > 0
		return true
	}
	if int64(len(r.queue.tasks)) != r.queued() {
		return false
	}
	lanes := []string{""}
	for tenant, policy := range r.pool.Tenants {
		if policy.MaxUnits > 0 {
			lanes = append(lanes, string(tenant))
		}
	}
	for _, lane := range lanes {
		front := r.queue.front(lane, snap.LaneLimit+1)
		if len(front) > snap.LaneLimit {
			front, snap.CandidatesCut = front[:snap.LaneLimit], true
		}
		for i := range front {
			if !r.tell(snap, front[i].Tenant) {
				return false
			}
		}
		snap.Candidates = append(snap.Candidates, front...)
	}
	if len(lanes) > 1 {
		slices.SortFunc(snap.Candidates, func(a, b domain.Task) int {
			return byOrder(entrance{place: placeOf(&a)}, entrance{place: placeOf(&b)})
		})
	}
	return true
}

// tell puts a tenant's usage into a snapshot.
func (r *recollection) tell(snap *plan.Snapshot, tenant domain.Tenant) (known bool) {
	if _, told := snap.Tenants[tenant]; told {
		return true
	}
	usage, known := r.tenants[tenant]
	if known {
		snap.Tenants[tenant] = usage
	}
	return known
}

// allNew reports whether every task that is submitted has a row of its own: what was not looked up
// (unknown) is checked where rows are inserted.
func (t *turn) allNew() bool {
	if len(t.d.Inserted) == len(t.rq.Submits) {
		return true
	}
	inserted := make(map[domain.TaskID]bool, len(t.d.Inserted))
	for i := range t.d.Inserted {
		inserted[t.d.Inserted[i].TaskID] = true
	}
	return !slices.ContainsFunc(t.rq.Submits, func(s plan.Submit) bool { return !inserted[s.TaskID] })
}

// within narrows the clocks by which all turns of a convoy are right.
func within(p *dbsqlc.ExpressSettingsParams, now time.Time) {
	if from := now.Add(-mostAhead); !p.Earliest.Valid || from.After(p.Earliest.Time) {
		p.Earliest = instant(from)
	}
	if until := now.Add(mostBehind); !p.Latest.Valid || until.Before(p.Latest.Time) {
		p.Latest = instant(until)
	}
}
