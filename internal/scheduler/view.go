package scheduler

import (
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// view is what this process knows of a pool from its own turns and the safety
// poll. The loop writes it; others read it.
type view struct {
	mu       sync.Mutex
	counters domain.Counters
	pool     domain.Pool
	known    bool
	meter    plan.Meter
	// usage is what tenants with a units cap used after the last turn of this process.
	usage map[domain.Tenant]domain.Units
	stuck bool // a turn's commit is unknown: rows may be held that are not started yet
	turns int64
	// At here, by the clock of this process, it was there by the backend's.
	here, there time.Time
}

// saw notes the state after a turn of this process.
func (v *view) saw(pool domain.Pool, c domain.Counters, usage map[domain.Tenant]domain.Units, committed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()

	v.pool, v.known, v.usage = pool, true, usage
	v.meter.Saw(c)
	if c.TurnNo >= v.counters.TurnNo {
		v.counters = c
	}
	if committed {
		v.turns++
	}
}

// behind notes counters that a poll read, and reports whether another process has
// taken turns that this one has not seen.
func (v *view) behind(c domain.Counters) bool {
	v.mu.Lock()
	defer v.mu.Unlock()

	if c.TurnNo <= v.counters.TurnNo {
		return false
	}
	v.counters = c
	v.meter.Saw(c)
	return true
}

// passed notes the counters of a turn, for the drain alone.
func (v *view) passed(c domain.Counters) {
	v.mu.Lock()
	defer v.mu.Unlock()

	v.meter.Saw(c)
}

// measured notes what the backend's clock showed when this process's showed here.
func (v *view) measured(here, there time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()

	v.here, v.there = here, there
}

// now returns what the backend's clock shows when this process's shows here.
func (v *view) now(here time.Time) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()

	if v.there.IsZero() {
		return here.UTC()
	}
	return v.there.Add(here.Sub(v.here))
}

// drain returns how fast the queue has been emptying.
func (v *view) drain(now time.Time) plan.Drain {
	v.mu.Lock()
	defer v.mu.Unlock()

	return v.meter.Drain(now)
}

// tenant returns the pool as last seen, and what a tenant with a units cap used then.
func (v *view) tenant(tenant domain.Tenant) (domain.Pool, domain.Units) {
	v.mu.Lock()
	defer v.mu.Unlock()

	return v.pool, v.usage[tenant]
}

func (v *view) setStuck(stuck bool) {
	v.mu.Lock()
	defer v.mu.Unlock()

	v.stuck = stuck
}

// running returns how many tasks of the pool run anywhere, as far as is known, and
// whether the rows can be compared with what runs here.
func (v *view) running() (n int64, settled bool) {
	v.mu.Lock()
	defer v.mu.Unlock()

	return v.counters.Running, !v.stuck
}

// snapshot returns the pool as last seen.
func (v *view) snapshot() (domain.Pool, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()

	return v.pool, v.known
}

// takeTurns returns the turns committed since the last call.
func (v *view) takeTurns(atLeast int64) int64 {
	v.mu.Lock()
	defer v.mu.Unlock()

	if v.turns < atLeast {
		return 0
	}
	n := v.turns
	v.turns = 0
	return n
}
