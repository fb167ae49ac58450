package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/history"
)

const retained = `
limits: { heartbeat_ms: 200, worker_ttl_ms: 1200 }
retention: { audit_days: %d, task_secs: %d, unread_secs: %d }
pools:
  - { pool_id: p, max_units: 4, queue_backend: %s, mailbox_backend: %s, executors: { default: { type: sleep } } }
  - { pool_id: web, max_units: 4, runtime_adapter: web, queue_backend: %s, mailbox_backend: %s }
`

func retainedConfig(days int, backend string) string {
	return fmt.Sprintf(retained, days, days*24*3600, days*24*3600, backend, backend, backend, backend)
}

// load has some tasks run to their end, and leaves one waiting that nobody comes for.
func (s *server) load(name string) {
	s.t.Helper()
	for i := range 40 {
		s.submit("p", fmt.Sprint(name, i), int64(1+i%3), time.Millisecond)
	}
	s.submit("web", name, 1, 0)
	for i := range 40 {
		s.ended("p", fmt.Sprint(name, i))
	}
}

// trimmed waits until retention has gone through, which it does once a minute.
func (s *server) trimmed() {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		origin, err := client.Read[client.PoolOrigin](s.api.GetOrigin(context.Background(), "p"))
		return err == nil && !origin.Checkpoint.At.IsZero() && !origin.TasksFrom.IsZero() && !origin.UnreadFrom.IsZero()
	}, 3*patience, 500*time.Millisecond)
}

// requireTrimmed: verify proves what is left, which begins with a checkpoint.
func requireTrimmed(t *testing.T, dir string, args ...string) history.Report {
	t.Helper()
	out, errs, status := run(t, dir, nil, append([]string{"verify", "--json"}, args...)...)
	require.Zero(t, status, "%s%s", out, errs)
	var report history.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Len(t, report.Pools, 2)
	require.Equal(t, int64(40), report.Pools[0].Tasks, "those of today")
	require.NotNil(t, report.Pools[0].Since)
	require.NotNil(t, report.Pools[1].Since)
	require.Equal(t, int64(1), report.Pools[1].Since.Queued, "what was submitted three days ago and waits")
	return report
}

// TestRetentionDoesNotBlindVerify: a server's first day is put three days back, retention
// deletes it under a second one, and what is left is proven over HTTP and from the file;
// one event less is found.
func TestRetentionDoesNotBlindVerify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "data", "parkinglot.db")
	s := serve(t, dir, "-c", write(t, dir, "all.yaml", retainedConfig(0, "file")))
	s.load("old")
	s.signal(syscall.SIGTERM)
	require.Zero(t, s.exit())
	forged := func(statements ...string) {
		db, err := sql.Open("sqlite", file)
		require.NoError(t, err)
		defer db.Close()
		for _, statement := range statements {
			_, err = db.ExecContext(t.Context(), statement)
			require.NoError(t, err, statement)
		}
	}
	const ago = " - 3 * 86400 * 1000000"
	forged(
		"UPDATE pl_audit_events SET at = at"+ago, "UPDATE pl_pool_turns SET at = at"+ago, "UPDATE pl_mailbox_messages SET created_at = created_at"+ago,
		"UPDATE pl_queue_jobs SET created_at = created_at"+ago+", started_at = started_at"+ago+", finished_at = finished_at"+ago,
		"UPDATE pl_pools SET created_at = created_at"+ago,
	)

	s = serve(t, dir, "-c", write(t, dir, "day.yaml", retainedConfig(1, "file")))
	s.load("new")
	s.trimmed()
	outside := requireTrimmed(t, dir, "--server", s.url)
	_, _, status := run(t, dir, nil, "status", "p", "old0", "--server", s.url)
	require.NotZero(t, status, "retention has deleted it")
	s.Kill()
	require.Equal(t, outside, requireTrimmed(t, dir, "--data-dir", filepath.Join(dir, "data")))
	out, _, _ := run(t, dir, nil, "verify", "--data-dir", filepath.Join(dir, "data"))
	require.Contains(t, out, "retention has deleted what was before")

	forged("DELETE FROM pl_audit_events WHERE source = 'p' AND seq = (SELECT max(seq) - 7 FROM pl_audit_events WHERE source = 'p')")
	out, errs, status := run(t, dir, nil, "verify", "--data-dir", filepath.Join(dir, "data"))
	require.Equal(t, 1, status, errs)
	require.Contains(t, out, "are missing before it")
}

// TestRetentionDoesNotBlindVerifyOnPostgres: the same where days are partitions; and a
// row, a message less.
func TestRetentionDoesNotBlindVerifyOnPostgres(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), dbtest.Postgres(t)
	config := func(name string, days int) string {
		return write(t, dir, name, fmt.Sprintf("database: { url: %q, schema: %q }\n", db.URL, db.Schema)+retainedConfig(days, "postgres"))
	}
	s := serve(t, dir, "-c", config("all.yaml", 0))
	s.load("old")
	s.signal(syscall.SIGTERM)
	require.Zero(t, s.exit())
	exec := func(statements ...string) {
		for _, statement := range statements {
			_, err := db.Pool.Exec(t.Context(), statement)
			require.NoError(t, err, statement)
		}
	}
	const ago = " - interval '3 days'"
	exec(
		"SELECT pl_ensure_audit_partitions(current_date - 4, 5)", "DELETE FROM pl_audit_blocks",
		"UPDATE pl_audit_events SET at = at"+ago, "UPDATE pl_pool_turns SET at = at"+ago, "UPDATE pl_mailbox_messages SET created_at = created_at"+ago,
		"UPDATE pl_queue_jobs SET created_at = created_at"+ago+", started_at = started_at"+ago+", finished_at = finished_at"+ago,
		"UPDATE pl_pools SET created_at = created_at"+ago,
	)

	day := config("day.yaml", 1)
	s = serve(t, dir, "-c", day)
	s.load("new")
	s.trimmed()
	require.Equal(t, requireTrimmed(t, dir, "--server", s.url), requireTrimmed(t, dir, "--config", day))

	exec("DELETE FROM pl_queue_jobs WHERE pool_id = 'p' AND task_id = 'new7'", "DELETE FROM pl_mailbox_messages WHERE pool_id = 'p' AND task_id = 'new8'")
	out, errs, status := run(t, dir, nil, "verify", "--server", s.url, "--mail-grace", "0s")
	require.Equal(t, 1, status, errs)
	require.Contains(t, out, "task new7: its row is missing")
	require.Contains(t, out, "task new8: the task ended as completed and its mailbox has no message")
}
