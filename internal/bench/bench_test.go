package bench

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
)

// TestRun is a small run of every way of measuring but the planner's, which is a
// benchmark already: the work is really done, and proven.
func TestRun(t *testing.T) {
	t.Parallel()
	small := func(c Case) Case {
		c.Tasks, c.Submitters, c.Slots = 60, 4, 10
		return c
	}
	idle := small(local("idle", native, 1))
	idle.measure = measureIdle
	idleRiver := small(riverAlone("idle River", 1))
	idleRiver.measure = measureIdleRiver
	many := small(local("pools", worker, 1))
	many.Pools, many.Tenants = 3, 7
	file := small(local("file", native, 1))
	file.Backend = domain.BackendFile
	saturated := small(local("saturated", native, 1))
	saturated.measure, saturated.Queued = measureSaturated, 500
	steady := small(local("steady", native, 1))
	steady.measure, steady.Queued = measureSteady, 300
	finished := small(local("finished", native, 1))
	finished.Finished, finished.Scattered = 400, true
	held := small(local("held", native, 1))
	held.Held = true
	batch := small(over("batch", native, 1, 2))
	batch.Batch = 20
	queued := small(over("memory", native, 1, 1))
	queued.measure, queued.Queued, queued.Slots = measureMemory, 100, 1
	scenarios := []Scenario{{Name: "small", Chart: PerSecond, Cases: []Case{
		small(riverAlone("River", 1)), small(local("native", native, 1)), idle, idleRiver, many, file, saturated, steady,
		finished, held, small(over("serve", worker, 1, 1)), batch, queued, small(inserts("rows", 2, 10, 60)),
	}}}
	results := filepath.Join(t.TempDir(), "results.json")
	announced := 0
	options := Options{
		URL: dbtest.Empty(t).URL, Rounds: 1, Results: results,
		Progress: func(_, of int, what string) {
			t.Log(time.Now().Format(time.TimeOnly), what)
			announced = of
		},
	}
	got, err := Run(t.Context(), scenarios, options)
	require.NoError(t, err)
	require.Equal(t, len(scenarios[0].Cases), announced)
	record := got.Scenarios["small"]
	require.Len(t, record.Rounds, 1)
	for _, c := range scenarios[0].Cases {
		found := record.Rounds[0][c.Name]
		require.Positive(t, found[PerSecond]+found[P50], c.Name)
	}
	require.Positive(t, record.Rounds[0]["native"][Rows])
	require.Positive(t, record.Rounds[0]["memory"][Resident])

	// What is there already is not measured again.
	options.Resume = true
	options.Progress = func(int, int, string) { t.Error("measured again") }
	again, err := Run(t.Context(), scenarios, options)
	require.NoError(t, err)
	require.Equal(t, got, again)
}

// A measurement that fails is told and does not stop the others; what was measured
// when the run is stopped stays.
func TestRunGoesOnAndStops(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c := func(name string, m Metrics, err error) Case {
		return Case{Name: name, measure: func(context.Context, *bench, *Case) (Metrics, error) { return m, err }}
	}
	rounds := 0
	last := Case{Name: "last", measure: func(context.Context, *bench, *Case) (Metrics, error) {
		if rounds++; rounds == 2 {
			stop()
		}
		return Metrics{PerSecond: 2}, nil
	}}
	scenarios := []Scenario{{Name: "s", Cases: []Case{c("broken", nil, os.ErrDeadlineExceeded), c("good", Metrics{PerSecond: 1}, nil), last}}}
	results := filepath.Join(t.TempDir(), "results.json")
	_, err := Run(ctx, scenarios, Options{URL: dbtest.Empty(t).URL, Rounds: 5, Results: results})
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorIs(t, err, context.Canceled)
	stored, err := readResults(results)
	require.NoError(t, err)
	record := stored.Scenarios["s"]
	require.Equal(t, []map[string]Metrics{{"good": {PerSecond: 1}, "last": {PerSecond: 2}}}, record.Rounds)
	require.Len(t, record.Failures, 1)
	require.Contains(t, record.Failures[0], "broken")
}

func TestSelect(t *testing.T) {
	t.Parallel()
	before := maps.Clone(lifecycles)
	o := Options{Only: regexp.MustCompile("^(http|backlog)$"), Shrink: 4}
	chosen := o.Select(Matrix())
	require.Len(t, chosen, 1)
	require.Equal(t, "http", chosen[0].Name)
	require.Equal(t, lifecycles[64]/4, chosen[0].Cases[0].Tasks)
	o = Options{Size: true, Tasks: 150}
	for _, s := range o.Select(Matrix()) {
		require.True(t, s.Size)
		for _, c := range s.Cases {
			require.GreaterOrEqual(t, c.Tasks, 150)
			require.Zero(t, c.Tasks%max(c.Batch, 1), "whole batches")
		}
	}
	require.Equal(t, before, lifecycles, "the matrix is as it was")
}

// Every line compares cases that there are, and says what has to come out.
func TestMatrix(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, s := range Matrix() {
		require.False(t, names[s.Name], s.Name)
		names[s.Name] = true
		require.Regexp(t, "^[a-z]+$", s.Name, "names files")
		require.NotEmpty(t, s.What)
		require.NotEmpty(t, s.Chart)
		cases := map[string]bool{"": true}
		for _, c := range s.Cases {
			require.False(t, cases[c.Name], "%s: %s", s.Name, c.Name)
			cases[c.Name] = true
			require.NotNil(t, c.measure, c.Name)
		}
		for _, l := range s.Lines {
			require.NotEmpty(t, l.Of)
			require.True(t, cases[l.Of], l.Of)
			require.True(t, cases[l.Beside], l.Beside)
			require.NotEqual(t, l.AtLeast > 0, l.AtMost > 0, l.What)
		}
	}
}
