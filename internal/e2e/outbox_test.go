package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/dbtest"
)

// outboxConfig has a queue in a file and its mailbox in Postgres, and the other way
// round. To fill in: DSN, schema.
const outboxConfig = `
database: { url: "%s", schema: "%s" }
parking: { backend: file }
limits: { heartbeat_ms: 500, worker_ttl_ms: 60000 }
pools:
  - { pool_id: p, max_units: 8, priority_policy: fifo, queue_backend: file, mailbox_backend: postgres, executors: { default: { type: sleep } } }
%s`

const postgresQueue = `  - { pool_id: q, max_units: 8, priority_policy: fifo, queue_backend: postgres, mailbox_backend: file, executors: { default: { type: sleep } } }
`

// TestMailboxStorageDown: outcomes wait, the program says so and goes on taking work,
// and when the storage is back each outcome arrives once, in order.
func TestMailboxStorageDown(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	way := through(t, db.URL)
	dir := t.TempDir()
	s := serve(t, dir, "--config", write(t, dir, "c.yaml", fmt.Sprintf(outboxConfig, way.URL, db.Schema, "")))
	s.submit("p", "before", 1, 0)
	s.ended("p", "before")
	require.Eventually(t, func() bool { return len(s.mailbox()) == 1 }, patience, 10*time.Millisecond)

	way.Cut()
	const tasks = 30
	for i := range tasks {
		id := fmt.Sprintf("t%02d", i)
		s.submit("p", id, 8, 0)
		require.Equal(t, client.TaskStatus("completed"), s.ended("p", id).Status)
	}
	require.Eventually(t, func() bool {
		status, said := s.readiness()
		return status == http.StatusOK && said != "" && contains(said, `"degraded"`, `"component":"postgres"`, `"component":"outbox file"`, "outcomes wait")
	}, patience, 50*time.Millisecond)

	// A process that dies meanwhile has lost nothing, either.
	s.Kill()
	way.Mend()
	s = serve(t, dir, "--config", dir+"/c.yaml")
	require.Eventually(t, func() bool { return len(s.mailbox()) == tasks+1 }, patience, 50*time.Millisecond)
	for i, m := range s.mailbox()[1:] {
		require.Equal(t, fmt.Sprintf("t%02d", i), m.TaskID, "in the order of the queue")
	}
	require.Eventually(t, func() bool { _, said := s.readiness(); return contains(said, `"ready"`) }, patience, 50*time.Millisecond)
	_, stderr, status := run(t, dir, nil, "verify", "--server", s.url)
	require.Zero(t, status, stderr)
}

// TestQueueStorageDown: the other way round, new tasks cannot be taken, and that is 503.
func TestQueueStorageDown(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	way := through(t, db.URL)
	dir := t.TempDir()
	s := serve(t, dir, "--config", write(t, dir, "c.yaml", fmt.Sprintf(outboxConfig, way.URL, db.Schema, postgresQueue)))
	const tasks = 10
	for i := range tasks {
		s.submit("q", fmt.Sprintf("t%02d", i), 8, 200*time.Millisecond)
	}
	s.ended("q", "t00")
	way.Cut()
	require.Eventually(t, func() bool { status, _ := s.readiness(); return status == http.StatusServiceUnavailable }, patience, 20*time.Millisecond)
	s.submit("p", "elsewhere", 1, 0) // the other pool goes on
	require.Equal(t, client.TaskStatus("completed"), s.ended("p", "elsewhere").Status)
	way.Mend()
	require.Eventually(t, s.isReady, patience, 50*time.Millisecond)
	require.Eventually(t, func() bool { return len(s.mailbox()) == tasks+1 }, patience, 50*time.Millisecond)
	var order []string
	for _, m := range s.mailbox() {
		if m.PoolID == "q" {
			order = append(order, m.TaskID)
		}
	}
	for i, id := range order {
		require.Equal(t, fmt.Sprintf("t%02d", i), id)
	}
	require.Len(t, order, tasks)
}
