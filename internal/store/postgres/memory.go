package postgres

import (
	"maps"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// memory is what this process's last turn of each pool left behind: as long as no other
// process takes a turn in between, the next one need not read it again. Whether one has
// is read under the pool's lock, so that nothing is ever decided by what is old. Safe
// for concurrent use; what it has of a pool belongs to the turn that took it.
type memory struct {
	mu    sync.Mutex
	pools map[domain.PoolID]*recollection
}

// recollection is the state of a pool after one turn, as far as it is kept.
type recollection struct {
	turnNo int64
	turnID string
	// running are tasks that run, light, as a read would return them: those that turns of
	// this process started or read.
	running map[domain.JobID]domain.Task
	// tenants is the usage of every tenant of a task in running, and of others.
	tenants map[domain.Tenant]domain.TenantUsage
	queued  int64 // in the order or in backoff
	// trust says how often in a row it was right; below zero, how often it has to
	// be right before a turn relies on it again.
	trust int
}

// Bounds of a recollection.
const (
	mostRemembered = 50_000 // tasks, and tenants; more are forgotten together
	distrust       = -8     // after another process's turn: those come in numbers
)

// take returns what is known of a pool, and forgets it until keep is called: a turn that
// fails leaves nothing.
func (m *memory) take(pool domain.PoolID) *recollection {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.pools[pool]
	delete(m.pools, pool)
	return r
}

func (m *memory) keep(pool domain.PoolID, r *recollection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pools == nil {
		m.pools = make(map[domain.PoolID]*recollection)
	}
	m.pools[pool] = r
}

// trusted reports whether a turn should go by it, and read again if it was wrong.
func (r *recollection) trusted() bool { return r != nil && r.trust >= 0 }

// holds reports whether it is of the pool's newest turn.
func (r *recollection) holds(c *domain.Counters) bool {
	return r != nil && r.turnNo == c.TurnNo && r.turnID == c.TurnID
}

// next returns what is known after a turn that read snap and wrote d (nil: that wrote
// nothing). r may be nil, or of another turn than snap.
func (r *recollection) next(snap *plan.Snapshot, d *plan.Decisions) *recollection {
	switch {
	case r == nil:
		r = newRecollection(0)
	case r.holds(&snap.Counters):
		r.trust = min(r.trust+1, 1)
	default:
		r = newRecollection(distrust)
	}
	maps.Copy(r.tenants, snap.Tenants)
	c := &snap.Counters
	if d != nil {
		c = &d.Counters
		for i := range d.Tenants {
			r.tenants[d.Tenants[i].Tenant] = d.Tenants[i]
		}
		for i := range d.Inserted {
			r.note(&d.Inserted[i])
		}
		for i := range d.Changed {
			r.note(&d.Changed[i].Task)
		}
	}
	r.turnNo, r.turnID, r.queued = c.TurnNo, c.TurnID, c.Queued+c.Waiting
	if len(r.running) > mostRemembered || len(r.tenants) > mostRemembered {
		return newRecollection(distrust)
	}
	return r
}

func newRecollection(trust int) *recollection {
	return &recollection{
		trust: trust, running: make(map[domain.JobID]domain.Task), tenants: make(map[domain.Tenant]domain.TenantUsage),
	}
}

// note remembers a task as it was written.
func (r *recollection) note(t *domain.Task) {
	if t.Status != domain.StatusRunning {
		delete(r.running, t.JobID)
		return
	}
	light := *t
	light.Payload, light.Result, light.Labels = nil, nil, nil
	light.Timeout = t.Timeout.Truncate(time.Millisecond) // as it is stored
	r.running[t.JobID] = light
}
