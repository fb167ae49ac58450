package app

import (
	"os"
	"runtime/debug"
)

const (
	// ballastBytes are what a process that serves or works counts as live beside what it
	// really holds.
	ballastBytes = 64 << 20
	// garbagePercent is how much garbage may come on top of that, instead of Go's 100.
	garbagePercent = 50
)

// Ballast returns memory that is never touched, so that it takes up address space and
// nothing else. Held as long as the process serves, it lets the garbage collector
// run once in 32 MiB of garbage and not once in the few megabytes that a scheduler at
// rest holds: under load that took a quarter of the process's CPU time. Unlike a higher
// GOGC, it adds the same to a large heap as to a small one; so that a large one is
// followed by less garbage than Go would allow, Ballast lowers GOGC unless the
// environment sets it.
func Ballast() []byte {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	return make([]byte, ballastBytes)
}
