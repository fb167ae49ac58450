package replay

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Arrival is one task of a trace.
type Arrival struct {
	At       time.Duration // since the first arrival
	Units    domain.Units
	Duration time.Duration
	Tenant   domain.Tenant
	Priority domain.Priority
	Deadline time.Duration // after its arrival; 0: none
}

// Format is the format of a trace.
type Format string

// The formats.
const (
	FormatCSV     Format = "csv"
	FormatAzure   Format = "azure-llm"
	FormatAlibaba Format = "alibaba-gpu"
)

// Formats lists the formats.
func Formats() []Format { return []Format{FormatCSV, FormatAzure, FormatAlibaba} }

// Rules is what turns a row of a trace into a task.
type Rules struct {
	MaxUnits domain.Units // of the pool; at least 1
	Tenants  int          // how many tenants share a trace that names none; at least 1
}

// Trace is a list of arrivals, oldest first.
type Trace struct {
	Arrivals []Arrival
	// Clamped counts tasks that asked for more units than the pool has and were
	// given all of them.
	Clamped int
}

// Parse reads a trace. Errors name the line.
func Parse(format Format, in io.Reader, rules Rules) (Trace, error) {
	if rules.MaxUnits < 1 {
		return Trace{}, fmt.Errorf("the pool has %d units: nothing can be replayed in it", rules.MaxUnits)
	}
	rules.Tenants = max(1, rules.Tenants)
	var (
		arrivals []Arrival
		err      error
	)
	switch format {
	case FormatCSV:
		arrivals, err = parseCSV(in)
	case FormatAzure:
		arrivals, err = parseAzure(in, rules)
	case FormatAlibaba:
		arrivals, err = parseAlibaba(in, rules)
	default:
		return Trace{}, fmt.Errorf("unknown format %q: use %s", format, formatNames())
	}
	if err != nil {
		return Trace{}, err
	}
	if len(arrivals) == 0 {
		return Trace{}, errors.New("the trace has no tasks")
	}
	return NewTrace(arrivals, rules.MaxUnits), nil
}

// NewTrace orders arrivals, lets the first come at 0, and fits their units into
// the pool.
func NewTrace(arrivals []Arrival, limit domain.Units) Trace {
	slices.SortStableFunc(arrivals, func(a, b Arrival) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		}
		return 0
	})
	t := Trace{Arrivals: arrivals}
	if len(arrivals) == 0 {
		return t
	}
	first := arrivals[0].At
	for i := range arrivals {
		arrivals[i].At -= first
		if arrivals[i].Units > limit {
			arrivals[i].Units = limit
			t.Clamped++
		}
	}
	return t
}

// First returns the trace's first n arrivals; all for n ≤ 0.
func (t Trace) First(n int) Trace {
	if n > 0 && n < len(t.Arrivals) {
		t.Arrivals = t.Arrivals[:n]
	}
	return t
}

// Scale returns the trace speed times as fast: arrivals, durations and deadlines
// alike, so that the pool is loaded as much as at speed 1.
func (t Trace) Scale(speed float64) Trace {
	scaled := slices.Clone(t.Arrivals)
	for i := range scaled {
		scaled[i].At = divide(scaled[i].At, speed)
		scaled[i].Duration = max(time.Millisecond, divide(scaled[i].Duration, speed).Round(time.Millisecond))
		if scaled[i].Deadline > 0 {
			scaled[i].Deadline = max(time.Millisecond, divide(scaled[i].Deadline, speed))
		}
	}
	t.Arrivals = scaled
	return t
}

func divide(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) / by) }

// Span is the time from the first arrival to the last.
func (t Trace) Span() time.Duration {
	if len(t.Arrivals) == 0 {
		return 0
	}
	return t.Arrivals[len(t.Arrivals)-1].At
}

// Load is what the arrivals ask for as a share of what a pool of limit units has
// between the first and the last: above 1 the queue grows.
func (t Trace) Load(limit domain.Units) float64 {
	var work float64
	for _, a := range t.Arrivals {
		work += float64(a.Units) * a.Duration.Seconds()
	}
	if t.Span() <= 0 || limit < 1 {
		return 0
	}
	return work / (float64(limit) * t.Span().Seconds())
}

func formatNames() string {
	names := make([]string, 0, len(Formats()))
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// share returns ceil(part × whole / of), at least 1 and at most whole: the units of
// a pool of whole that part of what it stands for takes.
func share(part, of int64, whole domain.Units) domain.Units {
	units := (part*int64(whole) + of - 1) / of
	return min(max(1, domain.Units(units)), whole)
}

// tenantOf spreads the rows of a trace that names no tenants over n of them, the
// first with twice the share of the last.
func tenantOf(row, n int) domain.Tenant {
	period := 0
	for i := range n {
		period += weightOf(i, n)
	}
	at := row % period
	for i := range n {
		if at -= weightOf(i, n); at < 0 {
			return domain.Tenant(fmt.Sprintf("tenant-%d", i+1))
		}
	}
	return "tenant-1"
}

// weightOf falls from 2n-1 to n with i.
func weightOf(i, n int) int { return 2*n - 1 - i }
