package bench

import (
	"fmt"
	"strings"
)

// Markers between which the generated part of the page stands.
const (
	pageBegin = "<!-- bench:begin (written by make bench) -->"
	pageEnd   = "<!-- bench:end -->"
)

// Page returns the generated part of the page: every promise, then every scenario
// with its plot.
func Page(matrix []Scenario, results *Results) string {
	var p strings.Builder
	p.WriteString("## Promises\n\n| what | has to be | median | min – max | rounds | |\n|---|---:|---:|---:|---:|---|\n")
	for i := range matrix {
		s := &matrix[i]
		for j := range s.Lines {
			p.WriteString(s.Lines[j].row(results.Scenarios[s.Name]))
		}
	}
	for i := range matrix {
		s := &matrix[i]
		record := results.Scenarios[s.Name]
		if record == nil || len(record.Rounds) == 0 {
			continue
		}
		fmt.Fprintf(&p, "\n## %s\n\n%s\n\n![%s](bench/%s.svg)\n\n", s.Title, s.What, s.Title, s.Name)
		s.table(&p, record)
		fmt.Fprintf(&p, "\n%s, %d rounds.\n", record.Machine, len(record.Rounds))
		for _, failure := range record.Failures {
			fmt.Fprintf(&p, "\nFailed: `%s`\n", strings.ReplaceAll(failure, "\n", " "))
		}
	}
	return p.String()
}

// row tells what was promised and what came out.
func (l *Line) row(record *Record) string {
	target, unit := fmt.Sprintf("≤ %g", l.AtMost), ""
	if l.AtLeast > 0 {
		target = fmt.Sprintf("≥ %g", l.AtLeast)
	}
	if l.Beside != "" {
		unit = " ×"
	}
	if record == nil {
		return fmt.Sprintf("| %s | %s%s | – | – | 0 | not measured |\n", l.What, target, unit)
	}
	s := SpreadOf(l.judged(record.Rounds))
	if s.N == 0 {
		return fmt.Sprintf("| %s | %s%s | – | – | 0 | not measured |\n", l.What, target, unit)
	}
	verdict := "**not met**"
	if l.met(s) {
		verdict = "met"
	}
	return fmt.Sprintf("| %s | %s%s | %s%s | %s – %s | %d | %s |\n", l.What, target, unit,
		number(s.Median), unit, number(s.Min), number(s.Max), s.N, verdict)
}

// column is one of a scenario's table.
type column struct {
	metric Metric
	head   string
}

// columns in the order of the page; a table has those that were measured.
var columns = []column{
	{PerSecond, "a second"},
	{RowsASecond, "rows/s"},
	{PerTurn, "a turn"},
	{P50, "p50 ms"},
	{P95, "p95 ms"},
	{P99, "p99 ms"},
	{NsACandidate, "ns a candidate"},
	{Resident, "resident MiB"},
	{PeakResident, "peak MiB"},
	{PostgresCPU, "Postgres CPU µs"},
	{ServeCPU, "server CPU µs"},
	{OwnCPU, "client CPU µs"},
	{WAL, "WAL bytes"},
	{Rows, "rows"},
	{Statements, "statements"},
}

// table writes the medians of every case; the plotted metric with its spread.
func (s *Scenario) table(p *strings.Builder, record *Record) {
	var shown []column
	for _, col := range columns {
		for i := range s.Cases {
			if len(values(record.Rounds, s.Cases[i].Name, col.metric)) > 0 {
				shown = append(shown, col)
				break
			}
		}
	}
	p.WriteString("| |")
	for _, col := range shown {
		p.WriteString(" " + col.head + " |")
		if col.metric == s.Chart {
			p.WriteString(" min – max |")
		}
	}
	p.WriteString("\n|---|" + strings.Repeat("---:|", len(shown)+1) + "\n")
	for i := range s.Cases {
		p.WriteString("| " + s.Cases[i].Name + " |")
		for _, col := range shown {
			spread := SpreadOf(values(record.Rounds, s.Cases[i].Name, col.metric))
			switch {
			case spread.N == 0 && col.metric == s.Chart:
				p.WriteString(" – | – |")
			case spread.N == 0:
				p.WriteString(" – |")
			case col.metric == s.Chart:
				fmt.Fprintf(p, " %s | %s – %s |", number(spread.Median), number(spread.Min), number(spread.Max))
			default:
				fmt.Fprintf(p, " %s |", number(spread.Median))
			}
		}
		p.WriteString("\n")
	}
}

// number writes three significant digits, and large numbers whole.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Replace puts the generated part between the markers of a page.
func Replace(page, text string) (string, error) {
	before, rest, ok := strings.Cut(page, pageBegin)
	_, after, ended := strings.Cut(rest, pageEnd)
	if !ok || !ended {
		return "", fmt.Errorf("the page has no lines %q and %q", pageBegin, pageEnd)
	}
	return before + pageBegin + "\n\n" + strings.TrimSpace(text) + "\n\n" + pageEnd + after, nil
}
