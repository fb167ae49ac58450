package e2e

import (
	"database/sql"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/replay"
)

// TestReplayAndVerify replays the shipped trace into a queue that is too short for
// it, proves what happened from outside and inside, and sees that a forged trail is
// found out.
func TestReplayAndVerify(t *testing.T) {
	t.Parallel()
	const tasks = 200
	dir := t.TempDir()
	config := write(t, dir, "config.yaml", `
pools:
  - {pool_id: llm, max_units: 40, max_queue_depth: 12, executors: {default: {type: sleep}}}
  - {pool_id: idle, max_units: 1, executors: {default: {type: sleep}}}
`)
	s := serve(t, dir, "-c", config)
	out, errs, status := run(t, dir, nil, "replay", "demo", "--pool", "llm", "--speed", "40", "--limit", "200", "--json", "--server", s.url)
	require.Zero(t, status, errs)
	var replayed replay.Report
	require.NoError(t, json.Unmarshal([]byte(out), &replayed))
	refused := replayed.Refused["deadline_passed"] + replayed.Refused["invalid"] // a task that came back too late
	ended := refused
	for _, n := range replayed.Outcomes {
		ended += n
	}
	require.Equal(t, tasks, ended, "%s", out)
	require.Positive(t, replayed.Outcomes[domain.StatusCompleted])
	require.Positive(t, replayed.Rejections["queue_full"], "the queue was long enough: nothing was tried again")
	require.Positive(t, replayed.Wait.P99)
	require.LessOrEqual(t, replayed.Usage.PeakUnits, domain.Units(40))
	require.GreaterOrEqual(t, replayed.Usage.PeakUnitsQueued, domain.Units(36))

	proven := func(args ...string) history.Report {
		t.Helper()
		out, errs, status := run(t, dir, nil, append([]string{"verify", "--json"}, args...)...)
		require.Zero(t, status, "%s%s", out, errs)
		var report history.Report
		require.NoError(t, json.Unmarshal([]byte(out), &report))
		return report
	}
	outside := proven("--server", s.url)
	require.Len(t, outside.Pools, 2)
	// A refusal as never startable leaves no row; the queue_full before it may have.
	require.LessOrEqual(t, outside.Tasks, int64(tasks))
	require.GreaterOrEqual(t, outside.Tasks, int64(tasks-refused))
	require.Len(t, proven("--server", s.url, "--pool", "idle").Pools, 1)
	_, errs, status = run(t, dir, nil, "verify", "--data-dir", filepath.Join(dir, "data"))
	require.Equal(t, 1, status, "the server holds the file")
	require.Contains(t, errs, "--server")

	s.Kill()
	inside := proven("--data-dir", filepath.Join(dir, "data"))
	require.Equal(t, outside, inside)

	forge(t, filepath.Join(dir, "data", "parkinglot.db"))
	out, errs, status = run(t, dir, nil, "verify", "--data-dir", filepath.Join(dir, "data"))
	require.Equal(t, 1, status, errs)
	require.Contains(t, out, "capacity: llm")
	require.Contains(t, errs, "violations")
}

// forge makes the first start of the trail one that the pool could never hold.
func forge(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	res, err := db.ExecContext(t.Context(),
		"UPDATE pl_audit_events SET units = 41 WHERE seq = (SELECT min(seq) FROM pl_audit_events WHERE kind = 'start')")
	require.NoError(t, err)
	rows, err := res.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 1, rows)
}

// TestReplayRefusesWrongUse says what is missing before anything is submitted.
func TestReplayRefusesWrongUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir)
	bad := write(t, dir, "bad.csv", "at,units,durationMs\n0,1,1\n1,many,1\n")
	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"no pool":      {[]string{"demo"}, 2, "--pool"},
		"no trace":     {[]string{"--pool", "llm"}, 2, "give a trace"},
		"two traces":   {[]string{"demo", "--pool", "llm", "--synthetic", "3"}, 2, "give a trace"},
		"speed":        {[]string{"demo", "--pool", "llm", "--speed", "-1"}, 2, "--speed"},
		"unknown pool": {[]string{"demo", "--pool", "nope"}, 3, "nope"},
		"no file":      {[]string{"none.csv", "--pool", "llm"}, 2, "none.csv"},
		"bad line":     {[]string{bad, "--pool", "llm"}, 2, "line 3 of the trace"},
		"bad format":   {[]string{bad, "--pool", "llm", "--format", "xml"}, 2, "azure-llm"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errs, status := run(t, dir, nil, append([]string{"replay", "--server", s.url}, test.args...)...)
			require.Equal(t, test.status, status, errs)
			require.Contains(t, errs, test.says)
		})
	}
	out, errs, status := run(t, dir, nil, "replay", "--synthetic", "5", "--pool", "llm", "--print", "--server", s.url)
	require.Zero(t, status, errs)
	require.Contains(t, out, "at,units,durationMs,tenant,priority,deadlineMs\n0.000,")
	require.Zero(t, s.events("llm", "submit"))
}
