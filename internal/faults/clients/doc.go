// Package clients is the load of the fault harness: clients that submit, cancel, force
// and change pools over HTTP, and write down every request before it is sent and
// every answer when it came.
//
// It runs as a process of its own, so that a harness that stands still is no gap in
// what clients saw. A request without an answer is repeated, on another server and
// with the same body, as a careful client does, until an answer comes.
package clients
