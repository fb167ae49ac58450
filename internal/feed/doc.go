// Package feed hands messages and audit events on, as they are written, to those who
// follow a mailbox or the trail: any number of followers for one reader a backend.
//
// A Hub has one tail for each backend. While anybody follows, a tail reads what was
// written after its position, of all sources at once, and gives each entry to the
// followers that it concerns. Nobody follows: nothing is read.
//
// A follower first catches up by queries of its own from its own cursor, and then lives
// on what the tails give it. Both ways meet without a gap and without anything twice,
// because within a source the order of sequence numbers is the order of commits:
//
//   - It is registered before it asks. What a tail had passed by then is in the answer;
//     what the tail finds later is kept for it.
//   - What it has had of a source is one number, and anything up to that is dropped.
//
// A follower for whom more is kept than keepMost or keepBytes falls back to queries, and
// so does one whose entry is too long to be kept: no reader makes the process grow.
package feed
