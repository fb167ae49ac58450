package plan

import (
	"math"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Drain is how fast the queue of a pool has been emptying lately. The zero Drain: not
// known, because too little has left the queue to say.
type Drain struct {
	// PerSecond is how many tasks left the order (started, expired, dropped or
	// cancelled) per second of the time in which somebody was in it.
	PerSecond float64
	// Over is how much of that time was looked at.
	Over time.Duration
}

// Bounds of what a meter remembers.
const (
	// drainMemory and drainTasks: what is older than a minute of draining and more than
	// sixteen tasks back fades (by 1/e); a pool that starts a task every few minutes
	// keeps its tasks, one that starts thousands a second its minute.
	drainMemory = time.Minute
	drainTasks  = 16
	// drainLeast is how many tasks must have left before there is a rate.
	drainLeast = 3
	// drainForgotten is how long after the last time that somebody waited the rate is
	// of no use any more.
	drainForgotten = 10 * time.Minute
)

// Meter measures the drain of one pool from its counters, as they come by: after the
// turns of this process, and now and then for those of others. Only time in which
// somebody was in the order counts, because nothing drains an empty queue. The zero Meter is
// ready to use. Not safe for concurrent use.
type Meter struct {
	last domain.Counters
	left float64 // tasks that left, faded
	busy float64 // seconds in which somebody was in the order, faded
	when time.Time
}

// Saw takes counters in. Those that are not newer than what was seen say nothing.
func (m *Meter) Saw(c domain.Counters) {
	before := m.last
	if c.TurnNo <= before.TurnNo && !before.At.IsZero() {
		return
	}
	m.last = c
	left := c.Drained - before.Drained
	// A count that went back was written by a program that does not keep it.
	if before.At.IsZero() || before.Queued == 0 || left < 0 {
		return
	}
	took := max(0, c.At.Sub(before.At).Seconds())
	keep := math.Exp(-min(took/drainMemory.Seconds(), float64(left)/drainTasks))
	m.left = m.left*keep + float64(left)
	m.busy = m.busy*keep + took
	m.when = c.At
}

// Drain returns the rate at now, which is a time of the pool's backend.
func (m *Meter) Drain(now time.Time) Drain {
	if m.left < drainLeast {
		return Drain{}
	}
	busy := m.busy
	if m.last.Queued > 0 { // nothing has left since: that counts as well
		busy += max(0, now.Sub(m.last.At).Seconds())
	} else if now.Sub(m.when) > drainForgotten {
		return Drain{}
	}
	if busy <= 0 {
		return Drain{}
	}
	return Drain{PerSecond: m.left / busy, Over: time.Duration(busy * float64(time.Second))}
}

// Known reports whether there is a rate.
func (d Drain) Known() bool { return d.PerSecond > 0 }

// Bounds of what is told: further ahead than estimateMost is no estimate.
const (
	estimateMost = 365 * 24 * time.Hour
	retryLeast   = time.Second
	retryMost    = 5 * time.Minute
	retryJitter  = 0.2
	retryUnknown = 2 * time.Second
)

// Start estimates when the task that is now at a position of the order starts. It
// reports false when nothing is known.
//
// It is the position over the rate: right as long as the mix of units and durations
// stays as it has been, and as long as nobody gets in front of the task.
func (d Drain) Start(now time.Time, position int64) (time.Time, bool) {
	if !d.Known() || position <= 0 {
		return time.Time{}, false
	}
	seconds := float64(position) / d.PerSecond
	if seconds > estimateMost.Seconds() {
		return time.Time{}, false
	}
	return now.Add(time.Duration(seconds * float64(time.Second))).Truncate(time.Millisecond), true
}

// RetryAfter advises when to come back to whoever found the queue full: the first
// refused of a turn when one place will have come free, the second when two have,
// between a second and five minutes. share is the part of the drain that makes room for
// the caller (1: all of it). job spreads those who would come back at the same moment,
// by up to a fifth either way.
func (d Drain) RetryAfter(refused int64, share float64, job domain.JobID) time.Duration {
	after := retryUnknown
	if rate := d.PerSecond * share; rate > 0 {
		after = time.Duration(min(float64(refused)/rate, retryMost.Seconds()) * float64(time.Second))
	}
	// A multiple of the golden ratio: neighbours end up far from each other.
	_, spread := math.Modf(float64(job) * math.Phi)
	after = time.Duration(float64(max(after, retryLeast)) * (1 - retryJitter + 2*retryJitter*spread))
	return min(max(after, retryLeast), retryMost)
}
