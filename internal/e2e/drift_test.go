package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/dbtest"
)

func contains(s string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

func (s *server) metric(name string) string {
	s.t.Helper()
	return scrape(s.t, s.url, name)
}

// scrape returns the line of a metric.
func scrape(t *testing.T, url, name string) string {
	t.Helper()
	res, err := http.Get(url + "/metrics")
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, name) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// TestTwoConfigurations: of two servers with different files for one pool, the one that
// started last wins; the other one says in what it differs, and goes by what is stored.
func TestTwoConfigurations(t *testing.T) {
	t.Parallel()
	const config = `
database: { url: "%s", schema: "%s" }
limits: { heartbeat_ms: 200, worker_ttl_ms: 1200, safety_poll_ms: 200, reconcile_secs: 1 }
pools:
  - { pool_id: p, max_units: %d, queue_backend: postgres, mailbox_backend: postgres, max_attempts: 1, tenants: { acme: { max_units: %d } }, executors: { default: { type: sleep }%s } }
`
	db := dbtest.Postgres(t)
	dir := t.TempDir()
	one := serve(t, dir, "--config", write(t, dir, "one.yaml", fmt.Sprintf(config, db.URL, db.Schema, 8, 8, "")))
	two := serve(t, dir, "--config", write(t, dir, "two.yaml", fmt.Sprintf(config, db.URL, db.Schema, 4, 2, ", extra: { type: sleep }")))

	require.Eventually(t, func() bool {
		status, said := one.readiness()
		return status == http.StatusOK && contains(said, `"degraded"`, `"component":"pool p"`, "max_units 4 → 8", "tenants", "executor extra is missing here")
	}, patience, 50*time.Millisecond)
	require.Contains(t, one.Output(), "differs from this process's configuration")
	require.Equal(t, `parkinglot_pool_config_differs{pool="p"} 4`, one.metric("parkinglot_pool_config_differs"))
	require.Eventually(t, func() bool {
		return two.metric("parkinglot_pool_config_differs") == `parkinglot_pool_config_differs{pool="p"} 0`
	}, patience, 50*time.Millisecond)
	require.NotContains(t, two.Output(), "differs from this process's configuration")
	require.EqualValues(t, 4, one.pool("p").MaxUnits, "what is stored counts everywhere")
	_, err := one.trySubmit("p", "large", 6, 0)
	require.ErrorContains(t, err, "4 units in all")

	// The one without the executor takes tasks and leaves them to the other one.
	for i := range 10 {
		_, err := client.Read[client.Admission](one.api.SubmitTask(soon(t), "p", client.TaskSubmission{
			TaskID: fmt.Sprintf("t%d", i), ResourceCost: client.ResourceCost{Units: 1}, Executor: "extra", Payload: []byte(`{"durationMs":10}`),
		}))
		require.NoError(t, err)
	}
	holders := map[string]bool{}
	for i := range 10 {
		task := one.ended("p", fmt.Sprintf("t%d", i))
		require.Equal(t, client.TaskStatus("completed"), task.Status, "%v", task.Reason)
		holders[task.Holder] = true
	}
	require.Len(t, holders, 1)

	// An operator's change is a difference, too: the next start would undo it.
	units := int64(6)
	_, err = client.Read[client.Pool](two.api.ChangePool(soon(t), "p", client.PoolChange{MaxUnits: &units}))
	require.NoError(t, err)
	require.Eventually(t, func() bool { _, said := two.readiness(); return contains(said, "max_units 6 → 4") }, patience, 50*time.Millisecond)
}

// TestWorkTellsItsHealth to whoever probes a worker process.
func TestWorkTellsItsHealth(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	way := through(t, db.URL)
	dir := t.TempDir()
	w := start(t, dir, "work", "--listen", "127.0.0.1:0", "--config", write(t, dir, "c.yaml", fmt.Sprintf(postgresConfig, way.URL, db.Schema, 60_000)))
	w.await()
	ask := func(path string) (int, string) {
		res, err := http.Get(w.URL() + path)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(body)
	}
	for path, want := range map[string]string{"/healthz": `{"status":"ok"}`, "/readyz": `{"status":"ready"}`, "/metrics": "go_goroutines"} {
		status, body := ask(path)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, body, want)
	}
	way.Cut()
	status, body := ask("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, `"location":"postgres"`)
	status, _ = ask("/healthz")
	require.Equal(t, http.StatusOK, status, "it lives")
	way.Mend()
	require.Eventually(t, func() bool { status, _ := ask("/readyz"); return status == http.StatusOK }, patience, 50*time.Millisecond)
}
