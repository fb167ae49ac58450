package postgres

import (
	"sync"
	"time"
)

// reckoning is the database's clock as this process knows it without asking: the latest
// reading, and what has passed here since, by the monotonic clock. A reading is older than its
// arrival by as long as it was on its way, so what is reckoned is never ahead of the
// database's clock, but for the drift between two clocks, and behind by the way of a recent
// quick reading at most. Whoever goes by it has the database check it. Safe for concurrent use.
type reckoning struct {
	mu    sync.Mutex
	there time.Time // the database's clock when this process's showed here; zero: not known
	here  time.Time
	sound time.Time // when the last quick reading arrived
}

const (
	// drift is how much slower than its own clock a process takes the database's to run, 50 ppm: a
	// reckoning that is ahead all the same is refused.
	drift = 20_000
	// mostLag is how long a quick reading may have been on its way: what is decided by the
	// reckoning is dated that much too early at most, and by what the drift adds until the next one.
	mostLag = 5 * time.Millisecond
	// reckonFor is how long a quick reading is good for.
	reckonFor = time.Minute
)

// saw notes a reading of the database's clock that was asked for at sent and arrived at here. The
// reckoning goes by whichever is later, the reading or what was reckoned. Where only slow ones come, it
// ends, and a turn has to read.
func (r *reckoning) saw(there, sent, here time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	quick := here.Sub(sent) <= mostLag
	known := r.known(here)
	if !known && !quick {
		return
	}
	if !known || there.After(r.at(here)) {
		r.there, r.here = there, here
	}
	if quick {
		r.sound = here
	}
}

func (r *reckoning) known(here time.Time) bool {
	return !r.there.IsZero() && here.Sub(r.sound) <= reckonFor
}

// now returns the database's clock when this process's shows here; false: not known.
func (r *reckoning) now(here time.Time) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known(here) {
		return time.Time{}, false
	}
	return r.at(here).UTC().Truncate(time.Microsecond), true
}

func (r *reckoning) at(here time.Time) time.Time {
	passed := here.Sub(r.here)
	return r.there.Add(passed - passed/drift)
}

// forget makes the next turn read the clock: the database's was set back, or another server
// answers.
func (r *reckoning) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.there = time.Time{}
}
