package loadtest

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/parkinglot/parkinglot/internal/history"
)

// FreedLimit is the p95 that is promised from units freed to the next executor
// entered while work is queued.
const FreedLimit = 100 * time.Millisecond

// Faults returns what a result falls short of, in sentences; none: all is well.
func (r Result) Faults() []string {
	var faults []string
	for _, v := range r.Report.First {
		faults = append(faults, v.String())
	}
	if more := r.Report.Violations - len(r.Report.First); more > 0 {
		faults = append(faults, fmt.Sprintf("and %d more violations", more))
	}
	if done := r.Outcomes["completed"]; done != int64(r.Tasks) {
		faults = append(faults, fmt.Sprintf("%d of %d tasks completed: %s", done, r.Tasks, history.Counts(r.Outcomes)))
	}
	for _, e := range r.Report.Executions {
		if e.Runs != r.Tasks {
			faults = append(faults, fmt.Sprintf("%d tasks, %d runs in the executors' record", r.Tasks, e.Runs))
		}
		if e.Freed.P95 > FreedLimit {
			faults = append(faults, fmt.Sprintf("p95 from units freed to executor entered is %s, more than %s", history.Brief(e.Freed.P95), FreedLimit))
		}
	}
	return faults
}

// Write prints results as a Markdown table.
func Write(out io.Writer, results []Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) } //nolint:errcheck // Flush tells
	line("| backend\t| tasks\t| submits/s\t| submit p95\t| tasks/s\t| peak by trail\t| peak by executors\t| violations\t| freed→entered p50\t| p95\t| p99\t| runs\t|")
	line("|---\t|---:\t|---:\t|---:\t|---:\t|---:\t|---:\t|---:\t|---:\t|---:\t|---:\t|---:\t|")
	for _, r := range results {
		var usage history.Usage
		var limit, physical int64
		var freed history.Percentiles
		runs := 0
		for _, p := range r.Report.Pools {
			usage, limit = p.Usage, int64(p.MaxUnits)
		}
		for _, e := range r.Report.Executions {
			physical, freed, runs = int64(e.PeakUnits), e.Freed, e.Runs
		}
		line("| %s\t| %d\t| %.0f\t| %s\t| %.0f\t| %d/%d\t| %d/%d\t| %d\t| %s\t| %s\t| %s\t| %d\t|",
			r.Scenario, r.Tasks, r.Accepting, history.Brief(r.Submit.P95), r.Ending, usage.PeakUnits, limit, physical, limit,
			r.Report.Violations, history.Brief(freed.P50), history.Brief(freed.P95), history.Brief(freed.P99), runs)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}
