// Package history proves the promises of the scheduler from what it left
// behind: the audit trail, replayed event by event, against the rows, counters
// and mailbox messages that are there now, and against the record that executors
// kept of when they really ran.
//
// Ledger takes events of one source in Seq order and keeps a state machine for each task that
// is alive; what has ended goes to a Book, on disk, with rows and messages, and is judged
// when everything about a job lies side by side. Execution takes a Ledger that kept its
// attempts, and the executors' records. Check feeds them from a Source, which is a server's
// HTTP API or the stores themselves.
//
// A trail whose beginning retention has deleted is followed from a checkpoint (Start). Jobs
// that were alive then are carried over: they may go on although their submission is not there,
// no more of them than the checkpoint counted.
//
// Non-goals: it repairs nothing and trusts nothing but the order of Seq within a
// source, and of a checkpoint and its horizons what the backend says. Limits: what happened
// before the checkpoint is not proven; executors' records need memory for every attempt.
package history
