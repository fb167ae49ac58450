package bench

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Options says what to measure.
type Options struct {
	URL    string         // of the Postgres
	Only   *regexp.Regexp // scenarios whose name matches; nil: all
	Cases  *regexp.Regexp // cases whose name matches; nil: all
	Size   bool           // those that need large tables; else the others
	Rounds int
	Tasks  int  // of every measurement; 0: what the matrix says
	Shrink int  // divides the sizes of the matrix; 0: not
	Resume bool // go on with the rounds that the results lack
	// Results is the file that is read first and written after every scenario of a
	// round; empty: none.
	Results string
	// Program is the binary whose serve is measured; empty: the one of this source tree.
	Program string
	// ServeProfile is the file in which the first serve process of the latest measurement
	// leaves a CPU profile; empty: none.
	ServeProfile string
	// Progress is told what is measured next; may be nil.
	Progress func(done, of int, what string)
}

// caseTimeout is how long one measurement may take. Filling large tables is the longest.
const caseTimeout = 15 * time.Minute

// Select returns the scenarios that the options ask for, at their sizes.
func (o *Options) Select(matrix []Scenario) []Scenario {
	var chosen []Scenario
	for _, s := range matrix {
		if s.Size != o.Size || o.Only != nil && !o.Only.MatchString(s.Name) {
			continue
		}
		s.Cases = slices.DeleteFunc(slices.Clone(s.Cases), func(c Case) bool { return o.Cases != nil && !o.Cases.MatchString(c.Name) })
		for i := range s.Cases {
			c := &s.Cases[i]
			if o.Tasks > 0 {
				c.Tasks = o.Tasks
			}
			if o.Shrink > 1 {
				c.Tasks = max(c.Tasks/o.Shrink, 1)
				if s.Size {
					c.Queued, c.Finished = min(c.Queued, max(c.Queued/o.Shrink, 100)), c.Finished/o.Shrink
				}
			}
			if batch := max(c.Batch, 1); c.Tasks%batch != 0 {
				c.Tasks += batch - c.Tasks%batch
			}
		}
		chosen = append(chosen, s)
	}
	return chosen
}

// Run measures the scenarios, every round all of their cases, and returns all results
// of the file: those that were there, with those measured now in their place. A
// measurement that fails is noted and the rest goes on; the error joins all
// failures. When ctx ends, what was measured so far is in the results.
func Run(ctx context.Context, scenarios []Scenario, o Options) (*Results, error) {
	results, err := readResults(o.Results)
	if err != nil {
		return nil, err
	}
	b, err := newBench(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer b.close(context.WithoutCancel(ctx))
	machine, err := b.machine(ctx)
	if err != nil {
		return nil, err
	}
	total, done := 0, 0
	for i := range scenarios {
		s := &scenarios[i]
		if record := results.Scenarios[s.Name]; record == nil || !o.Resume {
			results.Scenarios[s.Name] = &Record{Machine: machine}
		}
		total += len(s.Cases) * max(s.rounds(o)-len(results.Scenarios[s.Name].Rounds), 0)
	}
	var failures []error
	for round := range o.Rounds {
		for i := range scenarios {
			s := &scenarios[i]
			record := results.Scenarios[s.Name]
			if round < len(record.Rounds) || round >= s.rounds(o) {
				continue
			}
			found, failed := b.round(ctx, s, round, func(what string) {
				if o.Progress != nil {
					o.Progress(done, total, what)
				}
				done++
			})
			if ctx.Err() != nil {
				return results, errors.Join(append(failures, fmt.Errorf("stopped in round %d: %w", round+1, ctx.Err()))...)
			}
			record.add(found, failed)
			failures = append(failures, failed...)
			if err := results.write(o.Results); err != nil {
				return results, err
			}
		}
	}
	return results, errors.Join(failures...)
}

func (s *Scenario) rounds(o Options) int {
	if s.Once {
		return min(o.Rounds, 1)
	}
	return o.Rounds
}

// round measures every case once, forwards or backwards in turn, so that what drifts
// does not always favour the same one.
func (b *bench) round(ctx context.Context, s *Scenario, round int, next func(what string)) (map[string]Metrics, []error) {
	order := make([]int, len(s.Cases))
	for i := range order {
		order[i] = i
	}
	if round%2 == 1 {
		slices.Reverse(order)
	}
	found := map[string]Metrics{}
	var failures []error
	for _, i := range order {
		c := &s.Cases[i]
		next(s.Name + ": " + c.Name)
		serial.Add(1)
		limited, cancel := context.WithTimeout(ctx, caseTimeout)
		m, err := c.measure(limited, b, c)
		cancel()
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %s: %w", s.Name, c.Name, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		found[c.Name] = m
	}
	return found, failures
}
