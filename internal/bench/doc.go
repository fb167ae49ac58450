// Package bench measures Parking Lot beside River alone and beside bare inserts, on
// one Postgres with fsync on, and says which of its promises about speed hold.
//
// What is measured is data: the scenarios of matrix.go. A scenario has cases that
// are compared with each other, and lines that say what has to come out. Every
// round measures every case of every scenario; a line compares two cases of the
// same round, and its verdict is the median over the rounds, because machines are
// noisy and differ.
//
// A lifecycle of Parking Lot is everything: submitted, admitted, run by an executor
// that does nothing, settled, its outcome in a mailbox and every transition
// audited. A lifecycle of River is a job inserted by itself and worked by a worker
// that does nothing. No number counts unless all of its work is known to be done:
// the history checker proves every run that begins on empty tables, counts and the
// reconciliation those on large ones.
//
// How the files divide: matrix.go the scenarios, run.go the rounds, one file a way
// of measuring (floor, river, local, serve, idle, saturated, steady, memory,
// planner), meter.go what it cost meanwhile, fixture.go large tables, and, without
// any I/O, stats.go, proc.go, page.go and plot.go.
//
// Limits: client, contender and database share the machine's cores.
package bench
