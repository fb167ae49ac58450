// Package app wires the program: it opens the backends that a configuration
// needs, stores its pools, runs scheduler and runtimes, and serves the API.
//
// Serve and Work are whole processes in one call. The parkinglot command calls
// them, tests call them, and so do programs that bring executors of their own
// (Options.Registry). Both run until their context ends, then stop taking, let
// running tasks end or hand them back, and return.
//
// The package decides nothing about tasks (package plan does) and holds no
// state of its own beyond what runs.
package app
