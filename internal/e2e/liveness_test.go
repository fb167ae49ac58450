package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/fleet"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
)

// livenessConfig leaves heartbeat, time to live and polls at their defaults.
const livenessConfig = `
database: { url: "%s", schema: "%s" }
defaults: { queue_backend: postgres, mailbox_backend: postgres, runtime_adapter: worker, retry_base_ms: 0 }
pools:
  - { pool_id: fleet, max_units: 16, max_attempts: 2, executors: { default: { type: sleep } } }
  - { pool_id: once, max_units: 16, max_attempts: 1, executors: { default: { type: sleep } } }
`

// TestKilledWorker: kill -9 of one of three workers that holds half the units. What it ran
// runs elsewhere, or has failed with worker_lost, soon: 10 s are promised with the
// default settings, and the time is logged ("make liveness" prints five). The bound here only tells
// a machine that is busy from a defect.
func TestKilledWorker(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	dir := t.TempDir()
	args := []string{"--config", write(t, dir, "c.yaml", fmt.Sprintf(livenessConfig, db.URL, db.Schema))}
	s := serve(t, dir, append(args, "--concurrency", "0")...)
	victim := start(t, dir, append([]string{"work", "--concurrency", "8"}, args...)...)
	victim.await()
	const half = 8
	for i := range half {
		s.submit("fleet", fmt.Sprintf("v%d", i), 1, time.Minute)
	}
	for i := range 4 {
		s.submit("once", fmt.Sprintf("v%d", i), 1, time.Minute)
	}
	held := func(count int) func() bool {
		return func() bool {
			var n int
			err := db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM river_job WHERE state = 'running' AND attempted_by IS NOT NULL").Scan(&n)
			return err == nil && n == count
		}
	}
	require.Eventually(t, held(half+4), patience, 10*time.Millisecond)
	for range 2 {
		start(t, dir, append([]string{"work", "--concurrency", "100"}, args...)...).await()
	}
	for i := range half {
		s.submit("fleet", fmt.Sprintf("o%d", i), 1, time.Minute)
	}
	require.Eventually(t, held(2*half+4), patience, 10*time.Millisecond)
	time.Sleep(time.Second) // the others have been there for a while

	killed := time.Now()
	victim.Kill()
	require.Eventually(t, func() bool {
		var again, failed int
		err := db.Pool.QueryRow(t.Context(), `SELECT
			(SELECT count(*) FROM pl_queue_jobs AS j JOIN river_job AS r ON r.id = j.river_job_id
			 WHERE j.pool_id = 'fleet' AND j.status = 'running' AND j.attempt = 2 AND r.state = 'running'),
			(SELECT count(*) FROM pl_queue_jobs AS j WHERE j.pool_id = 'once' AND j.status = 'failed' AND j.reason_code = 'worker_lost')`).Scan(&again, &failed)
		return err == nil && again == half && failed == 4
	}, patience, 10*time.Millisecond)
	t.Logf("killed holder of half the units: all its work elsewhere after %.2f s", time.Since(killed).Seconds())
}

// TestFrozenWorker: a process that is stopped until others have taken its work, and then
// goes on, ends its executors, settles nothing, and is of use again under a new id.
func TestFrozenWorker(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	dir := t.TempDir()
	args := []string{"--config", write(t, dir, "c.yaml", fmt.Sprintf(postgresConfig, db.URL, db.Schema, 1200))}
	s := serve(t, dir, append(args, "--concurrency", "0")...)
	record := filepath.Join(dir, "executions.jsonl")
	run, err := fleet.Start(fleet.Command{
		Binary: program(t), Args: append([]string{"work"}, args...), Dir: dir, Log: filepath.Join(t.TempDir(), "log"),
		Env: []string{attempts.RecordVariable + "=" + record},
	})
	require.NoError(t, err)
	t.Cleanup(run.Kill)
	require.NoError(t, run.Ready(soon(t)))

	s.submit("fleet", "long", 1, 8*time.Second)
	require.Eventually(t, func() bool { return len(entries(t, record, attempts.RecordEnter)) == 1 }, patience, 10*time.Millisecond)
	require.NoError(t, run.Signal(syscall.SIGSTOP))
	other := start(t, dir, append([]string{"work"}, args...)...)
	other.await()
	require.Eventually(t, func() bool { return s.task("fleet", "long").Attempt >= 2 }, patience, 10*time.Millisecond)
	require.NoError(t, run.Signal(syscall.SIGCONT))

	// Its own record says that the executor was told to end: long before its 8 s, or as
	// soon as it woke.
	require.Eventually(t, func() bool { return len(entries(t, record, attempts.RecordExit)) >= 1 }, patience, 10*time.Millisecond)
	task := s.ended("fleet", "long")
	require.Equal(t, client.TaskStatus("completed"), task.Status, "%v", task.Reason)
	// On a slow machine the other process may look dead for a moment, too.
	require.Equal(t, 1, s.events("fleet", "complete"))
	require.EqualValues(t, task.Attempt-1, s.events("fleet", "lost")+s.events("fleet", "retry"), "one event ended every earlier attempt")
	require.Len(t, s.mailbox(), 1)

	other.signal(syscall.SIGTERM)
	require.Equal(t, 0, other.exit())
	s.submit("fleet", "after", 1, 0)
	require.Equal(t, client.TaskStatus("completed"), s.ended("fleet", "after").Status, "the woken process works on under a new id")
}

// entries returns what a process's own record has of a kind.
func entries(t *testing.T, path, kind string) []attempts.RecordEntry {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	all, err := attempts.ReadRecord(f)
	require.NoError(t, err)
	var of []attempts.RecordEntry
	for _, e := range all {
		if e.Kind == kind {
			of = append(of, e)
		}
	}
	return of
}
