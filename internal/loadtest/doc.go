// Package loadtest puts real processes under load and has what they did proven
// by the history checker: from the audit trail, and from the record that the
// executors kept of themselves.
//
// It starts servers as processes of their own (several on one Postgres, one on the
// embedded backends), submits through keep-alive connections as clients would, and
// waits until everything has ended. Nothing in it is a mock.
//
// Limits: clients, servers and database share one machine, so absolute numbers say
// as much about the machine; what must hold on any is that nothing is violated.
package loadtest
