package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// Turn implements store.Turns. The writer's mutex is the lock of every pool, so
// Gather is called once, after it was had, and the clock is read after that.
func (s *Store) Turn(ctx context.Context, spec store.TurnSpec) (plan.Decisions, error) {
	what := "turn of pool " + string(spec.Pool)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	done, err := s.acquire(ctx)
	if err != nil {
		return plan.Decisions{}, classify(what, err)
	}
	defer done()
	requests := spec.Gather()
	if spec.Meanwhile != nil {
		spec.Meanwhile() // what it sets off runs beside this goroutine
	}
	if err := s.begin(ctx); err != nil {
		return plan.Decisions{}, classify(what, err)
	}
	snap, err := s.snapshot(ctx, spec.Pool, requests)
	if err != nil {
		return plan.Decisions{}, s.rollback(ctx, classify(what, err))
	}
	pool := snap.Pool // Decide may change its snapshot
	d := spec.Decide(snap, requests)
	if d.Idle {
		return d, s.rollback(ctx, nil)
	}
	if err := ctx.Err(); err != nil {
		return d, s.rollback(ctx, classify(what, err))
	}
	// Writes are not cut off by the context: each is short, and SQLite could not
	// be interrupted while the disk stands still anyway.
	if err := s.writeDecisions(context.WithoutCancel(ctx), &pool, &d); err != nil {
		if isTaken(err) {
			err = fmt.Errorf("%w: %w", store.ErrGuard, err)
		}
		return d, s.rollback(ctx, classify(what, err))
	}
	return d, s.commit(ctx, what)
}

// snapshot reads what the requests need, as store.Turns and plan.Snapshot say.
func (s *Store) snapshot(ctx context.Context, id domain.PoolID, rq *plan.Requests) (plan.Snapshot, error) {
	snap := plan.Snapshot{Now: s.clock()}
	row, err := s.w.GetPool(ctx, string(id))
	if err != nil {
		return snap, err
	}
	if snap.Pool, err = poolOf(row); err != nil {
		return snap, err
	}
	last, err := s.w.LastTurn(ctx, string(id))
	if err != nil {
		return snap, fmt.Errorf("counters: %w", err)
	}
	snap.Counters = countersOf(last)
	if snap.Now.Before(snap.Counters.At) {
		snap.Now = snap.Counters.At
	}
	for _, read := range []func(context.Context, *plan.Snapshot, *plan.Requests) error{
		s.readKnown, s.readHeld, s.readLeases, s.readCandidates, s.readTimers, s.readTenants,
	} {
		if err := read(ctx, &snap, rq); err != nil {
			return snap, err
		}
	}
	return snap, nil
}

func (s *Store) readKnown(ctx context.Context, snap *plan.Snapshot, rq *plan.Requests) error {
	ids := make([]domain.TaskID, 0, len(rq.Submits)+len(rq.Cancels)+len(rq.Forces))
	for i := range rq.Submits {
		ids = append(ids, rq.Submits[i].TaskID)
	}
	for i := range rq.Cancels {
		ids = append(ids, rq.Cancels[i].TaskID)
	}
	for i := range rq.Forces {
		ids = append(ids, rq.Forces[i].TaskID)
	}
	snap.Known = make(map[domain.TaskID]domain.Task)
	if len(ids) == 0 {
		return nil
	}
	rows, err := s.w.KnownJobs(ctx, dbsqlc.KnownJobsParams{PoolID: string(snap.Pool.PoolID), TaskIds: jsonOf(ids)})
	if err != nil {
		return fmt.Errorf("known tasks: %w", err)
	}
	for i := range rows {
		t := taskOf(lightJob(rows[i]))
		snap.Known[t.TaskID] = t
	}
	return nil
}

func (s *Store) readHeld(ctx context.Context, snap *plan.Snapshot, rq *plan.Requests) error {
	ids := make([]domain.JobID, 0, len(rq.Settles)+len(rq.Losts))
	for i := range rq.Settles {
		ids = append(ids, rq.Settles[i].Ref.JobID)
	}
	for i := range rq.Losts {
		ids = append(ids, rq.Losts[i].Ref.JobID)
	}
	snap.Held = make(map[domain.JobID]domain.Task)
	if len(ids) == 0 {
		return nil
	}
	rows, err := s.w.JobsByID(ctx, dbsqlc.JobsByIDParams{PoolID: string(snap.Pool.PoolID), JobIds: jsonOf(ids)})
	if err != nil {
		return fmt.Errorf("held tasks: %w", err)
	}
	for i := range rows {
		t := taskOf(lightJob(rows[i]))
		snap.Held[t.JobID] = t
	}
	return nil
}

func (s *Store) readCandidates(ctx context.Context, snap *plan.Snapshot, rq *plan.Requests) error {
	if snap.Counters.Queued == 0 {
		return nil
	}
	snap.LaneLimit = laneLimit(snap, rq)
	if snap.LaneLimit == 0 {
		snap.CandidatesCut = true
		return nil
	}
	return readFronts(ctx, s.w, snap)
}

// readFronts reads the first LaneLimit candidates of every lane.
func readFronts(ctx context.Context, q *dbsqlc.Queries, snap *plan.Snapshot) error {
	for _, lane := range lanes(&snap.Pool) {
		rows, err := q.Candidates(ctx, dbsqlc.CandidatesParams{
			PoolID: string(snap.Pool.PoolID), Lane: lane, MaxRows: int64(snap.LaneLimit) + 1,
		})
		if err != nil {
			return fmt.Errorf("candidates: %w", err)
		}
		if len(rows) > snap.LaneLimit {
			rows = rows[:snap.LaneLimit]
			snap.CandidatesCut = true
		}
		for i := range rows {
			snap.Candidates = append(snap.Candidates, taskOf(rows[i]))
		}
	}
	slices.SortFunc(snap.Candidates, func(a, b domain.Task) int { // the lanes are in order already
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.JobID, b.JobID))
	})
	return nil
}

// laneLimit returns how many candidates of each lane could matter to the turn: as
// many as there may be free units, and some to look behind a head that does not fit.
// Reading them is what a turn on a long queue would spend most of its time on. What
// turns out to be missing is read by the next turn (plan.Decisions.Again).
func laneLimit(snap *plan.Snapshot, rq *plan.Requests) int {
	limit := snap.Pool.MaxUnits
	for i := range rq.Changes {
		if m := rq.Changes[i].MaxUnits; m != nil {
			limit = max(limit, *m)
		}
	}
	free := limit.Sub(snap.Counters.ActiveUnits)
	for _, t := range snap.Held {
		if t.Status == domain.StatusRunning {
			free = free.Add(t.Units)
		}
	}
	for i := range rq.Forces {
		if t := snap.Known[rq.Forces[i].TaskID]; t.Status == domain.StatusRunning {
			free = free.Add(t.Units)
		}
	}
	if snap.Pool.Runtime == domain.RuntimeWeb {
		free = min(free, domain.Units(rq.Wanted()))
	}
	if rq.NoStart || snap.Pool.State == domain.PoolDisabled || free <= 0 {
		return 0
	}
	const behind = 32
	return int(min(free.Add(domain.Units(snap.Pool.MaxOvertakes)).Add(behind), plan.CandidateLimit))
}

// lanes returns the lanes of a pool's queue; see domain.Task.Lane.
func lanes(p *domain.Pool) []string {
	all := []string{""}
	for t := range p.Tenants {
		if lane := p.TenantLane(t); lane != "" {
			all = append(all, lane)
		}
	}
	return all
}

// readTimers reads what has fallen due, and when the next does. Nothing has while
// the instant in the counters lies ahead: that may be early, never late.
func (s *Store) readTimers(ctx context.Context, snap *plan.Snapshot, _ *plan.Requests) error {
	if next := snap.Counters.NextDueAt; next == nil || next.After(snap.Now) {
		snap.NextDueAt = next
		return nil
	}
	pool, now := string(snap.Pool.PoolID), new(micros(snap.Now))
	due, err := s.w.DueJobs(ctx, dbsqlc.DueJobsParams{PoolID: pool, Now: now, MaxRows: plan.DueLimit + 1})
	if err != nil {
		return fmt.Errorf("due tasks: %w", err)
	}
	rested, err := s.w.RestedJobs(ctx, dbsqlc.RestedJobsParams{PoolID: pool, Now: now, MaxRows: plan.DueLimit + 1})
	if err != nil {
		return fmt.Errorf("rested tasks: %w", err)
	}
	for i := range due {
		snap.Due = append(snap.Due, taskOf(lightJob(due[i])))
	}
	for i := range rested {
		snap.Rested = append(snap.Rested, taskOf(lightJob(rested[i])))
	}
	var left []*int64 // the first timers behind what was read
	if len(due) > plan.DueLimit {
		snap.Due, snap.DueCut = snap.Due[:plan.DueLimit], true
		left = append(left, due[plan.DueLimit].Deadline)
	} else {
		next, err := s.w.NextDeadline(ctx, dbsqlc.NextDeadlineParams{PoolID: pool, Now: now})
		if err != nil {
			return fmt.Errorf("next deadline: %w", err)
		}
		left = append(left, next...)
	}
	if len(rested) > plan.DueLimit {
		snap.Rested, snap.DueCut = snap.Rested[:plan.DueLimit], true
		left = append(left, rested[plan.DueLimit].NotBefore)
	} else {
		next, err := s.w.NextRested(ctx, dbsqlc.NextRestedParams{PoolID: pool, Now: now})
		if err != nil {
			return fmt.Errorf("next end of backoff: %w", err)
		}
		left = append(left, next...)
	}
	for _, us := range left {
		if t := timePtr(us); snap.NextDueAt == nil || t.Before(*snap.NextDueAt) {
			snap.NextDueAt = t
		}
	}
	return nil
}

// readTenants reads the usage of everybody who occurs in what was read before.
func (s *Store) readTenants(ctx context.Context, snap *plan.Snapshot, rq *plan.Requests) error {
	named := make([]domain.Tenant, 0, len(rq.Submits)+len(snap.Known)+len(snap.Held))
	for i := range rq.Submits {
		named = append(named, rq.Submits[i].Tenant)
	}
	for _, t := range snap.Known {
		named = append(named, t.Tenant)
	}
	for _, t := range snap.Held {
		named = append(named, t.Tenant)
	}
	return readUsages(ctx, s.w, snap, named...)
}

// readUsages reads the usage of those named, of everybody with a queued task in the
// snapshot, and of those with a cap.
func readUsages(ctx context.Context, q *dbsqlc.Queries, snap *plan.Snapshot, named ...domain.Tenant) error {
	names := make(map[domain.Tenant]struct{}, len(named))
	for _, t := range named {
		names[t] = struct{}{}
	}
	for _, list := range [][]domain.Task{snap.Candidates, snap.Due, snap.Rested} {
		for i := range list {
			names[list[i].Tenant] = struct{}{}
		}
	}
	for t, p := range snap.Pool.Tenants {
		if p.MaxUnits > 0 || p.MaxQueueDepth > 0 {
			names[t] = struct{}{}
		}
	}
	snap.Tenants = make(map[domain.Tenant]domain.TenantUsage, len(names))
	if len(names) == 0 {
		return nil
	}
	rows, err := q.TenantsByName(ctx, dbsqlc.TenantsByNameParams{
		PoolID: string(snap.Pool.PoolID), Tenants: jsonOf(slices.Collect(maps.Keys(names))),
	})
	if err != nil {
		return fmt.Errorf("tenants: %w", err)
	}
	for _, r := range rows {
		snap.Tenants[domain.Tenant(r.Tenant)] = usageOf(r.Tenant, r.ActiveUnits, r.Queued, r.FinishTag)
	}
	return nil
}

// TurnCommitted implements store.Turns.
func (s *Store) TurnCommitted(ctx context.Context, pool domain.PoolID, turnNo int64, turnID string) (committed bool, err error) {
	// On the writer, behind whatever it is doing: what it answers is final.
	err = s.write(ctx, "look for a turn", func(ctx context.Context, q *dbsqlc.Queries) error {
		n, err := q.TurnCommitted(ctx, dbsqlc.TurnCommittedParams{PoolID: string(pool), TurnNo: turnNo, TurnID: turnID})
		committed = n > 0
		return err
	})
	return committed, err
}

// PruneTurns implements store.Turns.
func (s *Store) PruneTurns(ctx context.Context, pool domain.PoolID, keep int64) (pruned int64, err error) {
	err = s.write(ctx, "prune turns", func(ctx context.Context, q *dbsqlc.Queries) error {
		pruned, err = q.PruneTurns(ctx, dbsqlc.PruneTurnsParams{PoolID: string(pool), Keep: max(1, keep)})
		return err
	})
	return pruned, err
}

// Reconcile implements store.Turns.
func (s *Store) Reconcile(ctx context.Context, pool domain.PoolID) (diffs []store.Difference, err error) {
	err = s.read(ctx, "reconcile", func(ctx context.Context, q *dbsqlc.Queries) error {
		last, err := q.LastTurn(ctx, string(pool))
		if err != nil {
			return err
		}
		n, err := q.CountJobs(ctx, string(pool))
		if err != nil {
			return err
		}
		add := func(what string, counter, rows int64) {
			if counter != rows {
				diffs = append(diffs, store.Difference{What: what, Counter: counter, Rows: rows})
			}
		}
		add("active_units", last.ActiveUnits, n.ActiveUnits)
		add("running", last.Running, n.Running)
		add("queued", last.Queued, n.Queued)
		add("queued_low", last.QueuedLow, n.QueuedLow)
		add("queued_normal", last.QueuedNormal, n.QueuedNormal)
		add("queued_high", last.QueuedHigh, n.QueuedHigh)
		add("queued_critical", last.QueuedCritical, n.QueuedCritical)
		add("waiting", last.Waiting, n.Waiting)
		return reconcileTenants(ctx, q, pool, add)
	})
	return diffs, err
}

func reconcileTenants(ctx context.Context, q *dbsqlc.Queries, pool domain.PoolID, add func(what string, counter, rows int64)) error {
	usages, err := q.ListTenants(ctx, string(pool))
	if err != nil {
		return err
	}
	counts, err := q.CountTenantJobs(ctx, string(pool))
	if err != nil {
		return err
	}
	rows := make(map[string]dbsqlc.CountTenantJobsRow, len(counts))
	for _, c := range counts {
		rows[c.Tenant] = c
	}
	for _, u := range usages {
		add("tenant "+u.Tenant+" active_units", u.ActiveUnits, rows[u.Tenant].ActiveUnits)
		add("tenant "+u.Tenant+" queued", u.Queued, rows[u.Tenant].Queued)
		delete(rows, u.Tenant)
	}
	for _, c := range counts { // tenants with tasks and no usage row
		if r, ok := rows[c.Tenant]; ok {
			add("tenant "+c.Tenant+" active_units", 0, r.ActiveUnits)
			add("tenant "+c.Tenant+" queued", 0, r.Queued)
		}
	}
	return nil
}
