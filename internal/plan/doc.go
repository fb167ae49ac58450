// Package plan decides. Turn is the functional core of the scheduler: it takes
// what a turn has read under the pool's lock and what has been asked, and
// returns everything to write and everything to answer. It performs no I/O,
// reads no clock and no randomness, so the same input always gives the same
// decisions, on every backend, in tests and in replays.
//
// A turn handles what gives units back before what asks for them: settlements,
// losses, forces, deadlines, ended backoffs, cancellations, pool changes, then
// submissions and starts. Every move of a task goes through one function
// (ledger.move), which keeps the counters, the audit trail and the mailbox, so a
// release and its record cannot come apart.
//
// Starts keep to the order (class, rank, arrival), except that a task may pass
// one that does not fit. Passing is counted on the first blocked task of each
// class, at most Pool.MaxOvertakes times over its life; after that freed units
// are kept for it. A task further back is passed only while somebody before it
// is in front, so what may pass it is bounded by MaxOvertakes for each task that
// was ahead of it, and one times that for itself.
//
// Limits: one turn sees at most CandidateLimit queued tasks of each lane. Past the
// part of a lane that was read it starts only tasks of a class whose first blocked
// task it has read, so that every pass is counted; Decisions.Again asks for the next
// page.
//
// In a web pool the lease is the start: tasks start, in the same order, only as far as
// there are lessees to take them.
//
// What is told of the future (when a queued task may start, when somebody refused should
// come back) is made of how fast the queue has been draining, which a Meter measures
// from the counters of turns. Explain says why a task is not running, by looking at the
// start pass itself.
//
// Non-goals: timeouts of attempts (who runs an attempt ends it, or the end of its
// lease does).
package plan
