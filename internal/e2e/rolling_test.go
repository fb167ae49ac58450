package e2e

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/dbtest"
)

const rollingConfig = `
database: { url: "%s", schema: "%s" }
defaults: { queue_backend: postgres, mailbox_backend: postgres, max_attempts: 1, max_queue_depth: 100000 }
limits: { heartbeat_ms: 500, worker_ttl_ms: 6000, grace_secs: 10 }
pools:
  - { pool_id: native, max_units: 16, executors: { default: { type: sleep } } }
  - { pool_id: fleet, max_units: 16, runtime_adapter: worker, executors: { default: { type: sleep } } }
`

// TestRollingRestart: two servers and two workers, each stopped and started again in
// turn under load. Nothing that was answered 202 is lost, and nothing has to be run twice:
// one attempt is all there is.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	dir := t.TempDir()
	config := write(t, dir, "c.yaml", fmt.Sprintf(rollingConfig, db.URL, db.Schema))
	addrs := []string{freeAddr(t), freeAddr(t)}
	newServe := func(i int) *process {
		return start(t, dir, "serve", "--listen", addrs[i], "--concurrency", "0", "--config", config)
	}
	newWork := func() *process { return start(t, dir, "work", "--concurrency", "16", "--config", config) }
	servers, workers := []*process{newServe(0), newServe(1)}, []*process{newWork(), newWork()}
	for _, p := range []*process{servers[0], servers[1], workers[0], workers[1]} {
		p.await()
	}

	// Two clients a server, which send the same again when there is no answer or a 503.
	var load sync.WaitGroup
	var stop atomic.Bool
	var taken [4]int
	var retried atomic.Int64
	for n := range 4 {
		load.Go(func() {
			for !stop.Load() {
				id := fmt.Sprintf("c%d-%d", n, taken[n])
				pool := []string{"native", "fleet"}[taken[n]%2]
				if submitAnywhere(t, addrs, n, pool, id, &retried) {
					taken[n]++
				}
			}
		})
	}
	for i := range servers {
		time.Sleep(time.Second)
		servers[i].signal(syscall.SIGTERM)
		require.Equal(t, 0, servers[i].exit())
		servers[i] = newServe(i)
		servers[i].await()
		workers[i].signal(syscall.SIGTERM)
		require.Equal(t, 0, workers[i].exit())
		workers[i] = newWork()
		workers[i].await()
	}
	time.Sleep(time.Second)
	stop.Store(true)
	load.Wait()

	s := &server{process: servers[0], url: "http://" + addrs[0]}
	var err error
	s.api, err = client.NewClient(s.url)
	require.NoError(t, err)
	total := 0
	for n, count := range taken {
		total += count
		for i := range count {
			task := s.ended([]string{"native", "fleet"}[i%2], fmt.Sprintf("c%d-%d", n, i))
			require.Equal(t, client.TaskStatus("completed"), task.Status, "%s: %v", task.TaskID, task.Reason)
		}
	}
	require.Positive(t, total)
	t.Logf("%d tasks taken and completed; %d submissions were sent again", total, retried.Load())
	require.Zero(t, s.events("native", "lost"))
	require.Zero(t, s.events("fleet", "lost"))
	stdout, stderr, status := run(t, dir, nil, "verify", "--server", s.url)
	require.Zero(t, status, "%s%s", stdout, stderr)
}

// submitAnywhere sends one submission until somebody takes it, beginning with the
// client's own server. false: the test is over.
func submitAnywhere(t *testing.T, addrs []string, n int, pool, id string, retried *atomic.Int64) bool {
	t.Helper()
	for try := 0; t.Context().Err() == nil; try++ {
		api, err := client.NewClient("http://" + addrs[(n+try)%len(addrs)])
		if err != nil {
			t.Error(err)
			return false
		}
		_, err = client.Read[client.Admission](api.SubmitTask(t.Context(), pool, client.TaskSubmission{
			TaskID: id, ResourceCost: client.ResourceCost{Units: 1}, MailboxKey: &client.MailboxKey{Tenant: "acme", UserID: "ada"},
			Payload: []byte(`{"durationMs":20}`),
		}))
		if err == nil {
			return true
		}
		retried.Add(1)
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

// freeAddr returns an address that nobody listens on now.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
