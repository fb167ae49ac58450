package bench

import (
	"fmt"
	"slices"
	"strings"
)

// Markers between which the table stands in a document.
const (
	tableBegin = "<!-- bench:begin (written by make bench) -->"
	tableEnd   = "<!-- bench:end -->"
)

// Table returns the series as a Markdown table, with the ratio of each median to
// River's with as many submitters.
func Table(series []Series) string {
	var b strings.Builder
	b.WriteString("| submitters | contender | lifecycles/s (median) | min – max | beside River alone | lifecycles a turn |\n|---:|---|---:|---:|---:|---:|\n")
	for _, s := range series {
		base := 0.0
		for _, other := range series {
			if other.Contender == riverAlone && other.Submitters == s.Submitters {
				base = other.Median()
			}
		}
		ratio := "–"
		if base > 0 {
			ratio = fmt.Sprintf("%.2f ×", s.Median()/base)
		}
		turn := "–"
		if len(s.PerTurn) > 0 {
			turn = fmt.Sprintf("%.1f", median(s.PerTurn))
		}
		fmt.Fprintf(&b, "| %d | %s | %.0f | %.0f – %.0f | %s | %s |\n", s.Submitters, s.Contender, s.Median(),
			slices.Min(s.PerSecond), slices.Max(s.PerSecond), ratio, turn)
	}
	return b.String()
}

// Replace puts text between the markers of a document.
func Replace(document, text string) (string, error) {
	before, rest, ok := strings.Cut(document, tableBegin)
	_, after, ended := strings.Cut(rest, tableEnd)
	if !ok || !ended {
		return "", fmt.Errorf("the document has no lines %q and %q", tableBegin, tableEnd)
	}
	return before + tableBegin + "\n" + strings.TrimSpace(text) + "\n" + tableEnd + after, nil
}
