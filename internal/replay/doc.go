// Package replay feeds a trace of work through the HTTP API in (scaled) real
// time and tells how long it waited, how long it ran and how well the pool was
// used.
//
// A trace is a list of arrivals: when, how many units, for how long. The formats
// that are not the program's own say neither units nor durations of tasks, so
// each has a rule that makes them; the rules are functions of a row alone (and of
// the pool's max_units), so that the same trace always asks for the same work.
//
// Reading a trace is pure. Replaying it uses the generated client and nothing
// else of the program; what it reports about units comes from the audit trail.
//
// Limits: a trace is held in memory; durations are those of the sleep executor,
// so nothing but time and units is loaded.
package replay
