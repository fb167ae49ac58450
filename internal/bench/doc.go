// Package bench measures lifecycles a second beside River alone, on one Postgres.
//
// A lifecycle of Parking Lot is everything: submitted, admitted, run by an executor
// that does nothing, settled, its outcome in a mailbox and every transition
// audited. A lifecycle of River is a job inserted by itself and worked by a worker
// that does nothing. Both run in this process with the same number of submitters,
// each submitting one at a time and waiting for the commit.
//
// Contenders are measured in turn, every round all of them, each on a schema of
// its own that is empty at the start; what counts are medians and ratios of one
// run, because machines are noisy and differ.
//
// Limits: client, contender and database share the machine's cores; nothing is
// measured through HTTP (the load test does that).
package bench
