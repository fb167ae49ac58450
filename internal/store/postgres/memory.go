package postgres

import (
	"maps"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// memory is what this process's last turn of each pool left behind: as long as no other
// process takes a turn in between, the next one need not read it again. Whether one has
// is read under the pool's lock, before the decision or with its writes, so that nothing is ever
// written that was decided by what is old. Safe
// for concurrent use; what it has of a pool belongs to the turn that took it.
type memory struct {
	mu    sync.Mutex
	pools map[domain.PoolID]*recollection
	size  int // of all pools
}

// recollection is the state of a pool after one turn, as far as it is kept.
type recollection struct {
	pool     domain.Pool
	counters domain.Counters
	heads    [domain.PriorityClasses]int64
	// running are tasks that run, light, as a read would return them: those that turns of
	// this process started or read.
	running map[domain.JobID]domain.Task
	// queue is what is queued, if that is known: see whole.
	queue *backlog
	// tenants is the usage of those with a cap in the pool, of all whose tasks are in queue, and of
	// others, of whom some may be missing.
	tenants map[domain.Tenant]domain.TenantUsage
	// trust says how often in a row it was right; below zero, how often it has to
	// be right before a turn relies on it again.
	trust int
	// solo is how many turns have to be taken before one goes with a convoy again.
	solo    int
	refused int // times in a row that the database did not agree
	// restAhead is how many turns have to be taken before one is to be decided ahead again; restLast is how many that were the
	// last time, and unready how many in a row could not be.
	restAhead, restLast, unready int
	load                         int // requests of the last turn
	// crowd says that others are expected to have the pool's lock: as long as turns of this
	// process alone have not shown otherwise.
	crowd bool
}

// Bounds of a recollection.
const (
	mostRemembered = 100_000 // tasks and tenants of all pools
	mostTenants    = 20_000  // of a pool; with more everything is read once
	distrust       = -8      // after another process's turn: those come in numbers
	soloTurns      = 8       // of a pool that a convoy was turned back for
)

// take returns what is known of a pool, and forgets it until keep is called: a turn that
// fails leaves nothing.
func (m *memory) take(pool domain.PoolID) *recollection {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.pools[pool]
	if r != nil {
		m.size -= r.size()
		delete(m.pools, pool)
	}
	return r
}

// keep remembers a pool again. Where all pools are too much together, others are forgotten,
// whichever.
func (m *memory) keep(pool domain.PoolID, r *recollection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pools == nil {
		m.pools = make(map[domain.PoolID]*recollection)
	}
	if old := m.pools[pool]; old != nil {
		m.size -= old.size()
	}
	for other, old := range m.pools {
		if m.size+r.size() <= mostRemembered {
			break
		}
		if other != pool {
			m.size -= old.size()
			delete(m.pools, other)
		}
	}
	if r.size() > mostRemembered {
		r = newRecollection(distrust)
	}
	m.size += r.size()
	m.pools[pool] = r
}

// trusted reports whether a turn should go by it, and read again if it was wrong.
func (r *recollection) trusted() bool { return r != nil && r.trust >= 0 }

// crowded reports whether others are expected to have the pool's lock.
func (r *recollection) crowded() bool { return r != nil && r.crowd }

// holds reports whether it is of the pool's newest turn.
func (r *recollection) holds(c *domain.Counters) bool {
	return r != nil && r.counters.TurnNo == c.TurnNo && r.counters.TurnID == c.TurnID
}

// next returns what is known after a turn. r may be nil, or of another turn than t read.
func (r *recollection) next(t *turn) *recollection {
	switch {
	case r == nil:
		r = newRecollection(0)
	case r.holds(&t.counters):
		r.trust, r.solo = min(r.trust+1, 1), max(r.solo-1, 0)
	default:
		r = r.othersTurn()
	}
	if t.seat.refused {
		r.blame(t)
	} else if t.seat.arrived {
		r.refused = 0
	}
	r.rest(t.order.way)
	r.load = t.rq.Len()
	r.crowd = t.waited || r.crowd && r.trust < 0
	for i := range t.rq.Settles { // ends, or is not as it was thought to be
		delete(r.running, t.rq.Settles[i].Ref.JobID)
	}
	maps.Copy(r.tenants, t.tenants)
	whole := r.whole(t)
	r.pool, r.counters, r.heads = t.pool, t.counters, t.heads
	if d := &t.d; !d.Idle {
		r.counters = d.Counters
		for i := range d.Tenants {
			r.tenants[d.Tenants[i].Tenant] = d.Tenants[i]
		}
		for i := range d.Inserted {
			r.note(&d.Inserted[i], whole)
		}
		for i := range d.Changed {
			r.note(&d.Changed[i].Task, whole)
		}
		if d.Pool != nil { // other tenants have a cap now
			return newRecollection(0)
		}
	}
	if !whole || len(r.queue.tasks) > mostQueued {
		r.queue = newBacklog()
	}
	return r
}

// blame looks for the cause of a refusal in what is recalled. Somebody else's turn is found by its
// number, and tasks that are sent again are known. Whatever it is when that happens time and again, a
// row changed by hand say, none of it is gone by any more.
func (r *recollection) blame(t *turn) {
	if t.resent {
		r.solo = soloTurns
	}
	if r.refused++; r.refused > 1 {
		r.running, r.queue, r.refused = make(map[domain.JobID]domain.Task), newBacklog(), 0
	}
}

// rest notes how a turn was taken, and for how many others none is decided ahead.
func (r *recollection) rest(w way) {
	switch w {
	case decidedAhead:
		r.restLast, r.unready = 0, 0
		return
	case without:
		r.restAhead = max(r.restAhead-1, 0)
		return
	case unready:
		if r.unready++; r.unready < mostUnready {
			return
		}
	case refused:
	}
	r.unready = 0
	r.restLast = min(max(2*r.restLast, restAhead), mostRestAhead)
	r.restAhead = r.restLast
}

// whole reports whether the queue that t read is known; if not, and t has read all of it, it
// is now.
func (r *recollection) whole(t *turn) bool {
	queued := t.counters.Queued + t.counters.Waiting
	known := r.holds(&t.counters) && int64(len(r.queue.tasks)) == queued
	if int64(len(t.candidates)) != queued {
		if !known {
			r.queue = newBacklog()
		}
		return known
	}
	// As it was read, with the payloads that are known: a change by hand counts from now on.
	old := r.queue
	r.queue = newBacklog()
	for i := range t.candidates {
		c := t.candidates[i]
		if e, kept := old.tasks[c.JobID]; kept && known {
			c.Payload, c.Labels = e.task.Payload, e.task.Labels
		}
		r.queue.note(&c)
	}
	return true
}

// size is what the bound of a memory counts: tasks and tenants of some 600 bytes, and as much of payloads.
func (r *recollection) size() int {
	const each = 600
	return len(r.running) + len(r.tenants) + len(r.queue.tasks) + r.queue.bytes/each
}

// othersTurn returns what is left of r when another process has taken a turn: what runs in this
// one. That may have been changed too, so whoever goes by it has the database check it.
func (r *recollection) othersTurn() *recollection {
	next := newRecollection(distrust)
	next.crowd, next.solo, next.restAhead, next.restLast, next.unready = r.crowd, r.solo, r.restAhead, r.restLast, r.unready
	if r.pool.Runtime == domain.RuntimeNative {
		next.running = r.running
	}
	return next
}

// queued is how many tasks are in the order or in backoff.
func (r *recollection) queued() int64 { return r.counters.Queued + r.counters.Waiting }

func newRecollection(trust int) *recollection {
	return &recollection{
		trust: trust, queue: newBacklog(),
		running: make(map[domain.JobID]domain.Task), tenants: make(map[domain.Tenant]domain.TenantUsage),
	}
}

// note remembers a task as it was written.
func (r *recollection) note(t *domain.Task, queue bool) {
	if queue {
		r.queue.note(t)
	}
	if t.Status != domain.StatusRunning {
		delete(r.running, t.JobID)
		return
	}
	r.running[t.JobID] = light(t)
}

// light returns a task as a turn would read it.
func light(t *domain.Task) domain.Task {
	l := *t
	l.Payload, l.Result, l.Labels = nil, nil, nil
	l.Timeout = t.Timeout.Truncate(time.Millisecond) // as it is stored
	return l
}
