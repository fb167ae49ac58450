package postgres

import (
	"math"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// heads are the lower bounds of rank by class from which the order is scanned; see
// pl_pool_turns. They are kept so that every queued task of a class has a rank at
// or above its head. That is so when each head is at most the lowest rank left in
// every lane, and at most the rank of whatever joins the order.
type heads struct {
	bounds [domain.PriorityClasses]int64
	// For what was read and may leave in this turn.
	lanes     map[string][]place
	laneLimit int // 0: nothing was read, the bounds stay
}

// place is where a candidate stood.
type place struct {
	job      domain.JobID
	priority domain.Priority
	rank     int64
}

const noBound = math.MinInt64

// headsEvery is how often a turn reads whatever is recalled, and the heads are given up for one turn, so that
// a rank that somebody changed by hand is found all the same.
const headsEvery = 64

func (r *reads) heads(snap *plan.Snapshot) *heads {
	row := &r.found.PlPoolTurn
	h := headsOf([domain.PriorityClasses]int64{
		domain.PriorityLow: row.HeadLow, domain.PriorityNormal: row.HeadNormal,
		domain.PriorityHigh: row.HeadHigh, domain.PriorityCritical: row.HeadCritical,
	}, snap)
	if r.careful { // what others hold locked was passed over
		h.laneLimit = 0
	}
	return h
}

// headsOf returns the heads that the last turn left, for a turn that decides on snap.
func headsOf(bounds [domain.PriorityClasses]int64, snap *plan.Snapshot) *heads {
	h := &heads{bounds: bounds, lanes: map[string][]place{"": nil}, laneLimit: snap.LaneLimit}
	for tenant, policy := range snap.Pool.Tenants {
		if policy.MaxUnits > 0 {
			h.lanes[string(tenant)] = nil
		}
	}
	for i := range snap.Candidates {
		c := &snap.Candidates[i]
		h.lanes[c.Lane] = append(h.lanes[c.Lane], placeOf(c))
	}
	return h
}

// after returns the heads as the turn leaves them.
func (h *heads) after(d *plan.Decisions) [domain.PriorityClasses]int64 {
	var next [domain.PriorityClasses]int64
	if d.Pool != nil || d.Counters.TurnNo%headsEvery == 0 {
		for class := range next {
			next[class] = noBound
		}
		return next
	}
	gone := map[domain.JobID]bool{}
	for i := range d.Changed {
		t := &d.Changed[i].Task
		gone[t.JobID] = t.Status != domain.StatusQueued || t.NotBefore != nil
	}
	for class := range next {
		next[class] = h.bounds[class]
		if h.laneLimit > 0 {
			next[class] = h.lowest(domain.Priority(class), gone)
		}
	}
	joins := func(t *domain.Task) {
		if t.Status == domain.StatusQueued && t.NotBefore == nil && t.Priority >= 0 && int(t.Priority) < len(next) {
			next[t.Priority] = min(next[t.Priority], t.Rank)
		}
	}
	for i := range d.Inserted {
		joins(&d.Inserted[i])
	}
	for i := range d.Changed {
		joins(&d.Changed[i].Task)
	}
	return next
}

// lowest returns a bound for what is left of a class in all lanes.
func (h *heads) lowest(class domain.Priority, gone map[domain.JobID]bool) int64 {
	bound := int64(math.MaxInt64)
	for _, lane := range h.lanes {
		bound = min(bound, h.lowestOf(lane, class, gone))
	}
	return max(bound, h.bounds[class])
}

func (h *heads) lowestOf(lane []place, class domain.Priority, gone map[domain.JobID]bool) int64 {
	for _, p := range lane { // in order: the first of the class that stays is its lowest
		if p.priority == class && !gone[p.job] {
			return p.rank
		}
	}
	if len(lane) < h.laneLimit {
		return math.MaxInt64 // read whole: nothing is left
	}
	switch last := lane[len(lane)-1]; {
	case last.priority > class: // not read as far as this class
		return h.bounds[class]
	case last.priority == class:
		return last.rank
	default:
		return math.MaxInt64
	}
}
