package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
)

// retryConfig has executors that call the URL and run the program to fill in.
const retryConfig = `
defaults: { queue_backend: file, mailbox_backend: file, max_attempts: 3, retry_base_ms: 40, retry_max_ms: 1000 }
pools:
  - pool_id: p
    max_units: 4
    executors:
      flaky: { type: http, url: "%[1]s/flaky" }
      down: { type: http, url: "%[1]s/down" }
      wrong: { type: http, url: "%[1]s/wrong" }
      default: { type: command, argv: ["sh", "-c", "echo broken >&2; exit 3"] }
      second: { type: command, argv: ["sh", "-c", "if [ -e tried ]; then echo '{\"ok\":true}'; else touch tried; exit 1; fi"], workdir: "%[2]s" }
`

// TestRetries: what may go better next time is tried again, after a growing pause; what
// cannot is not.
func TestRetries(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	calls := map[string][]time.Time{}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		calls[r.URL.Path] = append(calls[r.URL.Path], time.Now())
		n := len(calls[r.URL.Path])
		mu.Unlock()
		switch {
		case r.URL.Path == "/wrong":
			http.Error(w, "no such model", http.StatusBadRequest)
		case r.URL.Path == "/down" || n < 3:
			http.Error(w, "not now", http.StatusServiceUnavailable)
		default:
			_, _ = w.Write([]byte(`{"answer":42}`))
		}
	}))
	t.Cleanup(service.Close)
	dir := t.TempDir()
	s := serve(t, dir, "--config", write(t, dir, "c.yaml", fmt.Sprintf(retryConfig, service.URL, dir)))
	submit := func(id, executor string) client.Admission {
		admission, err := client.Read[client.Admission](s.api.SubmitTask(soon(t), "p", client.TaskSubmission{
			TaskID: id, Executor: executor, ResourceCost: client.ResourceCost{Units: 1}, MailboxKey: &client.MailboxKey{Tenant: "acme", UserID: "ada"},
		}))
		require.NoError(t, err)
		return admission
	}
	first := map[string]client.AdmissionStatus{}
	for _, executor := range []string{"flaky", "down", "wrong", "default", "second"} {
		first[executor] = submit(executor, executor).Status
	}
	require.Equal(t, client.AdmissionStatus("running"), first["flaky"], "all is free")
	for id, want := range map[string]struct {
		status  string
		attempt int64
		message string
	}{
		"flaky": {"completed", 3, ""}, "down": {"failed", 3, "503"}, "wrong": {"failed", 1, "400"},
		"default": {"failed", 3, "broken"}, "second": {"completed", 2, ""},
	} {
		task := s.ended("p", id)
		require.Equal(t, client.TaskStatus(want.status), task.Status, "%s: %+v", id, task.Reason)
		require.Equal(t, want.attempt, task.Attempt, "%s: %+v", id, task.Reason)
		if want.message != "" {
			require.Contains(t, task.Reason.Message, want.message, id)
		}
		again := submit(id, id)
		require.True(t, again.Known)
		require.Equal(t, first[id], again.Status, "%s: the first answer again, however often it was tried", id)
	}
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, calls["/wrong"], 1)
	require.Len(t, calls["/flaky"], 3)
	require.Len(t, calls["/down"], 3)
	// 40 ms and 80 ms, up to a quarter less by the jitter.
	require.GreaterOrEqual(t, calls["/down"][1].Sub(calls["/down"][0]), 30*time.Millisecond)
	require.GreaterOrEqual(t, calls["/down"][2].Sub(calls["/down"][1]), 60*time.Millisecond)
	require.Len(t, s.mailbox(), 5, "one outcome a task, however many attempts")
	require.Equal(t, 2+2+2+1, s.events("p", "retry"))
}
