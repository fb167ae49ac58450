package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// unknownUnits stands for units that a turn may free, too many to bound a read by.
const unknownUnits = 1 << 40

// reads are the queries of one snapshot and their answers.
type reads struct {
	pool    domain.PoolID
	careful bool
	state   dbsqlc.TurnStateParams
	taskIDs []string // named by requests
	jobIDs  []int64
	tenants []string
	leased  []int64 // jobs that settlements and losses name, if a lease may be on them

	// recalled is what the reads leave out as known; nil: they leave out nothing. Trusting, they
	// leave out all of it, as long as no other process has taken a turn since; else only tasks that
	// run here, which the guard of the write watches.
	recalled *recollection
	trusting bool
	// emptyQueue leaves out candidates and timers: nothing was queued after the last turn known.
	emptyQueue bool
	known      []int64 // of jobIDs, those that are recalled

	found      dbsqlc.TurnStateRow
	usages     []dbsqlc.TurnTenantsRow
	named      []dbsqlc.KnownJobsRow
	held       []dbsqlc.JobsByIDRow
	candidates []dbsqlc.CandidatesRow
	due        []dbsqlc.DueJobsRow
	rested     []dbsqlc.RestedJobsRow
	leases     []dbsqlc.PlLease
}

func (t *turn) newReads(recalled *recollection) *reads {
	rq := t.rq
	r := &reads{
		pool:    t.spec.Pool,
		careful: t.careful,
		state: dbsqlc.TurnStateParams{
			PoolID: string(t.spec.Pool), Now: t.clock(), Extra: freedUnits(rq), CandidateLimit: plan.CandidateLimit, LookBehind: lookBehind,
			Wanted: rq.Wanted(),
		},
		leased: jobNumbers(rq.LeasedJobs()),
	}
	tenants := map[domain.Tenant]bool{}
	for i := range rq.Submits {
		r.taskIDs = append(r.taskIDs, string(rq.Submits[i].TaskID))
		tenants[rq.Submits[i].Tenant] = true
	}
	for i := range rq.Forces {
		r.taskIDs = append(r.taskIDs, string(rq.Forces[i].TaskID))
	}
	for i := range rq.Cancels {
		r.taskIDs = append(r.taskIDs, string(rq.Cancels[i].TaskID))
	}
	slices.Sort(r.taskIDs)
	r.taskIDs = slices.Compact(r.taskIDs)
	for i := range rq.Settles {
		ref := &rq.Settles[i].Ref
		if recalled != nil && !t.careful {
			if task, known := recalled.running[ref.JobID]; known && task.Attempt == ref.Attempt {
				r.known = append(r.known, int64(ref.JobID))
				tenants[task.Tenant] = true
				continue
			}
		}
		r.jobIDs = append(r.jobIDs, int64(ref.JobID))
	}
	for i := range rq.Losts {
		r.jobIDs = append(r.jobIDs, int64(rq.Losts[i].Ref.JobID))
	}
	slices.Sort(r.jobIDs)
	r.jobIDs = slices.Compact(r.jobIDs)
	if !t.careful {
		r.recalled, r.trusting = recalled, recalled.trusted()
		r.emptyQueue = r.trusting && recalled.queued() == 0
	}
	for tenant := range tenants {
		r.tenants = append(r.tenants, string(tenant))
	}
	return r
}

// freedUnits returns what the requests may give back, beyond what is free: it
// bounds how many candidates can start.
func freedUnits(rq *plan.Requests) int64 {
	switch {
	case rq.NoStart:
		return -unknownUnits
	case len(rq.Losts)+len(rq.Forces)+len(rq.Changes) > 0:
		return unknownUnits
	}
	var units domain.Units
	for i := range rq.Settles {
		if rq.Settles[i].Lease != "" {
			return unknownUnits // a remote worker does not say how many it had
		}
		units = units.Add(max(0, rq.Settles[i].Units))
	}
	return int64(min(units, unknownUnits))
}

// Bounds of what is read for requests that have not come yet.
const mostForeseen = 256 // tenants

// foresee returns the reads for a turn whose requests are not known yet: submissions for tenants
// met in the last turn, and settlements of tasks that run here. nil: that is not worth it.
func (t *turn) foresee(recalled *recollection) *reads {
	if recalled == nil || t.careful || recalled.solo > 0 || recalled.pool.Runtime == domain.RuntimeWeb || len(recalled.tenants) > mostForeseen {
		return nil
	}
	r := &reads{
		pool: t.spec.Pool, recalled: recalled, emptyQueue: recalled.queued() == 0,
		state: dbsqlc.TurnStateParams{PoolID: string(t.spec.Pool), Now: t.clock(), CandidateLimit: plan.CandidateLimit, LookBehind: lookBehind},
	}
	for tenant := range recalled.tenants {
		r.tenants = append(r.tenants, string(tenant))
	}
	for _, task := range recalled.running {
		r.state.Extra += int64(task.Units)
	}
	return r
}

// suffice reports whether the foreseen reads are all that the requests need, once the database has
// agreed that the submissions are new; see InsertJobs.
func (r *reads) suffice(rq *plan.Requests) bool {
	if rq.Len() != len(rq.Submits)+len(rq.Settles) || r.emptyQueue && r.found.PlPoolTurn.Queued+r.found.PlPoolTurn.Waiting > 0 {
		return false
	}
	for i := range rq.Settles {
		s := &rq.Settles[i]
		task, known := r.recalled.running[s.Ref.JobID]
		if _, met := r.recalled.tenants[task.Tenant]; !known || !met || task.Attempt != s.Ref.Attempt || s.Lease != "" {
			return false
		}
		r.known = append(r.known, int64(s.Ref.JobID))
	}
	for i := range rq.Submits {
		if _, met := r.recalled.tenants[rq.Submits[i].Tenant]; !met {
			return false
		}
	}
	return true
}

// advance moves the foreseen reads on to now, when the requests were there: nothing is dated before it
// was asked for. It reports false if the clocks differ by more than the wait between them may explain, or if
// a timer is due since.
func (r *reads) advance(now time.Time) bool {
	read, due := r.found.Now.Time, r.found.DueAfter
	if now.Sub(read) > mostBehind || due.Valid && !due.Time.After(now) {
		return false
	}
	r.found.Now = instant(latest(now, read))
	return true
}

// forget puts back into the reads what was left out.
func (r *reads) forget() {
	r.jobIDs = append(r.jobIDs, r.known...)
	slices.Sort(r.jobIDs)
	r.recalled, r.trusting, r.emptyQueue, r.known = nil, false, false, nil
}

// queue asks for everything, each in a statement and with a snapshot of its own,
// all after the lock. It is called twice; see pipelined.
func (r *reads) queue(ctx context.Context, p pipe) (err error) {
	if r.found, err = p.TurnState(ctx, r.state); err != nil {
		return err
	}
	id := string(r.pool)
	if r.usages, err = p.TurnTenants(ctx, dbsqlc.TurnTenantsParams{Tenants: r.tenants, PoolID: id}); err != nil {
		return err
	}
	if len(r.taskIDs) > 0 {
		if r.named, err = p.KnownJobs(ctx, dbsqlc.KnownJobsParams{PoolID: id, TaskIds: r.taskIDs}); err != nil {
			return err
		}
	}
	if len(r.jobIDs) > 0 {
		if r.held, err = p.JobsByID(ctx, dbsqlc.JobsByIDParams{PoolID: id, JobIds: r.jobIDs}); err != nil {
			return err
		}
	}
	if len(r.leased) > 0 {
		if r.leases, err = p.LeasesByJob(ctx, dbsqlc.LeasesByJobParams{PoolID: id, JobIds: r.leased}); err != nil {
			return err
		}
	}
	if r.emptyQueue {
		return nil // no candidates and no timers
	}
	if r.careful {
		rows, err := p.UnlockedCandidates(ctx, id)
		if err != nil {
			return err
		}
		r.candidates = make([]dbsqlc.CandidatesRow, len(rows))
		for i := range rows {
			r.candidates[i] = dbsqlc.CandidatesRow(rows[i])
		}
	} else if r.candidates, err = p.Candidates(ctx, id); err != nil {
		return err
	}
	if r.due, err = p.DueJobs(ctx, dbsqlc.DueJobsParams{PoolID: id, MaxRows: plan.DueLimit}); err != nil {
		return err
	}
	r.rested, err = p.RestedJobs(ctx, dbsqlc.RestedJobsParams{PoolID: id, MaxRows: plan.DueLimit})
	return err
}

// snapshot puts the answers together.
func (r *reads) snapshot() (plan.Snapshot, error) {
	pool, err := poolOf(&r.found.PlPool)
	if err != nil {
		return plan.Snapshot{}, err
	}
	snap := plan.Snapshot{
		Now:       r.found.Now.Time.UTC(),
		Pool:      pool,
		Counters:  countersOf(&r.found.PlPoolTurn),
		Tenants:   make(map[domain.Tenant]domain.TenantUsage, len(r.usages)),
		Known:     make(map[domain.TaskID]domain.Task, len(r.named)),
		Held:      make(map[domain.JobID]domain.Task, len(r.held)+len(r.known)),
		LaneLimit: max(0, int(r.found.Take)-1),
		DueCut:    len(r.due) == plan.DueLimit || len(r.rested) == plan.DueLimit,
		NextDueAt: maybeTime(r.found.DueAfter),
		Leases:    make(map[domain.JobID]domain.Lease, len(r.leases)),
	}
	for i := range r.leases {
		snap.Leases[domain.JobID(r.leases[i].JobID)] = leaseOf(&r.leases[i])
	}
	for _, u := range r.usages {
		snap.Tenants[domain.Tenant(u.Tenant)] = domain.TenantUsage{
			Tenant: domain.Tenant(u.Tenant), ActiveUnits: domain.Units(u.ActiveUnits), Queued: u.Queued, FinishTag: u.FinishTag,
		}
	}
	take := func(row *dbsqlc.CandidatesRow) domain.Task {
		task := taskOf(lightOf(row))
		if row.TenantUnits >= 0 {
			snap.Tenants[task.Tenant] = domain.TenantUsage{
				Tenant: task.Tenant, ActiveUnits: domain.Units(row.TenantUnits), Queued: row.TenantQueued, FinishTag: row.TenantTag,
			}
		}
		return task
	}
	for _, job := range r.known {
		task := r.recalled.running[domain.JobID(job)]
		snap.Held[task.JobID] = task
	}
	for i := range r.named {
		task := take((*dbsqlc.CandidatesRow)(&r.named[i]))
		snap.Known[task.TaskID] = task
	}
	for i := range r.held {
		task := take((*dbsqlc.CandidatesRow)(&r.held[i]))
		snap.Held[task.JobID] = task
	}
	snap.CandidatesCut = snap.LaneLimit == 0 && snap.Counters.Queued > 0
	lanes := map[string]int{}
	for i := range r.candidates {
		lane := r.candidates[i].Lane
		if lanes[lane]++; lanes[lane] > snap.LaneLimit { // one more was asked for than is told
			snap.CandidatesCut = true
			continue
		}
		snap.Candidates = append(snap.Candidates, take(&r.candidates[i]))
	}
	for i := range r.due {
		snap.Due = append(snap.Due, take((*dbsqlc.CandidatesRow)(&r.due[i])))
	}
	for i := range r.rested {
		snap.Rested = append(snap.Rested, take((*dbsqlc.CandidatesRow)(&r.rested[i])))
	}
	r.keepUnread(&snap)
	return snap, nil
}

// keepUnread moves NextDueAt back to what was left unread of a cut list: the next
// turn looks from there on.
func (r *reads) keepUnread(snap *plan.Snapshot) {
	if len(r.due) == plan.DueLimit {
		if at := maybeTime(r.due[len(r.due)-1].Deadline); snap.NextDueAt == nil || at.Before(*snap.NextDueAt) {
			snap.NextDueAt = at
		}
	}
	if len(r.rested) == plan.DueLimit {
		if at := maybeTime(r.rested[len(r.rested)-1].NotBefore); snap.NextDueAt == nil || at.Before(*snap.NextDueAt) {
			snap.NextDueAt = at
		}
	}
}

// lightOf drops what the queries of a turn add to a task's columns.
func lightOf(row *dbsqlc.CandidatesRow) *dbsqlc.PlQueueJobsLight {
	return &dbsqlc.PlQueueJobsLight{
		PoolID: row.PoolID, JobID: row.JobID, TaskID: row.TaskID, Submission: row.Submission, BodyHash: row.BodyHash,
		Tenant: row.Tenant, RequestedPriority: row.RequestedPriority, Priority: row.Priority, Lane: row.Lane, Rank: row.Rank,
		ResourceKind: row.ResourceKind, ResourceUnits: row.ResourceUnits, Status: row.Status,
		ReasonCode: row.ReasonCode, Reason: row.Reason, Attempt: row.Attempt, MaxAttempts: row.MaxAttempts,
		Overtaken: row.Overtaken, Executor: row.Executor, TimeoutMs: row.TimeoutMs, Deadline: row.Deadline,
		NotBefore: row.NotBefore, CreatedAt: row.CreatedAt, StartedAt: row.StartedAt, FinishedAt: row.FinishedAt,
		CancelAskedAt: row.CancelAskedAt, Holder: row.Holder, RiverJobID: row.RiverJobID,
		MailboxTenant: row.MailboxTenant, MailboxUser: row.MailboxUser, MailboxSession: row.MailboxSession,
	}
}
