// Package domain is the vocabulary of admission control: pools, tasks, units,
// states, reasons, audit events and mailbox messages, and the error codes that
// the edge turns into HTTP statuses.
//
// It holds no behaviour beyond validation and small rules about its own types,
// performs no I/O, reads no clock, and imports the standard library only, so
// that every other package may depend on it.
package domain
