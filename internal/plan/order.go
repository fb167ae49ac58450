package plan

import (
	"cmp"
	"math"
	"slices"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// TagScale is how far one unit of a tenant of weight 1 moves its finish tag.
const TagScale = 1000

// classify sets what the order looks at besides the rank: class and lane.
func (t *turn) classify(task *domain.Task) {
	task.Priority = classOf(t.pool.Policy, task.Requested)
	task.Lane = t.pool.TenantLane(task.Tenant)
}

// place gives a task that was there before a new place in the order.
func (t *turn) place(task *domain.Task) {
	t.classify(task)
	a := t.account(task.Tenant)
	task.Rank = t.rank(task, a.FinishTag)
	t.charge(task)
}

// replace puts a task back to the place it had, which is paid for; unless a new one
// comes earlier, as it may when the pool's policy has changed since.
func (t *turn) replace(task *domain.Task) {
	t.classify(task)
	if fresh := t.rank(task, t.account(task.Tenant).FinishTag); fresh < task.Rank {
		task.Rank = fresh
		t.charge(task)
	}
}

// classOf returns the class a task is ordered by: a fifo pool has one.
func classOf(policy domain.PriorityPolicy, requested domain.Priority) domain.Priority {
	if policy == domain.PolicyFIFO {
		return domain.PriorityNormal
	}
	return requested
}

// rank computes the place of a task within its class. finish is its tenant's last
// finish tag, for fair queueing.
//
// Fair is start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queuing",
// SIGCOMM 1996): a task is ranked by its start tag, the later of the pool's virtual
// time and its tenant's last finish tag; virtual time is the start tag of what started
// last. Nobody collects credit while idle.
func (t *turn) rank(task *domain.Task, finish int64) int64 {
	switch t.pool.Policy {
	case domain.PolicyFair:
		return max(t.counters.VirtualTime, finish)
	case domain.PolicyDeadline:
		if task.Deadline == nil {
			return math.MaxInt64
		}
		return task.Deadline.UnixMicro()
	}
	t.counters.RankSeq++
	return t.counters.RankSeq
}

// charge moves the tenant's finish tag past a task that got its place.
func (t *turn) charge(task *domain.Task) {
	if t.pool.Policy == domain.PolicyFair {
		a := t.account(task.Tenant)
		a.FinishTag = max(a.FinishTag, t.finish(task))
	}
}

// finish is the finish tag of a ranked task.
func (t *turn) finish(task *domain.Task) int64 {
	units := min(max(task.Units, 1), domain.MaxPoolUnits)
	cost := max(1, int64(units)*TagScale/t.pool.TenantWeight(task.Tenant))
	if task.Rank > math.MaxInt64-cost {
		return math.MaxInt64
	}
	return task.Rank + cost
}

// before is the order: the only one there is.
func before(a, b *row) int { return compare(a.t, b.t) }

func compare(a, b *domain.Task) int {
	return cmp.Or(
		cmp.Compare(b.Priority, a.Priority),
		cmp.Compare(a.Rank, b.Rank),
		cmp.Compare(a.JobID, b.JobID),
	)
}

// line puts the candidates that were read and the rows that came into the order
// since into one line. Rows that have left the queue meanwhile stay in it and are
// passed over. Called again, it merges what has been entered since.
func (t *turn) line() {
	if t.queue == nil {
		rows := make([]row, len(t.snap.Candidates))
		t.queue = make([]*row, 0, len(rows)+len(t.entered))
		for i := range t.snap.Candidates {
			task := &t.snap.Candidates[i]
			r, ok := t.rows[task.JobID]
			if !ok {
				r = &rows[i]
				*r = row{t: task, fromStatus: task.Status, fromAttempt: task.Attempt, fromCancel: task.CancelAsked}
			}
			if len(t.relane) > 0 {
				r.t.Lane = t.pool.TenantLane(r.t.Tenant)
			}
			r.stored = true
			t.queue = append(t.queue, r)
		}
	}
	if len(t.entered) == 0 {
		return
	}
	slices.SortFunc(t.entered, before)
	if n := len(t.queue); n == 0 || before(t.queue[n-1], t.entered[0]) < 0 {
		t.queue = append(t.queue, t.entered...)
	} else {
		t.queue = merge(t.queue, t.entered)
	}
	t.entered = nil
}

// merge merges two sorted lines.
func merge(a, b []*row) []*row {
	out := make([]*row, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if before(b[0], a[0]) < 0 {
			out, b = append(out, b[0]), b[1:]
		} else {
			out, a = append(out, a[0]), a[1:]
		}
	}
	return append(append(out, a...), b...)
}
