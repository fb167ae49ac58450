// Package history proves the promises of the scheduler from what it left
// behind: the audit trail, replayed event by event, against the rows, counters
// and mailbox messages that are there now, and against the record that executors
// kept of when they really ran.
//
// The parts that decide are pure: Ledger takes events of one source in Seq order
// and keeps a state machine a task; Execution takes a Ledger and the executors'
// records. Check feeds them from a Source, which is a server's HTTP API or the
// stores themselves.
//
// Non-goals: it repairs nothing and trusts nothing but the order of Seq within a
// source. Limits: it keeps about 300 bytes a task and 150 an attempt in memory;
// a message that was acknowledged and pruned counts as missing, so the mailbox is
// only compared while it is complete; a trail whose beginning was dropped by
// retention can be followed from a checkpoint (Start), not from nothing.
package history
