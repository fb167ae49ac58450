// Package garage is the parking half at work: it lets vehicles in and out, takes
// money, keeps reservations and the waiting lines. The rules are internal/parking's,
// pure; this is the shell that reads, decides by them, and writes under the lock of
// one facility.
//
// Errors a client can act on are *domain.Error. Every change of a facility, its audit
// events and the answer of the gate that asked are one transaction.
//
// What it is not: it decodes nothing (the edge does), and it knows no dialect.
package garage
