package scheduler

import (
	"sync"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// view is what this process knows of a pool from its own turns and the safety
// poll. The loop writes it; others read it.
type view struct {
	mu       sync.Mutex
	counters domain.Counters
	pool     domain.Pool
	known    bool
	stuck    bool // a turn's commit is unknown: rows may be held that are not started yet
	turns    int64
}

// saw notes the state after a turn of this process.
func (v *view) saw(pool domain.Pool, c domain.Counters, committed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()

	v.pool, v.known = pool, true
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
	return true
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
