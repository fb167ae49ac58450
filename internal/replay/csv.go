package replay

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// csvColumns are the columns of the program's own format, in the order that a
// file without a header has them.
func csvColumns() []string {
	return []string{"at", "units", "durationMs", "tenant", "priority", "deadlineMs"}
}

// longest bounds times in a trace: 100 years.
const longest = 100 * 365 * 24 * time.Hour

// parseCSV reads the program's own format: at (seconds since any origin, with
// decimals, or a time as RFC 3339 has it), units, durationMs, tenant and priority
// (both may be empty) and, where wanted, deadlineMs after the arrival.
func parseCSV(in io.Reader) ([]Arrival, error) {
	buffered := bufio.NewReader(in)
	head, _ := buffered.Peek(64) // a short file is short
	var (
		t   *table
		err error
	)
	first := strings.ToLower(strings.Trim(string(bytes.SplitN(head, []byte(","), 2)[0]), " \t\ufeff"))
	if first == "at" {
		t, err = openTable(buffered, csvColumns()[:3]...)
	} else {
		t = newTable(buffered)
		t.name(csvColumns())
	}
	if err != nil {
		return nil, err
	}
	var arrivals []Arrival
	for {
		more, err := t.next()
		if err != nil || !more {
			return arrivals, err
		}
		a, err := csvArrival(t)
		if err != nil {
			return nil, err
		}
		arrivals = append(arrivals, a)
	}
}

func csvArrival(t *table) (Arrival, error) {
	at, err := csvTime(t)
	if err != nil {
		return Arrival{}, err
	}
	units, err := t.integer("units", 1)
	if err != nil {
		return Arrival{}, err
	}
	duration, err := csvMillis(t, "durationMs")
	if err != nil {
		return Arrival{}, err
	}
	priority, err := domain.ParsePriority(t.text("priority"))
	if err != nil {
		return Arrival{}, t.fault("priority", "must be low, normal, high or critical")
	}
	a := Arrival{
		At: at, Units: min(domain.Units(units), domain.MaxPoolUnits), Duration: duration,
		Tenant: domain.Tenant(t.text("tenant")), Priority: priority,
	}
	if t.text("deadlineMs") != "" {
		if a.Deadline, err = csvMillis(t, "deadlineMs"); err != nil {
			return Arrival{}, err
		}
	}
	if a.Tenant == "" {
		a.Tenant = "default"
	}
	return a, nil
}

func csvTime(t *table) (time.Duration, error) {
	text := t.text("at")
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil && sane(at) {
		return at.Sub(time.Unix(0, 0)), nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(seconds) || seconds < 0 || seconds > longest.Seconds() {
		return 0, t.fault("at", "must be seconds from 0 or a time such as 2026-01-02T15:04:05Z")
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Microsecond), nil
}

// sane keeps times within what a duration since 1970 holds.
func sane(at time.Time) bool { return at.Year() >= 1970 && at.Year() < 2200 }

func csvMillis(t *table, column string) (time.Duration, error) {
	ms, err := strconv.ParseFloat(t.text(column), 64)
	if err != nil || math.IsNaN(ms) || ms < 0 || ms > float64(longest.Milliseconds()) {
		return 0, t.fault(column, "must be milliseconds from 0")
	}
	return time.Duration(ms * float64(time.Millisecond)), nil
}

// WriteCSV writes a trace in the program's own format.
func WriteCSV(out io.Writer, t Trace) error {
	w := bufio.NewWriter(out)
	fmt.Fprintln(w, strings.Join(csvColumns(), ",")) //nolint:errcheck // Flush tells
	for _, a := range t.Arrivals {
		deadline := ""
		if a.Deadline > 0 {
			deadline = strconv.FormatInt(a.Deadline.Milliseconds(), 10)
		}
		//nolint:errcheck // Flush tells
		fmt.Fprintf(w, "%.3f,%d,%d,%s,%s,%s\n", a.At.Seconds(), a.Units, a.Duration.Milliseconds(), a.Tenant, a.Priority, deadline)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the trace: %w", err)
	}
	return nil
}
