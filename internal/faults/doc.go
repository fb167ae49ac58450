// Package faults breaks a running fleet on purpose and proves that nothing was
// lost: the fault harness behind make faults.
//
// A World is real processes (servers, workers, one server on the embedded backend), a
// Postgres of its own and what lies between them. Draw makes a schedule of faults from a
// seed; a Run inflicts it while clients in a process of their own submit, cancel, settle
// and change pools. Then everything is healed, the queues run dry, and the run is
// judged three times over: by the history checker from the audit trail, from the
// executors' own record, and from the clients' own log of every answer they got.
//
// Package clients is the load and its log. Files here: schedule (what is broken
// when), world and member (what there is to break), inflict (how), judge (what must
// hold), pace (how long it stood still), report.
package faults
