// Package attempts is what the runtimes of a process share: the register of
// attempts that really run here, and the one path from a started task to its
// settlement (executor lookup, workers.Run, scheduler's Settle). A runtime brings
// a task here; everything that makes runtimes behave alike happens here.
//
// It decides nothing about tasks: an attempt that ended is reported with
// plan.Settle, and the turn that takes the report decides.
//
// Limits: an executor that ignores the end of its context is settled after
// workers.Limits.StopGrace and then works on unseen; see Metrics.Leaking.
package attempts
