package e2e

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/dbtest"
)

// postgresConfig has a native pool and one for worker processes. To fill in: DSN,
// schema, and the milliseconds after which a silent process counts as dead.
const postgresConfig = `
database: { url: "%s", schema: "%s" }
defaults: { queue_backend: postgres, mailbox_backend: postgres, max_attempts: 3, retry_base_ms: 50 }
limits: { heartbeat_ms: 200, worker_ttl_ms: %d, safety_poll_ms: 200 }
pools:
  - { pool_id: native, max_units: 8, executors: { default: { type: sleep } } }
  - { pool_id: fleet, max_units: 8, runtime_adapter: worker, executors: { default: { type: sleep } } }
`

// postgres returns a folder with a configuration for a migrated database.
func postgres(t *testing.T) (dir string, args []string) {
	t.Helper()
	db := dbtest.Postgres(t)
	dir = t.TempDir()
	return dir, []string{"--config", write(t, dir, "c.yaml", fmt.Sprintf(postgresConfig, db.URL, db.Schema, 1200))}
}

// TestTwoServers share one Postgres: what one takes the other one knows.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	dir, args := postgres(t)
	one, two := serve(t, dir, args...), serve(t, dir, args...)
	for i := range 20 {
		one.submit("native", fmt.Sprintf("a%d", i), 2, 50*time.Millisecond)
		two.submit("native", fmt.Sprintf("b%d", i), 3, 50*time.Millisecond)
	}
	for i := range 20 {
		require.Equal(t, client.TaskStatus("completed"), two.ended("native", fmt.Sprintf("a%d", i)).Status)
		require.Equal(t, client.TaskStatus("completed"), one.ended("native", fmt.Sprintf("b%d", i)).Status)
	}
	require.Len(t, one.mailbox(), 40)
	require.Len(t, two.mailbox(), 40)

	// What a dead process held runs again on the other one, soon.
	one.submit("native", "held", 1, 2*time.Second)
	holder := one.task("native", "held").Holder
	one.Kill()
	task := two.ended("native", "held")
	require.Equal(t, client.TaskStatus("completed"), task.Status)
	require.NotEqual(t, holder, task.Holder)
	require.EqualValues(t, 2, task.Attempt)
}

// TestWorkerFleet: serve admits, two work processes run, one of them dies.
func TestWorkerFleet(t *testing.T) {
	t.Parallel()
	dir, args := postgres(t)
	s := serve(t, dir, append(args, "--concurrency", "0")...)
	first := s.submit("fleet", "early", 1, 10*time.Millisecond)
	require.Equal(t, client.AdmissionStatus("running"), first.Status, "admitted, and waiting for somebody to run it")

	workers := make([]*process, 2)
	for i := range workers {
		workers[i] = start(t, dir, append([]string{"work", "--concurrency", "4"}, args...)...)
	}
	for _, w := range workers {
		w.await()
	}
	require.Equal(t, client.TaskStatus("completed"), s.ended("fleet", "early").Status)

	const tasks = 60
	for i := range tasks {
		s.submit("fleet", fmt.Sprintf("t%d", i), 1, 100*time.Millisecond)
	}
	s.ended("fleet", "t5")
	workers[0].Kill()
	for i := range tasks {
		task := s.ended("fleet", fmt.Sprintf("t%d", i))
		require.Equal(t, client.TaskStatus("completed"), task.Status, "%s: %v", task.TaskID, task.Reason)
	}
	require.Positive(t, s.events("fleet", "lost"))
	require.Len(t, s.mailbox(), tasks+1)

	// The other one hands over in peace.
	s.submit("fleet", "last", 1, 500*time.Millisecond)
	workers[1].signal(syscall.SIGTERM)
	require.Equal(t, 0, workers[1].exit())
	s.signal(syscall.SIGTERM)
	require.Equal(t, 0, s.exit())
}

// TestServeWorks: without work processes serve runs worker pools itself.
func TestServeWorks(t *testing.T) {
	t.Parallel()
	dir, args := postgres(t)
	s := serve(t, dir, args...)
	s.submit("fleet", "a", 1, 10*time.Millisecond)
	require.Equal(t, client.TaskStatus("completed"), s.ended("fleet", "a").Status)

	// A cancellation that reaches one process stops what runs in another.
	w := start(t, dir, append([]string{"work"}, args...)...)
	w.await()
	for i := range 8 {
		s.submit("fleet", fmt.Sprintf("c%d", i), 1, time.Minute)
	}
	for i := range 8 {
		_, err := client.Read[client.Task](s.api.CancelTask(soon(t), "fleet", fmt.Sprintf("c%d", i)))
		require.NoError(t, err)
	}
	for i := range 8 {
		task := s.ended("fleet", fmt.Sprintf("c%d", i))
		require.Equal(t, client.TaskStatus("failed"), task.Status)
		require.Equal(t, "cancelled", task.Reason.Code)
	}
}

// TestSchemaIsChecked: behind and ahead are refused with what to do.
func TestSchemaIsChecked(t *testing.T) {
	t.Parallel()
	db := dbtest.Empty(t)
	dir := t.TempDir()
	args := []string{"--config", write(t, dir, "c.yaml", fmt.Sprintf(postgresConfig, db.URL, db.Schema, 1200))}
	verb := func(verb ...string) (string, string, int) { return run(t, dir, nil, append(verb, args...)...) }

	_, stderr, status := verb("serve", "--listen", "127.0.0.1:0")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, `run "parkinglot migrate up"`)
	_, _, status = verb("migrate", "validate")
	require.Equal(t, 1, status)
	stdout, _, status := verb("migrate", "status")
	require.Equal(t, 0, status)
	require.Regexp(t, `(?m)pending$`, stdout)

	s := serve(t, dir, append(args, "--migrate")...)
	s.submit("native", "a", 1, 0)
	s.ended("native", "a")
	stdout, _, status = verb("migrate", "status")
	require.Equal(t, 0, status)
	require.NotRegexp(t, `(?m)pending$`, stdout)
	stdout, _, status = verb("migrate", "up")
	require.Equal(t, 0, status)
	require.Contains(t, stdout, "nothing to do")

	s.signal(syscall.SIGTERM)
	require.Equal(t, 0, s.exit())
	_, err := dbtest.Newer(t, db, nil, "-- oldest-program: 91\n-- +goose Up\nSELECT 1;").Up(soon(t))
	require.NoError(t, err)
	for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"serve", "--listen", "127.0.0.1:0", "--migrate"}, {"migrate", "validate"}, {"migrate", "up"}} {
		_, stderr, status = verb(args...)
		require.Equal(t, 1, status, "%v", args)
		require.Contains(t, stderr, "ahead of this program")
	}
}

// TestPostgresDownAtStart: a clear message, and exit 1.
func TestPostgresDownAtStart(t *testing.T) {
	t.Parallel()
	for _, verb := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"migrate", "up"}} {
		_, stderr, status := run(t, t.TempDir(), nil, append(verb, "--database-url", "postgres://me:secret@127.0.0.1:1/db")...)
		require.Equal(t, 1, status)
		require.Contains(t, stderr, "postgres does not answer at 127.0.0.1:1: is it running")
		require.NotContains(t, stderr, "secret")
	}
}

// TestPostgresDownLater: not ready, 503 with advice, and when it is back everything
// that ran is settled and nothing is lost.
func TestPostgresDownLater(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	way := through(t, db.URL)
	dir := t.TempDir()
	// Outages shorter than the time to live cost nothing.
	config := fmt.Sprintf(postgresConfig, way.URL, db.Schema, 60_000)
	s := serve(t, dir, "--config", write(t, dir, "c.yaml", config))
	s.submit("native", "before", 4, 0)
	s.ended("native", "before")
	s.submit("native", "during", 4, 3*time.Second)
	s.submit("native", "after", 8, 10*time.Millisecond)

	way.Cut()
	require.Eventually(t, func() bool { return !s.isReady() }, patience, 20*time.Millisecond)
	_, why := s.readiness()
	require.Contains(t, why, `"location":"postgres"`)
	_, err := s.trySubmit("native", "refused", 1, 0)
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	require.EqualValues(t, http.StatusServiceUnavailable, refused.Problem.Status)
	require.Positive(t, refused.RetryAfter)
	time.Sleep(3 * time.Second) // the task ends while nobody can be told

	way.Mend()
	require.Eventually(t, s.isReady, patience, 20*time.Millisecond)
	require.Equal(t, client.TaskStatus("completed"), s.ended("native", "during").Status)
	require.Equal(t, client.TaskStatus("completed"), s.ended("native", "after").Status)
	require.EqualValues(t, 1, s.task("native", "during").Attempt, "it was settled, not run again")
	require.Zero(t, s.events("native", "lost"))
	s.submit("native", "refused", 1, 0) // the client's retry
	require.Equal(t, client.TaskStatus("completed"), s.ended("native", "refused").Status)
}
