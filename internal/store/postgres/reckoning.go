package postgres

import (
	"sync"
	"time"
)

// reckoning is the database's clock as this process knows it without asking: the latest
// reading, and what has passed here since, by the monotonic clock. A reading is older than its
// arrival by as long as it was on its way, so what is reckoned is never ahead of the
// database's clock, but for the drift between two clocks, and behind by the
// shortest of the recent ways. Whoever goes by it has the database check it. Safe for concurrent use.
type reckoning struct {
	mu    sync.Mutex
	there time.Time // the database's clock when this process's showed here; zero: not known
	here  time.Time
}

const (
	// drift is how much slower than its own clock a process takes the database's to run, 50 ppm: a
	// reckoning that is ahead all the same is refused.
	drift = 20_000
	// mostLag is how long a reading may have been on its way that a reckoning begins with: what is
	// decided by it is dated that much too early at most.
	mostLag = 5 * time.Millisecond
	// reckonFor is how long a reading is good for.
	reckonFor = time.Minute
)

// saw notes a reading of the database's clock that was asked for at sent and arrived at here. The
// reckoning goes by whichever is later, the reading or what was reckoned.
func (r *reckoning) saw(there, sent, here time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch known := !r.there.IsZero() && here.Sub(r.here) <= reckonFor; {
	case known && !there.After(r.at(here)):
		r.there, r.here = r.at(here), here
	case known || here.Sub(sent) <= mostLag:
		r.there, r.here = there, here
	}
}

// now returns the database's clock when this process's shows here; false: not known.
func (r *reckoning) now(here time.Time) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.there.IsZero() || here.Sub(r.here) > reckonFor {
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
