package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// result is what the readers had of what was made.
type result struct {
	made, received          int
	lost, twice, misled     int             // outcomes: never read, read again, read by somebody else
	fromExecutor, fromTurns []time.Duration // sorted
	cuts                    int64
}

func judge(all *readers, made map[domain.TaskID]outcome, finished map[domain.TaskID]time.Time) result {
	res := result{made: len(made), cuts: all.cuts.Load()}
	seen := make(map[domain.TaskID]bool, len(made))
	for i, r := range all.each {
		r.mu.Lock()
		for _, a := range r.got {
			res.received++
			if seen[a.task] {
				res.twice++
			}
			seen[a.task] = true
			if made[a.task].stream != i {
				res.misled++
			}
			res.fromTurns = append(res.fromTurns, a.at.Sub(a.posted))
			if at, known := finished[a.task]; known {
				res.fromExecutor = append(res.fromExecutor, a.at.Sub(at))
			}
		}
		r.mu.Unlock()
	}
	for id := range made {
		if !seen[id] {
			res.lost++
		}
	}
	slices.Sort(res.fromExecutor)
	slices.Sort(res.fromTurns)
	return res
}

func at(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return times[min(len(times)-1, int(q*float64(len(times))))].Round(10 * time.Microsecond)
}

func (r *result) verdict(o options) error {
	var faults []error
	if r.lost+r.twice+r.misled > 0 {
		faults = append(faults, fmt.Errorf("%d outcomes lost, %d read twice, %d in the wrong stream", r.lost, r.twice, r.misled))
	}
	if p99 := at(r.fromExecutor, 0.99); p99 > o.limit || len(r.fromExecutor) == 0 {
		faults = append(faults, fmt.Errorf("p99 from executor to reader is %s of %d, not at most %s", p99, len(r.fromExecutor), o.limit))
	}
	return errors.Join(faults...)
}

func report(o options, without, idle, busy sight, idleRate float64, r *result) {
	const mib, kib = 1 << 20, 1 << 10
	fmt.Printf("%d streams on one server process, %d outcomes a second for %s, %d streams cut and resumed\n\n", o.streams, o.rate, o.span, r.cuts)
	fmt.Println("| | p50 | p95 | p99 | max |")
	fmt.Println("|---|---:|---:|---:|---:|")
	for _, row := range []struct {
		what  string
		times []time.Duration
	}{{"executor finished → reader has it", r.fromExecutor}, {"turn began → reader has it", r.fromTurns}} {
		fmt.Printf("| %s | %s | %s | %s | %s |\n", row.what, at(row.times, 0.5), at(row.times, 0.95), at(row.times, 0.99), at(row.times, 1))
	}
	fmt.Println("\n| server process | no streams | streams, idle | after the load |")
	fmt.Println("|---|---:|---:|---:|")
	fmt.Printf("| resident memory, MiB | %.1f | %.1f | %.1f |\n",
		float64(without.resident)/mib, float64(idle.resident)/mib, float64(busy.resident)/mib)
	fmt.Printf("| Postgres connections | %d | %d | %d |\n", without.connections, idle.connections, busy.connections)
	fmt.Printf("| open files | %d | %d | %d |\n", without.files, idle.files, busy.files)
	fmt.Printf("\n%.1f KiB a stream (resident, idle); %.1f transactions a second while idle; %d outcomes, %d received, %d lost, %d twice, %d misled\n",
		float64(idle.resident-without.resident)/kib/float64(o.streams), idleRate, r.made, r.received, r.lost, r.twice, r.misled)
}
