package plan

import (
	"fmt"
	"maps"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// start runs the start pass: down the line, as long as units are free.
//
// What does not fit holds up everybody behind it but MaxOvertakes, counted on its
// row; of its own tenant, only what leaves it room under the tenant's cap may pass.
// What its tenant's cap keeps back holds up nobody but its own tenant. An arriving
// task that cannot start and finds no room in the queue holds up nobody: it is about
// to be rejected.
func (t *turn) start(arrivals []arrival) {
	if !t.mayStart() || t.free() <= 0 || t.unwanted() {
		return
	}
	if t.snap.CandidatesCut && (len(t.snap.Candidates) == 0 || len(t.relane) > 0) {
		// Nobody knows who is first: either nothing was read, or by other lanes.
		t.again = true
		return
	}
	for _, a := range arrivals {
		t.entered = append(t.entered, a.row)
	}
	t.line()
	p := pass{turn: t, unseen: t.cutLanes(), heads: Overtaking[domain.Priority, *row]{Max: t.pool.MaxOvertakes}}
	for _, r := range t.queue {
		if t.free() <= 0 || t.unwanted() || r.t.Priority < p.floor {
			return
		}
		var saturated bool
		if t.keptFor, saturated = p.heads.FirstSaturated(); saturated {
			return
		}
		unseen, cut := p.unseen[r.t.Lane]
		// What comes behind the unread part of its lane waits until that is read.
		if !cut || unseen > 0 {
			p.visit(r)
		}
		if !cut || !r.stored {
			continue
		}
		p.unseen[r.t.Lane] = unseen - 1
		if unseen > 1 || t.capReached(r.t.Tenant, r.t.Lane) {
			continue
		}
		// From here on there are unread tasks in between. They may be passed only as far
		// as somebody in front of them counts it.
		if !p.heads.Blocked(r.t.Priority) {
			t.again = t.again || t.free() > 0
			return
		}
		p.floor = r.t.Priority
	}
}

// mayStart reports whether starting is this turn's business at all. A pool without
// capacity keeps its queue: zero is how operators pause it.
func (t *turn) mayStart() bool {
	return !t.req.NoStart && t.pool.State != domain.PoolDisabled && t.pool.MaxUnits > 0
}

// free returns the units that may be taken; negative after the pool has shrunk.
func (t *turn) free() domain.Units { return t.pool.MaxUnits.Sub(t.counters.ActiveUnits) }

// pass is the state of one walk down the line.
type pass struct {
	*turn
	// unseen is, of each lane that may have more than was read, how many of those read
	// have not been visited yet.
	unseen map[string]int
	// floor is the lowest class whose first blocked task is known.
	floor domain.Priority
	// heads are the first task of each class that did not fit. Once one is saturated,
	// all that is free is kept for it.
	heads Overtaking[domain.Priority, *row]
}

// cutLanes counts what was read of the lanes that may have more.
func (t *turn) cutLanes() map[string]int {
	if !t.snap.CandidatesCut {
		return nil
	}
	lanes := make(map[string]int)
	for _, r := range t.queue {
		if r.stored {
			lanes[r.t.Lane]++
		}
	}
	maps.DeleteFunc(lanes, func(_ string, n int) bool { return n < t.snap.LaneLimit })
	return lanes
}

// visit starts the task if it may, or finds out what it holds up.
func (p *pass) visit(r *row) {
	task := r.t
	if !r.arriving && (task.Status != domain.StatusQueued || task.NotBefore != nil) {
		return
	}
	account := p.account(task.Tenant)
	limit := account.limit.MaxUnits
	switch {
	case passed(task.Deadline, p.now):
		p.end(r, domain.EventExpire, domain.StatusExpired, deadlinePassed())
	case task.Units > p.pool.MaxUnits:
		p.drop(r, fmt.Sprintf("the pool shrank to %d units, the task needs %d", p.pool.MaxUnits, task.Units))
	case limit > 0 && task.Units > limit:
		p.drop(r, fmt.Sprintf("the tenant's cap fell to %d units, the task needs %d", limit, task.Units))
	case account.capped:
	case limit > 0 && account.ActiveUnits.Add(task.Units) > limit:
		account.capped = p.stays(r)
	case task.Units > p.free(), limit > 0 && account.ActiveUnits.Add(account.claim).Add(task.Units) > limit:
		if p.stays(r) {
			account.claim = max(account.claim, task.Units)
			p.heads.Block(task.Priority, r, task.Overtaken)
		}
	default:
		p.run(r)
		p.overtake()
	}
}

// stays reports whether a task that cannot start now will be in the queue; an
// arriving one takes its place if there is room.
func (p *pass) stays(r *row) bool {
	if !r.arriving {
		return true
	}
	if p.full(r.t) != nil {
		return false
	}
	p.enqueue(r)
	return true
}

// overtake counts a start on every head it went past.
func (p *pass) overtake() {
	p.heads.Pass(nil, func(head *row, overtaken int) {
		p.touch(head)
		head.t.Overtaken = overtaken
	})
}

// run starts the next attempt of a task.
func (t *turn) run(r *row) {
	if r.arriving {
		r.arriving = false
		t.charge(r.t)
	}
	t.move(r, record{kind: domain.EventStart, actor: t.lesseeName()}, func(task *domain.Task) {
		task.Status, task.Reason, task.StartedAt, task.NotBefore = domain.StatusRunning, domain.Reason{}, t.at, nil
		task.Attempt++
		task.MaxAttempts = max(task.MaxAttempts, task.Attempt)
		task.Holder, task.RiverJobID = "", 0
		switch t.pool.Runtime {
		case domain.RuntimeNative:
			task.Holder = t.req.Worker
		case domain.RuntimeWeb:
			task.Holder = t.lend(task)
		case domain.RuntimeWorker: // who fetches its River job
		}
	})
	if t.pool.Policy == domain.PolicyFair {
		t.counters.VirtualTime = max(t.counters.VirtualTime, r.t.Rank)
	}
	t.started = append(t.started, r)
}

// drop evicts a queued task that can never start any more.
func (t *turn) drop(r *row, message string) {
	t.move(r, record{kind: domain.EventDrop}, func(task *domain.Task) {
		task.Status, task.Reason = domain.StatusDropped, domain.Reason{Code: domain.ReasonNeverFits, Message: message}
	})
}

// capReached reports whether the tenant of a lane of its own can start nothing more.
func (t *turn) capReached(tenant domain.Tenant, lane string) bool {
	if lane == "" {
		return false
	}
	a := t.account(tenant)
	return a.capped || a.limit.MaxUnits > 0 && a.ActiveUnits >= a.limit.MaxUnits
}
