package replay

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
)

// Report is how a replay went. Waits, runs and units are those of the audit trail.
type Report struct {
	RunID    string                `json:"runId"`
	Pool     domain.PoolID         `json:"pool"`
	Tasks    int                   `json:"tasks"`
	Clamped  int                   `json:"clamped"` // asked for more than the pool has
	Outcomes map[domain.Status]int `json:"outcomes"`
	// Rejections counts by code the submissions that were refused and tried again,
	// Refused those that were given up.
	Rejections map[string]int `json:"rejections"`
	Refused    map[string]int `json:"refused"`

	Elapsed    time.Duration       `json:"elapsedNs"`
	Offered    float64             `json:"offeredLoad"` // units × time asked for, as a share of the pool's
	Throughput float64             `json:"tasksPerSecond"`
	Lag        history.Percentiles `json:"submitLag"` // submissions behind the trace's time
	Wait       history.Percentiles `json:"wait"`      // submit to first start
	Run        history.Percentiles `json:"run"`       // start to end of an attempt

	MaxUnits    domain.Units  `json:"maxUnits"`
	Usage       history.Usage `json:"usage"`
	HighShare   float64       `json:"highShare"`   // of the time with a queue, with ≥ 90 % of the units in use
	QueuedShare float64       `json:"queuedShare"` // of the time, with a queue
	// Violations are what following the trail found wrong on the way.
	Violations []history.Violation `json:"violations,omitempty"`
}

// report adds up what the run has seen and what the trail says of it.
func (r *run) report(ctx context.Context, before *client.Pool) (Report, error) {
	elapsed := time.Since(r.begin)
	ledger, found, err := r.usageOf(ctx, before)
	if err != nil {
		return Report{}, err
	}
	limit := domain.Units(before.MaxUnits)
	report := Report{
		RunID: r.RunID, Pool: r.Pool, Tasks: len(r.Trace.Arrivals), Clamped: r.Trace.Clamped,
		Outcomes: r.outcomes, Rejections: r.retried, Refused: r.refused,
		Elapsed: elapsed, Offered: r.Trace.Load(limit), Lag: history.PercentilesOf(r.lags),
		MaxUnits: limit, Usage: ledger.Usage, HighShare: ledger.Usage.HighShare(), QueuedShare: ledger.Usage.QueuedShare(),
		Violations: found.Kept,
	}
	var waits, runs []time.Duration
	for _, a := range ledger.Attempts {
		if !strings.HasPrefix(string(a.TaskID), r.RunID+"-") {
			continue
		}
		if a.Number == 1 && !a.SubmitAt.IsZero() {
			waits = append(waits, a.StartAt.Sub(a.SubmitAt))
		}
		if a.End != 0 {
			runs = append(runs, a.EndAt.Sub(a.StartAt))
		}
	}
	report.Wait, report.Run = history.PercentilesOf(waits), history.PercentilesOf(runs)
	ended := 0
	for _, n := range r.outcomes {
		ended += n
	}
	report.Throughput = float64(ended) / elapsed.Seconds()
	return report, nil
}

// Write prints the report for people.
func (r Report) Write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) //nolint:errcheck // Flush tells
	}
	row("run", "%s in pool %s, %d tasks in %s", r.RunID, r.Pool, r.Tasks, history.Brief(r.Elapsed))
	row("load", "%.0f %% of the pool's units asked for, %.1f tasks/s ended", 100*r.Offered, r.Throughput)
	row("outcomes", "%s", history.Counts(r.Outcomes))
	row("rejections", "%s", history.Counts(r.Rejections))
	if len(r.Refused) > 0 {
		row("given up", "%s", history.Counts(r.Refused))
	}
	if r.Clamped > 0 {
		row("clamped", "%d tasks asked for more units than the pool has", r.Clamped)
	}
	row("wait", "%s", r.Wait)
	row("run", "%s", r.Run)
	row("submit lag", "%s", r.Lag)
	row("units", "peak %d of %d, %.1f on average, longest queue %d", r.Usage.PeakUnits, r.MaxUnits, r.Usage.MeanUnits(), r.Usage.PeakQueued)
	row("with a queue", "%.0f %% of the time; peak %d units, ≥ 90 %% in use for %.0f %% of it",
		100*r.QueuedShare, r.Usage.PeakUnitsQueued, 100*r.HighShare)
	for _, v := range r.Violations {
		row("VIOLATION", "%s", v)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
