package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Measures of a plot, in pixels.
const (
	plotWidth  = 760
	labelWidth = 270
	valueWidth = 70
	barHeight  = 22
	barGap     = 6
	axisHeight = 34
)

// bar is one of a plot: a median, from the lowest to the highest.
type bar struct {
	name   string
	spread Spread
}

// Plot returns a scenario's chart as SVG: for every case the median as a bar, and a
// whisker from the lowest to the highest round.
func Plot(s *Scenario, record *Record) string {
	var bars []bar
	for i := range s.Cases {
		if spread := SpreadOf(values(record.Rounds, s.Cases[i].Name, s.Chart)); spread.N > 0 {
			bars = append(bars, bar{s.Cases[i].Name, spread})
		}
	}
	return drawBars(s.Title, axisTitle(s.Chart), bars)
}

func axisTitle(metric Metric) string {
	switch metric {
	case PerSecond:
		return "lifecycles (rows, of inserts) a second"
	case P50, P95, P99:
		return strings.TrimSuffix(string(metric), "Ms") + ", milliseconds"
	case Resident:
		return "resident MiB"
	case NsACandidate:
		return "nanoseconds a candidate"
	}
	return string(metric)
}

func drawBars(title, unit string, bars []bar) string {
	most := 0.0
	for _, b := range bars {
		most = max(most, b.spread.Max)
	}
	step := tick(most)
	top := step * math.Max(math.Ceil(most/step), 1)
	const scaleWidth = plotWidth - labelWidth - valueWidth
	x := func(v float64) float64 { return labelWidth + v/top*scaleWidth }
	bottom := axisHeight + len(bars)*(barHeight+barGap)
	height := bottom + axisHeight

	var p strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&p, format+"\n", args...) }
	line(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12" role="img">`,
		plotWidth, height, plotWidth, height)
	line(`<title>%s</title>`, html.EscapeString(title))
	line(`<rect width="%d" height="%d" fill="#ffffff"/>`, plotWidth, height)
	line(`<text x="8" y="20" font-size="14" font-weight="bold" fill="#1f2933">%s</text>`, html.EscapeString(title))
	for v := 0.0; v <= top+step/2; v += step {
		line(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#d9dee4"/>`, x(v), axisHeight-4, x(v), bottom)
		line(`<text x="%.1f" y="%d" text-anchor="middle" fill="#52606d">%s</text>`, x(v), bottom+14, short(v))
	}
	line(`<text x="%d" y="%d" fill="#52606d">%s</text>`, 8, bottom+14, html.EscapeString(unit))
	for i, b := range bars {
		y := axisHeight + i*(barHeight+barGap)
		middle := float64(y) + barHeight/2.0
		line(`<text x="%d" y="%.1f" text-anchor="end" fill="#1f2933">%s</text>`, labelWidth-8, middle+4, html.EscapeString(b.name))
		line(`<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, labelWidth, y, x(b.spread.Median)-labelWidth, barHeight, colour(b.name))
		line(`<path d="M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8" stroke="#1f2933" fill="none"/>`,
			x(b.spread.Min), middle, x(b.spread.Max), x(b.spread.Min), middle-4, x(b.spread.Max), middle-4)
		line(`<text x="%.1f" y="%.1f" fill="#1f2933">%s</text>`, x(b.spread.Max)+6, middle+4, number(b.spread.Median))
	}
	p.WriteString("</svg>\n")
	return p.String()
}

// colour tells contenders apart; the names say the same.
func colour(name string) string {
	switch {
	case strings.Contains(name, "River"):
		return "#9aa5b1"
	case strings.Contains(name, "rows"):
		return "#cbd2d9"
	case strings.Contains(name, "worker"):
		return "#f0b429"
	}
	return "#3e8ed0"
}

// tick returns a round distance of about five to the axis's end.
func tick(most float64) float64 {
	if most <= 0 {
		return 1
	}
	const ticks = 5
	power := math.Pow(10, math.Floor(math.Log10(most/ticks)))
	for _, factor := range []float64{1, 2, 5} {
		if power*factor*ticks >= most {
			return power * factor
		}
	}
	return power * 10
}

// short writes an axis value.
func short(v float64) string {
	if v >= 10_000 {
		return fmt.Sprintf("%gk", v/1000)
	}
	return fmt.Sprintf("%.4g", v)
}
