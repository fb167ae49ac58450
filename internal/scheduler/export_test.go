package scheduler

import "github.com/parkinglot/parkinglot/internal/plan"

// WithDecide returns o with a stand-in for plan.Turn.
func WithDecide(o Options, decide func(plan.Snapshot, *plan.Requests) plan.Decisions) Options {
	o.decide = decide
	return o
}
