package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	require.Equal(t, Spread{Median: 3, Min: 1, Max: 9, N: 3}, SpreadOf([]float64{9, 1, 3}))
	require.Equal(t, Spread{Median: 2, Min: 1, Max: 3, N: 2}, SpreadOf([]float64{3, 1}))
	require.Zero(t, SpreadOf(nil))
}

func TestLatencies(t *testing.T) {
	t.Parallel()
	var took []time.Duration
	for i := range 100 {
		took = append(took, time.Duration(100-i)*time.Millisecond)
	}
	require.Equal(t, Metrics{P50: 50, P95: 95, P99: 99}, latencies(took))
	require.Equal(t, Metrics{P50: 0, P95: 0, P99: 0}, latencies(nil))
}

// Two units: the third entry is into the unit that was released first, whichever
// executor that was.
func TestHandovers(t *testing.T) {
	t.Parallel()
	at := func(ms ...int) (all []time.Time) {
		for _, m := range ms {
			all = append(all, time.Unix(0, 0).Add(time.Duration(m)*time.Millisecond))
		}
		return all
	}
	entries, exits := at(0, 1, 13, 22, 35), at(20, 10, 30, 99)
	ms := time.Millisecond
	require.Equal(t, []time.Duration{3 * ms, 2 * ms, 5 * ms}, handovers(entries, exits, 2, time.Time{}))
	require.Equal(t, []time.Duration{2 * ms, 5 * ms}, handovers(entries, exits, 2, at(15)[0]))
	require.Empty(t, handovers(entries, exits, 5, time.Time{}))
}

// A line compares cases of the same round, and leaves out rounds that lack one.
func TestLine(t *testing.T) {
	t.Parallel()
	rounds := []map[string]Metrics{
		{"ours": {PerSecond: 300}, "river": {PerSecond: 100}},
		{"ours": {PerSecond: 100}, "river": {PerSecond: 50}},
		{"ours": {PerSecond: 100}},
		{"river": {PerSecond: 50}},
	}
	l := Line{What: "ours beside River", Metric: PerSecond, Of: "ours", Beside: "river", AtLeast: 2.5}
	require.Equal(t, []float64{3, 2}, l.judged(rounds))
	require.True(t, l.met(SpreadOf(l.judged(rounds))))
	require.Equal(t, "| ours beside River | ≥ 2.5 × | 2.50 × | 2.00 – 3.00 | 2 | met |\n", l.row(&Record{Rounds: rounds}))
	l = Line{What: "ours", Metric: PerSecond, Of: "ours", AtMost: 99}
	require.Contains(t, l.row(&Record{Rounds: rounds}), "| ≤ 99 | 100 | 100 – 300 | 3 | **not met** |")
	require.Contains(t, l.row(nil), "not measured")
	require.Contains(t, l.row(&Record{}), "not measured")
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	s, err := parseStat("42 (a (b) c) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 20 5 20 0 1 0 100 1000 10")
	require.NoError(t, err)
	require.Equal(t, procStat{name: "a (b) c", parent: 7, own: 2 * time.Second, children: 250 * time.Millisecond}, s)
	for _, broken := range []string{"", "42 (a) S 7", "42 (a) S x 42 42 0 -1 4194560 1 2 3 4 150 50 20 5 20 0"} {
		_, err := parseStat(broken)
		require.Error(t, err, broken)
	}
}

func TestParseStatus(t *testing.T) {
	t.Parallel()
	mib, err := parseStatus("Name:\tx\nVmHWM:\t   4096 kB\nVmRSS:\t    2048 kB\n", "VmRSS")
	require.NoError(t, err)
	require.InDelta(t, 2, mib, 0)
	_, err = parseStatus("Name:\tx\n", "VmRSS")
	require.Error(t, err)
}

func TestParseBenchmark(t *testing.T) {
	t.Parallel()
	out := "goos: linux\nBenchmarkTurn/a-2 \t 100 \t 5 ns/op \t 812.5 ns/task\nBenchmarkTurn/b-2 \t 100 \t 5 ns/op\t 90 ns/task\t 3 allocs/op\n" +
		"BenchmarkTurn/a-2 \t 100 \t 5 ns/op \t 800 ns/task\nPASS\n"
	require.Equal(t, map[string][]float64{"BenchmarkTurn/a-2": {812.5, 800}, "BenchmarkTurn/b-2": {90}}, parseBenchmark(out, "ns/task"))
	require.Empty(t, parseBenchmark(out, "MB/s"))
}

func TestStatements(t *testing.T) {
	t.Parallel()
	require.Equal(t, "INSERT INTO floor (id, at, body) VALUES ($1, now(), $2), ($3, now(), $4)", insertStatement(2))
	require.Equal(t, "INSERT INTO x (a, b) SELECT t.a + g, t.b FROM (SELECT * FROM x ORDER BY a DESC LIMIT 1) AS t, generate_series(1, $1::int) AS g",
		copyStatement("x", "a", []string{"a", "b"}, map[string]string{"a": "t.a + g"}, true))
}

func TestRounded(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]float64{123456: 123500, 0.0123456: 0.01235, 0: 0, 9999.9: 10000, 42: 42} {
		require.InDelta(t, want, rounded(v), 1e-9)
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	matrix := []Scenario{
		{
			Name: "one", Title: "One & all", What: "What it is.", Chart: PerSecond,
			Cases: []Case{{Name: "River alone"}, {Name: "<native>"}, {Name: "worker"}},
			Lines: []Line{{What: "ours", Metric: PerSecond, Of: "<native>", Beside: "River alone", AtLeast: 2}},
		},
		{Name: "two", Title: "Two", Lines: []Line{{What: "theirs", Metric: P50, Of: "x", AtMost: 1}}},
	}
	record := &Record{
		Rounds: []map[string]Metrics{
			{"River alone": {PerSecond: 100, WAL: 7}, "<native>": {PerSecond: 250}},
			{"River alone": {PerSecond: 120}, "<native>": {PerSecond: 200}},
		},
		Failures: []string{"one: worker: lost\nits way"},
	}
	page := Page(matrix, &Results{Scenarios: map[string]*Record{"one": record}})
	require.Contains(t, page, "| ours | ≥ 2 × | 2.08 × | 1.67 – 2.50 | 2 | met |")
	require.Contains(t, page, "| theirs | ≤ 1 | – | – | 0 | not measured |")
	require.Contains(t, page, "| | a second | min – max | WAL bytes |\n|---|---:|---:|---:|\n| River alone | 110 | 100 – 120 | 7.00 |\n| <native> | 225 | 200 – 250 | – |")
	require.Contains(t, page, "Failed: `one: worker: lost its way`")
	require.NotContains(t, page, "## Two")

	document := "before\n" + pageBegin + "\nold\n" + pageEnd + "\nafter\n"
	replaced, err := Replace(document, page)
	require.NoError(t, err)
	require.NotContains(t, replaced, "old")
	require.Contains(t, replaced, "2.08 ×")
	require.Contains(t, replaced, "\nafter\n")
	_, err = Replace("no markers", page)
	require.ErrorContains(t, err, "bench:begin")

	svg := Plot(&matrix[0], record)
	require.Contains(t, svg, "&lt;native&gt;")
	require.Contains(t, svg, ">225<")
	require.NotContains(t, svg, "worker", "was not measured")
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
}

func TestTick(t *testing.T) {
	t.Parallel()
	for most, want := range map[float64]float64{0: 1, 5: 1, 7: 2, 12: 5, 2400: 500, 9: 2, 55: 20} {
		require.InDelta(t, want, tick(most), 1e-9, "%g", most)
	}
}
