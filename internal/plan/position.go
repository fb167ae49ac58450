package plan

import (
	"maps"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// positions tells those that were queued in this turn where they stand, where that is
// known without asking the backend to count, and when they may start.
func (t *turn) positions(arrivals []arrival) {
	switch {
	case t.pool.Policy == domain.PolicyFIFO || t.pool.Policy == domain.PolicyPriority:
		t.lastInClass(arrivals)
	case t.snap.CandidatesCut:
	default:
		t.countLine(arrivals)
	}
	for _, a := range arrivals {
		if a.row.t.Status == domain.StatusQueued {
			t.estimate(a)
		}
	}
}

// lastInClass: ranks of fifo and priority pools are arrival numbers, so a newcomer is
// behind everybody of its class.
func (t *turn) lastInClass(arrivals []arrival) {
	var behind [domain.PriorityClasses]int64
	for _, a := range slices.Backward(arrivals) {
		if task := a.row.t; task.Status == domain.StatusQueued {
			a.answer.Position = t.throughClass(task.Priority) - behind[task.Priority]
			behind[task.Priority]++
		}
	}
}

// countLine: where the whole queue was read, counting is enough. What somebody else
// holds locked was not read; then nobody's place is known.
func (t *turn) countLine(arrivals []arrival) {
	t.line()
	waits := make(map[*row]bool, len(t.queue)+len(arrivals))
	note := func(r *row) {
		if r.t.Status == domain.StatusQueued && r.t.NotBefore == nil {
			waits[r] = true
		}
	}
	for _, r := range t.queue {
		note(r)
	}
	for _, a := range arrivals { // not in the line when no start pass went down it
		note(a.row)
	}
	if int64(len(waits)) != t.counters.Queued {
		return
	}
	places := make(map[*row]int64, len(waits))
	for i, r := range slices.SortedFunc(maps.Keys(waits), before) {
		places[r] = int64(i) + 1
	}
	for _, a := range arrivals {
		a.answer.Position = places[a.row]
	}
}

// estimate tells when a task that was queued may start. Where its place is not known it
// is taken for the last of its class.
func (t *turn) estimate(a arrival) {
	task := a.row.t
	position := a.answer.Position
	if position == 0 {
		position = t.throughClass(task.Priority)
	}
	a.answer.EstimatedStart = EstimatedStart(t.now, &t.pool, task, t.account(task.Tenant).ActiveUnits, t.req.Drain, position)
}

// EstimatedStart estimates when a task that is at a position of the order starts, nil
// when nothing is known. tenantUnits is what its tenant uses: one at its cap waits for its
// own tasks, of which the drain of the pool says nothing.
func EstimatedStart(
	now time.Time, pool *domain.Pool, task *domain.Task, tenantUnits domain.Units, drain Drain, position int64,
) *time.Time {
	limit := pool.Tenants[task.Tenant].MaxUnits
	if pool.State == domain.PoolDisabled || pool.MaxUnits == 0 || limit > 0 && tenantUnits.Add(task.Units) > limit {
		return nil
	}
	at, known := drain.Start(now, position)
	if !known {
		return nil
	}
	return &at
}

// throughClass counts who is queued in a class and in those above it.
func (t *turn) throughClass(class domain.Priority) (n int64) {
	for ; class < domain.PriorityClasses; class++ {
		n += t.counters.QueuedBy[class]
	}
	return n
}
