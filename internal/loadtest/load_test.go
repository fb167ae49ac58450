package loadtest_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/fleet"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/loadtest"
)

// TestLoad is a small run of what make load does at full size. Latency is not
// judged here: the machine is busy with other tests.
func TestLoad(t *testing.T) {
	t.Parallel()
	binary, err := fleet.Build(t.Context(), t.TempDir())
	require.NoError(t, err)
	for _, s := range []loadtest.Scenario{
		{Backend: domain.BackendPostgres, Runtime: domain.RuntimeNative, Processes: 3},
		{Backend: domain.BackendPostgres, Runtime: domain.RuntimeWorker, Processes: 2},
		{Backend: domain.BackendFile, Runtime: domain.RuntimeNative, Processes: 1},
		{Backend: domain.BackendMemory, Runtime: domain.RuntimeNative, Processes: 1},
	} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			s.Connections, s.Tasks, s.PoolUnits, s.TaskUnits, s.Duration = 8, 300, 20, 8, 20*time.Millisecond
			place := loadtest.Place{Binary: binary, Dir: t.TempDir()}
			if s.Backend == domain.BackendPostgres {
				db := dbtest.Postgres(t)
				place.DatabaseURL, place.Schema = db.URL, db.Schema
			}
			result, err := loadtest.Run(t.Context(), s, place, nil)
			require.NoError(t, err)
			require.Empty(t, result.Report.First)
			require.Equal(t, map[domain.Status]int64{domain.StatusCompleted: 300}, result.Outcomes)
			require.Len(t, result.Report.Executions, 1)
			execution := result.Report.Executions[0]
			require.Equal(t, 300, execution.Runs)
			require.Positive(t, execution.Freed.Count, "nothing was queued: the load was no load")
			require.LessOrEqual(t, execution.PeakUnits, domain.Units(20))
			require.GreaterOrEqual(t, result.Report.Pools[0].Usage.PeakUnitsQueued, domain.Units(18), "the pool was not used well")

			var table bytes.Buffer
			require.NoError(t, loadtest.Write(&table, []loadtest.Result{result}))
			require.Contains(t, table.String(), s.String())
		})
	}
}

func TestFaultsTellWhatIsMissing(t *testing.T) {
	t.Parallel()
	result := loadtest.Result{
		Tasks: 10, Outcomes: map[domain.Status]int64{domain.StatusCompleted: 9, domain.StatusFailed: 1},
		Report: history.Report{
			Violations: 2, First: []history.Violation{{Promise: history.PromiseCapacity, Message: "too much"}},
			Pools:      []history.PoolReport{{LongestIdle: 2 * time.Second}},
			Executions: []history.ExecutionReport{{Runs: 9, Freed: history.Percentiles{P95: time.Second}}},
		},
	}
	faults := result.Faults()
	require.Len(t, faults, 6)
	require.Contains(t, faults[0], "too much")
	require.Contains(t, faults[5], "p95 from units freed")
	require.Empty(t, loadtest.Result{Tasks: 1, Outcomes: map[domain.Status]int64{domain.StatusCompleted: 1}}.Faults())
}
