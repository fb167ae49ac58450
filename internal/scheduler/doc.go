// Package scheduler takes the turns: one loop for each pool of this process
// gathers what has come in (submissions, results, losses, cancellations, changes,
// due timers), has store.Turn read, plan.Turn decide and the store write, and
// then answers everybody who asked and starts what a native pool admitted.
//
// Around the loops it keeps what a fleet of processes on one backend needs: the
// process's own heartbeat, a reaper of dead processes, a check that what the rows
// say this process holds is really running here, hints to and from other
// processes, a slow safety poll behind those hints, delivery of outcomes to
// mailboxes in other backends, and sweeps.
//
// Nothing is decided here (plan does that) and nothing runs here (a Starter does
// that). A loop never waits in order to batch: a turn takes what arrived while the
// turn before it ran.
//
// Limits: a turn carries at most plan.MaxRequests requests and plan.MaxBytes
// bytes; an inbox accepts at most Options.InboxLimit requests that ask for units
// and refuses more with domain.CodeUnavailable. Results are never refused.
package scheduler
