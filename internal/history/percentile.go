package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Percentiles sums up a set of durations.
type Percentiles struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50Ns"`
	P95   time.Duration `json:"p95Ns"`
	P99   time.Duration `json:"p99Ns"`
	Max   time.Duration `json:"maxNs"`
}

// PercentilesOf sorts the durations and returns their percentiles by nearest rank.
func PercentilesOf(d []time.Duration) Percentiles {
	if len(d) == 0 {
		return Percentiles{}
	}
	slices.Sort(d)
	at := func(percent int) time.Duration { return d[max(0, (len(d)*percent+99)/100-1)] }
	return Percentiles{Count: len(d), P50: at(50), P95: at(95), P99: at(99), Max: d[len(d)-1]}
}

// String returns "p50 1.2ms, p95 3.4ms, …".
func (p Percentiles) String() string {
	if p.Count == 0 {
		return "none"
	}
	return fmt.Sprintf("p50 %s, p95 %s, p99 %s, max %s", Brief(p.P50), Brief(p.P95), Brief(p.P99), Brief(p.Max))
}

// Brief returns a duration to three or four digits, for people.
func Brief(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// Counts returns "12 completed, 3 failed" for people.
func Counts[K ~string, N ~int | ~int64](m map[K]N) string {
	parts := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
