package bench_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/bench"
	"github.com/parkinglot/parkinglot/internal/dbtest"
)

// TestRun is a small run of what make bench does: every contender really works, and
// what Parking Lot did is proven.
func TestRun(t *testing.T) {
	t.Parallel()
	measured := 0
	series, err := bench.Run(t.Context(), bench.Options{
		URL: dbtest.Empty(t).URL, Tasks: 100, Submitters: []int{4}, Rounds: 1, Slots: 10,
		Progress: func(_, of int, _ string) { measured = of },
	})
	require.NoError(t, err)
	require.Len(t, series, len(bench.Contenders()))
	require.Equal(t, len(series), measured)
	for _, s := range series {
		require.Positive(t, s.Median(), s.Contender)
	}
}

func TestTableComparesWithRiver(t *testing.T) {
	t.Parallel()
	series := []bench.Series{
		{Contender: bench.Contenders()[0], Submitters: 32, PerSecond: []float64{900, 1100, 1000}},
		{Contender: bench.Contenders()[1], Submitters: 32, PerSecond: []float64{2000, 4000}, PerTurn: []float64{7}},
	}
	table := bench.Table(series)
	require.Contains(t, table, "| 32 | River alone | 1000 | 900 – 1100 | 1.00 × | – |")
	require.Contains(t, table, "| 32 | Parking Lot, native | 3000 | 2000 – 4000 | 3.00 × | 7.0 |")

	document := "before\n<!-- bench:begin (written by make bench) -->\nold\n<!-- bench:end -->\nafter\n"
	replaced, err := bench.Replace(document, table)
	require.NoError(t, err)
	require.NotContains(t, replaced, "old")
	require.Contains(t, replaced, "3.00 ×")
	require.Contains(t, replaced, "\nafter\n")
	_, err = bench.Replace("no markers", table)
	require.ErrorContains(t, err, "bench:begin")
}
