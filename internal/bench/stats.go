package bench

import (
	"math"
	"slices"
	"time"
)

// Spread is the median of a few measurements, and how far they lie apart.
type Spread struct {
	Median, Min, Max float64
	N                int
}

// SpreadOf sums up values; the zero Spread for none.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	m := sorted[middle]
	if len(sorted)%2 == 0 {
		m = (sorted[middle-1] + m) / 2
	}
	return Spread{Median: m, Min: sorted[0], Max: sorted[len(sorted)-1], N: len(sorted)}
}

// percentile returns the value that a share q of the sorted values does not exceed,
// by nearest rank; 0 for none.
func percentile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// latencies returns the percentiles that are reported, in milliseconds.
func latencies(took []time.Duration) Metrics {
	slices.Sort(took)
	ms := func(q float64) float64 { return percentile(took, q).Seconds() * 1000 }
	return Metrics{P50: ms(0.5), P95: ms(0.95), P99: ms(0.99)}
}

// handovers returns, for a pool whose queue was never empty and whose tasks have one
// unit each, how long each unit that was released lay idle: the k-th entry after the
// first slots ones is into the unit of the k-th exit, because which exit an
// admission took its unit from follows from the order alone. Only units released
// from the given instant on count.
func handovers(entries, exits []time.Time, slots int, from time.Time) []time.Duration {
	entries, exits = slices.Clone(entries), slices.Clone(exits)
	slices.SortFunc(entries, time.Time.Compare)
	slices.SortFunc(exits, time.Time.Compare)
	var took []time.Duration
	for i := slots; i < len(entries) && i-slots < len(exits); i++ {
		if exit := exits[i-slots]; !exit.Before(from) {
			took = append(took, entries[i].Sub(exit))
		}
	}
	return took
}

// values returns the metric of a case in every round that has it.
func values(rounds []map[string]Metrics, name string, metric Metric) []float64 {
	var all []float64
	for _, round := range rounds {
		if v, ok := round[name][metric]; ok {
			all = append(all, v)
		}
	}
	return all
}

// judged returns what a line compares, round by round.
func (l *Line) judged(rounds []map[string]Metrics) []float64 {
	var all []float64
	for _, round := range rounds {
		v, ok := round[l.Of][l.Metric]
		if !ok {
			continue
		}
		if l.Beside != "" {
			base := round[l.Beside][l.Metric]
			if base <= 0 {
				continue
			}
			v /= base
		}
		all = append(all, v)
	}
	return all
}

// met reports whether the line holds for the median.
func (l *Line) met(s Spread) bool {
	if l.AtLeast > 0 {
		return s.Median >= l.AtLeast
	}
	return s.Median <= l.AtMost
}
