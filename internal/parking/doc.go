// Package parking holds the pure rules of the car park half: which spots a
// vehicle fits, which of them it is given, and what a stay costs.
//
// It performs no I/O and reads no clock; it imports domain, the standard library
// and the Unicode normal forms only. Everything it decides can be decided again,
// for ever, from what a ticket stores.
package parking
