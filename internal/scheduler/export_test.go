package scheduler

import (
	"time"

	"github.com/parkinglot/parkinglot/internal/plan"
)

// WithClock returns o with a stand-in for the clock of the process.
func WithClock(o Options, clock func() time.Time) Options {
	o.clock = clock
	return o
}

// WithDecide returns o with a stand-in for plan.Turn.
func WithDecide(o Options, decide func(plan.Snapshot, *plan.Requests) plan.Decisions) Options {
	o.decide = decide
	return o
}
