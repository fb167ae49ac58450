// Package linear checks that a pool behaves as if its operations happened one after
// the other: linearizability, after Herlihy and Wing (1990), with the checker porcupine.
//
// A round is a burst of submissions, cancellations and reads by concurrent clients on
// a small pool, until all has ended. Every call is an interval from its sending to its
// answer. What nobody calls is an operation as well: a start lies between the
// submission (or the attempt before) and the executor's own record of its entry, an end between
// the executor's record and the first read that saw it. The history is right when
// there is one order of all operations, each at some instant within its interval,
// that a sequential pool could have done: a capacity, a queue with a depth, and a state for
// each task.
//
// The history is not split by task: capacity couples them all. Rounds end with an empty
// pool instead, so that each is small enough to be decided.
package linear
