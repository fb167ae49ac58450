package storetest

import (
	"sync"
	"time"
)

// Clock is a clock that moves when a test says so. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at a fixed instant, in UTC, with
// microseconds that do not happen to be zero.
func NewClock() *Clock {
	return &Clock{now: time.Date(2031, time.May, 7, 9, 30, 15, 123456000, time.UTC)}
}

// Now reads the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d, which may be negative, and returns what it shows then.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}
