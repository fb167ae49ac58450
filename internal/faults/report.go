package faults

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
)

// Write prints the result as Markdown tables, and every violation that was kept.
func (r *Result) Write(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.Debug)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(table, format+"\n", args...) } // Flush tells

	line("")
	line("fault \tcount \tnot done \tin a turn \tbeside others \tnothing started, median \tlongest ")
	total := 0
	for _, k := range r.Recoveries {
		line("%s \t%d \t%d \t%d \t%d \t%s \t%s ", k.Kind, k.Count, k.Failed, k.InTurn, k.Together, brief(k.Median), brief(k.Longest))
		total += k.Count
	}
	line("all \t%d ", total)
	line("")
	line("pool \ttasks \tevents \tattempts \tlost \tcompleted \tfailed \texpired \tdropped \trejected \tmessages \tpeak/limit ")
	for i := range r.History.Pools {
		p := &r.History.Pools[i]
		line("%s \t%d \t%d \t%d \t%d \t%d \t%d \t%d \t%d \t%d \t%d \t%d/%d ", p.Pool, p.Tasks, p.Events, p.Attempts, r.Pace.lost(p.Pool),
			p.Outcomes[domain.StatusCompleted], p.Outcomes[domain.StatusFailed], p.Outcomes[domain.StatusExpired],
			p.Outcomes[domain.StatusDropped], p.Outcomes[domain.StatusRejected], p.Messages, p.Usage.PeakUnits, p.MaxUnits)
	}
	line("")
	line("pool, as executors saw it \truns \tprocesses \tunended \tpeak units \tbeyond an attempt's end ")
	for i := range r.History.Executions {
		e := &r.History.Executions[i]
		line("%s \t%d \t%d \t%d \t%d \t%s ", e.Pool, e.Runs, e.Processes, e.Unended, e.PeakUnits, overlap(e))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	_, err := io.WriteString(out, r.words())
	return err
}

func brief(d time.Duration) string { return d.Round(10 * time.Millisecond).String() }

// words is what does not fit a table.
func (r *Result) words() string {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	p, n := &r.Promised, &r.Noticed
	line("")
	line("seed %d, %s, %d starts of processes, %d events", r.Seed, r.Duration, r.Starts, r.History.Events)
	line("clients: %d requests, %d without an answer; %d tasks: %d accepted, %d refused, %d never answered, %d asked for more than once; %d messages",
		p.Requests, p.Unanswered, p.Tasks, p.Accepted, p.Refused, p.Unknown, p.Repeated, p.Messages)
	line("attempts of killed processes: %d, noticed after %s (median), %s (longest)", n.Attempts, brief(n.Median), brief(n.Longest))
	line("turns of the last servers, by outcome: %v", r.Turns)
	line("linearizability: %d rounds, %d not decided in time, %d wrong",
		r.Rounds.Right+r.Rounds.Unclear+r.Rounds.Wrong, r.Rounds.Unclear, r.Rounds.Wrong)
	line("violations: %d", r.Broken())
	for _, v := range r.Violations[:min(keep, len(r.Violations))] {
		line("  %s: %s", v.What, v.Message)
	}
	for _, v := range r.History.First {
		line("  %s", v)
	}
	return text.String()
}

// overlap says for how long attempts went on after the trail had ended them, by what
// ended them.
func overlap(e *history.ExecutionReport) string {
	kinds := make([]domain.EventKind, 0, len(e.Overlap))
	for kind := range e.Overlap {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	var text strings.Builder
	for _, kind := range kinds {
		fmt.Fprintf(&text, "%s %.2f s  ", kind, e.Overlap[kind].Seconds())
	}
	return text.String()
}

// lost counts the lost attempts of a pool.
func (p *Pace) lost(pool domain.PoolID) int {
	n := 0
	for _, l := range p.ends {
		if l.attempt.pool == pool {
			n++
		}
	}
	return n
}
