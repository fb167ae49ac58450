package history_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
)

// logOf writes records: at is milliseconds after the trail's epoch, on both clocks.
type logOf []history.Record

func (l *logOf) add(kind string, id domain.TaskID, attempt int, units domain.Units, at float64) {
	nanos := int64(at * 1e6)
	*l = append(*l, history.Record{
		PID: 7, Pool: pool, Task: id, Attempt: attempt, Units: units, Kind: kind,
		WallUS: time.Unix(1_700_000_000, nanos).UnixMicro(), MonoNS: nanos,
	})
}

func (l *logOf) run(id domain.TaskID, attempt int, units domain.Units, from, to float64) {
	l.add(attempts.RecordEnter, id, attempt, units, from)
	l.add(attempts.RecordExit, id, attempt, units, to)
}

// handover is a trail in which b waits for a's units; events are 1 ms apart.
func handover() *trail {
	tr := &trail{}
	tr.add(domain.EventSubmit, "a", 8, 0)   // 1
	tr.add(domain.EventStart, "a", 8, 1)    // 2
	tr.add(domain.EventSubmit, "b", 8, 0)   // 3
	tr.add(domain.EventEnqueue, "b", 8, 0)  // 4
	tr.add(domain.EventComplete, "a", 8, 1) // 5
	tr.add(domain.EventStart, "b", 8, 1)    // 6
	tr.add(domain.EventComplete, "b", 8, 1) // 7
	return tr
}

func TestExecutionMeasuresTheHandover(t *testing.T) {
	t.Parallel()
	l, found := replay(t, handover(), 10)
	var log logOf
	log.run("a", 1, 8, 2.5, 4.5)
	log.run("b", 1, 8, 6.25, 6.5)
	report := history.Execution(l, log)
	require.Empty(t, found.Kept)
	require.Equal(t, 2, report.Runs)
	require.Equal(t, domain.Units(8), report.PeakUnits)
	require.Equal(t, 1, report.Freed.Count)
	require.Equal(t, 1750*time.Microsecond, report.Freed.P95)
	require.Equal(t, 1500*time.Microsecond, report.Arrival.P50)
	require.Empty(t, report.Overlap)
}

func TestExecutionFindsPlantedViolations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		plant func(*trail, *logOf)
		says  string
	}{
		"more than fits runs": {func(_ *trail, log *logOf) {
			log.run("a", 1, 8, 2.5, 6.4)
			log.run("b", 1, 8, 6.25, 6.5)
		}, "made 16 units run at once, max_units is 10"},
		"executed twice": {func(_ *trail, log *logOf) {
			log.run("a", 1, 8, 2.5, 3)
			log.run("a", 1, 8, 3.5, 4)
			log.run("b", 1, 8, 6.25, 6.5)
		}, "executed twice"},
		"never started": {func(_ *trail, log *logOf) {
			log.run("a", 1, 8, 2.5, 3)
			log.run("b", 1, 8, 6.25, 6.5)
			log.run("c", 1, 1, 6.25, 6.5)
		}, "which the trail never started"},
		"left without entering": {func(_ *trail, log *logOf) {
			log.run("a", 1, 8, 2.5, 3)
			log.run("b", 1, 8, 6.25, 6.5)
			log.add(attempts.RecordExit, "b", 2, 8, 7)
		}, "had not entered"},
		"completed without executor": {func(_ *trail, log *logOf) {
			log.run("a", 1, 8, 2.5, 3)
		}, "no executor entered it"},
		"other units": {func(_ *trail, log *logOf) {
			log.run("a", 1, 9, 2.5, 3)
			log.run("b", 1, 8, 6.25, 6.5)
		}, "ran with 9 units, its start took 8"},
		"settled while it ran": {func(_ *trail, log *logOf) {
			log.run("a", 1, 8, 2.5, 3)
			log.run("b", 1, 8, 6.25, 60)
		}, "before its executor left"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr, log := handover(), logOf{}
			test.plant(tr, &log)
			l, found := replay(t, tr, 10)
			history.Execution(l, log)
			requireViolation(t, found, history.PromiseExecution, test.says)
		})
	}
}

// TestExecutionForgivesAProcessHeldUp: between reading its two clocks for the
// record of the entry, a minute passed.
func TestExecutionForgivesAProcessHeldUp(t *testing.T) {
	t.Parallel()
	l, found := replay(t, handover(), 10)
	var log logOf
	log.run("a", 1, 8, 2.5, 4.5)
	log.run("b", 1, 8, 6.25, 6.5)
	log[0].WallUS += time.Minute.Microseconds()
	report := history.Execution(l, log)
	require.Empty(t, found.Kept)
	require.Empty(t, report.Overlap)
}

// TestExecutionReportsWorkPastItsLoss: a frozen process goes on with what the
// trail has given up. That is reported in seconds, and is no over-capacity.
func TestExecutionReportsWorkPastItsLoss(t *testing.T) {
	t.Parallel()
	tr := handover()
	tr.events[4].Kind = domain.EventLost
	tr.events[4].Status = domain.StatusFailed
	l, found := replay(t, tr, 10)
	var log logOf
	log.run("a", 1, 8, 2.5, 1005)
	log.run("b", 1, 8, 6.25, 6.5)
	report := history.Execution(l, log)
	require.Empty(t, found.Kept)
	require.Equal(t, time.Second, report.Overlap[domain.EventLost])
	require.Equal(t, domain.Units(8), report.PeakUnits)
}

// TestExecutionReportsWorkBegunAfterItsLoss: a process that was frozen with an attempt in
// its hands enters it when others have its units.
func TestExecutionReportsWorkBegunAfterItsLoss(t *testing.T) {
	t.Parallel()
	tr := handover()
	tr.events[4].Kind = domain.EventLost
	tr.events[4].Status = domain.StatusFailed
	l, found := replay(t, tr, 10)
	var log logOf
	log.run("b", 1, 8, 6.25, 6.9)
	log.run("a", 1, 8, 6.5, 1006.5)
	report := history.Execution(l, log)
	require.Empty(t, found.Kept)
	require.Equal(t, time.Second, report.Overlap[domain.EventLost])
	require.Equal(t, domain.Units(8), report.PeakUnits)
}

// TestExecutionCountsWhatEndedByItself: only a loss excuses an entry after the end; an
// attempt that completed before anybody entered it is counted, with or without an exit.
func TestExecutionCountsWhatEndedByItself(t *testing.T) {
	t.Parallel()
	l, found := replay(t, handover(), 10)
	var log logOf
	log.run("b", 1, 8, 6.25, 6.9)
	log.add(attempts.RecordEnter, "a", 1, 8, 6.5)
	history.Execution(l, log)
	require.Len(t, found.Kept, 1)
	require.Contains(t, found.Kept[0].Message, "made 16 units run at once")
}

func TestExecutionEndsWhatItsProcessDidNot(t *testing.T) {
	t.Parallel()
	l, found := replay(t, handover(), 10)
	var log logOf
	log.add(attempts.RecordEnter, "a", 1, 8, 2.5)
	log.run("b", 1, 8, 6.25, 6.5)
	report := history.Execution(l, log)
	require.Empty(t, found.Kept)
	require.Equal(t, 1, report.Unended)
	require.Equal(t, domain.Units(8), report.PeakUnits)
}

func TestReadRecordFilesJoinsLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var paths []string
	for i, id := range []string{"a", "b"} {
		path := filepath.Join(dir, id)
		line := fmt.Sprintf(`{"pid":%d,"pool":"llm","task":%q,"job":2,"attempt":1,"units":3,"kind":"enter","wallTime":5,"mono":6}`+"\n", i, id)
		require.NoError(t, os.WriteFile(path, []byte(line+line[:20]), 0o600))
		paths = append(paths, path)
	}
	records, err := history.ReadRecordFiles(paths)
	require.NoError(t, err)
	require.Len(t, records, 2)
	require.Equal(t, domain.TaskID("b"), records[1].Task)
	_, err = history.ReadRecordFiles([]string{filepath.Join(dir, "none")})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestPercentilesByNearestRank(t *testing.T) {
	t.Parallel()
	var d []time.Duration
	for i := 100; i > 0; i-- {
		d = append(d, time.Duration(i))
	}
	require.Equal(t, history.Percentiles{Count: 100, P50: 50, P95: 95, P99: 99, Max: 100}, history.PercentilesOf(d))
	require.Zero(t, history.PercentilesOf(nil))
}
