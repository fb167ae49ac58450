package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Kind names a fault.
type Kind string

// What can be broken.
const (
	Kill          Kind = "kill -9"              // and started again after For
	Drain         Kind = "SIGTERM and restart"  // as an operator does; nothing may be lost by it either
	Freeze        Kind = "SIGSTOP"              // shorter than the TTL
	FreezeLong    Kind = "SIGSTOP past the TTL" // others mark it dead; it wakes up and must not know better
	FreezeInTurn  Kind = "SIGSTOP in a turn"    // between the two round trips, with the pool's lock
	HoldTurn      Kind = "turn held up"         // the same, and only the connection stands still
	CrashPostgres Kind = "Postgres crash"       // immediate restart
	Drop          Kind = "connections dropped"  // all of one process
	Terminate     Kind = "backends terminated"  // a random half of all, by pg_terminate_backend
	Cut           Kind = "connections refused"  // of one process, for a while
	Unplug        Kind = "packets held"         // of one process: nothing breaks, nothing passes
	LinkDown      Kind = "link down"            // the network interface of one worker
	DiskFull      Kind = "disk full"            // under the file backend
)

// Fault is one thing that is broken.
type Fault struct {
	At     time.Duration // since the beginning of the run
	Kind   Kind
	Target string        // name of a member; empty: Postgres
	For    time.Duration // until it is mended
}

// String describes the fault in one line.
func (f Fault) String() string {
	if f.Target == "" {
		return fmt.Sprintf("%7s %s for %s", f.At.Round(time.Millisecond), f.Kind, f.For.Round(time.Millisecond))
	}
	return fmt.Sprintf("%7s %s: %s for %s", f.At.Round(time.Millisecond), f.Kind, f.Target, f.For.Round(time.Millisecond))
}

// Places says what may be broken where: the targets of each kind. A kind without
// targets does not happen.
type Places map[Kind][]string

// Pauses of a schedule.
const (
	shortestGap = 300 * time.Millisecond
	rest        = 1500 * time.Millisecond // of a target after a fault
)

// Draw makes a schedule: the same for the same seed, duration, pace and places. Every kind comes
// once before any comes again. Faults overlap, but never on one target; every is
// how far they are apart in the mean. ttl is the time after which a silent process
// counts as dead.
func Draw(seed uint64, duration, every, ttl time.Duration, places Places) []Fault {
	random := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	kinds := make([]Kind, 0, len(places))
	for kind, targets := range places {
		if len(targets) > 0 {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds) // a map has no order
	var (
		faults []Fault
		deck   []Kind
		busy   = map[string]time.Duration{}
	)
	for at := every; len(kinds) > 0; at += shortestGap + time.Duration(random.Int64N(int64(2*max(every-shortestGap, time.Millisecond)))) {
		if len(deck) == 0 {
			deck = slices.Clone(kinds)
			random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		f := Fault{At: at, Kind: deck[0]}
		deck = deck[1:]
		targets := slices.Clone(places[f.Kind])
		random.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
		f.Target = slices.MinFunc(targets, func(a, b string) int { return int(max(busy[a], at) - max(busy[b], at)) })
		at = max(at, busy[f.Target])
		f.At, f.For = at, length(random, f.Kind, ttl)
		if f.At+f.For > duration {
			return faults
		}
		busy[f.Target] = f.At + f.For + rest
		faults = append(faults, f)
	}
	return faults
}

// length is how long a fault lasts.
func length(random *rand.Rand, kind Kind, ttl time.Duration) time.Duration {
	between := func(from, to time.Duration) time.Duration {
		return (from + time.Duration(random.Int64N(int64(to-from)))).Round(time.Millisecond)
	}
	switch kind {
	case Freeze:
		return between(ttl/20, ttl/2)
	case FreezeLong:
		return between(ttl*3/2, ttl*3)
	case FreezeInTurn, HoldTurn:
		return between(ttl/10, ttl*2) // on both sides of the turn's own idle timeout
	case Cut, Unplug, LinkDown:
		return between(ttl/10, ttl*5/2)
	case CrashPostgres:
		return between(0, 2*time.Second)
	case DiskFull:
		return between(time.Second, 4*time.Second)
	case Drop, Terminate:
		return 0
	}
	return between(100*time.Millisecond, ttl) // Kill, Drain: how long it stays away
}
