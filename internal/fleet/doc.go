// Package fleet runs the real program as processes of their own and breaks what is
// around them: end to end tests, load tests and the fault harness share it.
//
// Build makes the binary of this tree, Start runs a verb of it and follows its log,
// and a Proxy stands between a process and Postgres and can be cut, frozen, or held
// at the instant between the round trips of a transaction. Nothing in it knows
// what is tested.
//
// On Linux processes die with the program that started them, however that ends.
package fleet
