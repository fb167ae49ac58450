package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/store/migrate"
)

// TestSchemaMovesOn: what a newer program adds leaves this one running; what it cannot
// live with waits until every process of this program has drained and ended.
func TestSchemaMovesOn(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	dir := t.TempDir()
	args := []string{"--config", write(t, dir, "c.yaml", fmt.Sprintf(postgresConfig, db.URL, db.Schema, 1200))}
	s := serve(t, dir, append(args, "--concurrency", "0")...)
	w := start(t, dir, append([]string{"work"}, args...)...)
	w.await()

	expand := fmt.Sprintf("-- oldest-program: %d\n-- +goose Up\nALTER TABLE pl_queue_jobs ADD COLUMN later text;", migrate.Program())
	_, err := dbtest.Newer(t, db, nil, expand).Up(soon(t))
	require.NoError(t, err)
	for i := range 20 {
		s.submit("native", fmt.Sprintf("n%d", i), 1, 20*time.Millisecond)
		s.submit("fleet", fmt.Sprintf("f%d", i), 1, 20*time.Millisecond)
	}
	for i := range 20 {
		require.Equal(t, client.TaskStatus("completed"), s.ended("native", fmt.Sprintf("n%d", i)).Status)
		require.Equal(t, client.TaskStatus("completed"), s.ended("fleet", fmt.Sprintf("f%d", i)).Status)
	}
	again := serve(t, dir, args...) // a rollback may start the older program beside the newer schema
	require.Contains(t, again.Output(), "ahead of this program")
	again.signal(syscall.SIGTERM)
	require.Equal(t, 0, again.exit())

	s.submit("native", "last", 1, 2*time.Second)
	s.submit("fleet", "last", 1, 2*time.Second)
	require.Eventually(t, func() bool { return s.task("native", "last").Status == "running" }, patience, 10*time.Millisecond)
	breaking := "-- oldest-program: 92\n-- +goose Up\nALTER TABLE pl_pools RENAME COLUMN name TO title;"
	_, err = dbtest.Newer(t, db, nil, expand, breaking).Up(soon(t))
	require.NoError(t, err)
	for _, p := range []*process{s.process, w} {
		require.Equal(t, 1, p.exit())
		require.Contains(t, p.Output(), "start the newer program")
	}
	var completed, lost int
	require.NoError(t, db.Pool.QueryRow(soon(t), `SELECT count(*) FILTER (WHERE kind = 'complete'), count(*) FILTER (WHERE kind IN ('lost', 'fail'))
		FROM pl_audit_events`).Scan(&completed, &lost))
	require.Equal(t, 42, completed, "what ran was allowed to end")
	require.Zero(t, lost)

	_, stderr, status := run(t, dir, nil, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "too old to run beside it: use the newer program")
}
