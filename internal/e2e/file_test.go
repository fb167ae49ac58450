package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
)

// TestDemo is the first minute of a stranger: no flags, submit, look.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir)
	require.True(t, s.isReady())
	require.FileExists(t, filepath.Join(dir, "data", "parkinglot.db"))

	admission := s.submit("demo", "hello", 1, 50*time.Millisecond)
	require.Equal(t, client.AdmissionStatus("running"), admission.Status)
	task := s.ended("demo", "hello")
	require.Equal(t, client.TaskStatus("completed"), task.Status)
	require.JSONEq(t, `{"sleptMs":50}`, string(task.Result))

	messages := s.mailbox()
	require.Len(t, messages, 1)
	require.Equal(t, "hello", messages[0].TaskID)
	require.JSONEq(t, `{"sleptMs":50}`, string(messages[0].Payload))
	for _, kind := range []string{"submit", "start", "complete"} {
		require.Equal(t, 1, s.events("demo", kind), kind)
	}
}

// TestMailboxWait holds an empty mailbox open until the outcome is there.
func TestMailboxWait(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	wait := "30s"
	got := make(chan client.MailboxPage, 1)
	go func() {
		defer close(got)
		page, err := client.Read[client.MailboxPage](s.api.ReadMailbox(soon(t), "acme", "ada", &client.ReadMailboxParams{Wait: &wait}))
		if err == nil {
			got <- page
		}
	}()
	s.submit("demo", "a", 1, 100*time.Millisecond)
	page, ok := <-got
	require.True(t, ok)
	require.Len(t, page.Messages, 1)
}

// TestKillAndRestart: whatever was answered 202 is there after kill -9, and runs to
// its end.
func TestKillAndRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir)
	const tasks = 40 // of a pool that runs 8 at once
	for i := range tasks {
		s.submit("demo", fmt.Sprintf("t%02d", i), 1, 300*time.Millisecond)
	}
	s.ended("demo", "t00") // something has ended, something runs, something waits
	s.Kill()

	s = serve(t, dir)
	for i := range tasks {
		task := s.ended("demo", fmt.Sprintf("t%02d", i))
		require.Equal(t, client.TaskStatus("completed"), task.Status, "%s: %v", task.TaskID, task.Reason)
	}
	seen := map[string]int{}
	for _, message := range s.mailbox() {
		seen[message.TaskID]++
	}
	require.Len(t, seen, tasks)
	for id, n := range seen {
		require.Equal(t, 1, n, "one outcome, one message: %s", id)
	}
	require.Positive(t, s.events("demo", "lost"), "what ran at kill -9 was lost and ran again")
	require.Equal(t, tasks, s.events("demo", "complete"))
	pool := s.pool("demo")
	require.Zero(t, pool.ActiveUnits)
	require.Zero(t, pool.Queued)
}

// TestTermDrains: SIGTERM lets what runs end, takes nothing more, and exits 0.
func TestTermDrains(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir, "--grace", "30s")
	s.submit("demo", "running", 8, 2*time.Second)
	s.submit("demo", "waiting", 8, 10*time.Millisecond)
	wait := "30s"
	held := make(chan error, 1) // a read that waits does not hold up the end
	go func() {
		_, err := client.Read[client.Task](s.api.GetTask(soon(t), "demo", "waiting", &client.GetTaskParams{Wait: &wait}))
		held <- err
	}()
	s.signal(syscall.SIGTERM)
	require.Eventually(t, func() bool { return !s.isReady() }, patience, 10*time.Millisecond)
	_, err := s.trySubmit("demo", "late", 1, 0)
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	require.EqualValues(t, 503, refused.Problem.Status)
	require.Positive(t, refused.RetryAfter)
	require.NoError(t, <-held)
	require.Equal(t, 0, s.exit())

	s = serve(t, dir)
	require.Equal(t, client.TaskStatus("completed"), s.task("demo", "running").Status)
	require.EqualValues(t, 1, s.task("demo", "running").Attempt)
	require.Equal(t, client.TaskStatus("completed"), s.ended("demo", "waiting").Status, "it waited for the next process")
}

// TestTermHandsBack: what does not end within the grace runs again later, and its
// attempt does not count as a failure.
func TestTermHandsBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir, "--grace", "0s")
	s.submit("demo", "long", 1, 1500*time.Millisecond)
	s.signal(syscall.SIGTERM)
	require.Equal(t, 0, s.exit())

	s = serve(t, dir)
	require.Equal(t, client.TaskStatus("completed"), s.ended("demo", "long").Status)
	require.Equal(t, 0, s.events("demo", "lost"), "it was handed back, not lost")
}

// TestSecondSignalKills: nobody has to wait for a drain.
func TestSecondSignalKills(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "--grace", "60s")
	s.submit("demo", "long", 1, time.Minute)
	s.signal(syscall.SIGTERM)
	require.Eventually(t, func() bool { return !s.isReady() }, patience, 10*time.Millisecond)
	s.signal(syscall.SIGTERM)
	require.Equal(t, -1, s.exit())
}

// TestSecondServe: a data folder belongs to one process.
func TestSecondServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve(t, dir)
	second := start(t, dir, "serve", "--listen", "127.0.0.1:0")
	require.Equal(t, 1, second.exit())
	require.Contains(t, second.Output(), "the database is in use by another process")
	require.Contains(t, second.Output(), filepath.Join(dir, "data", "parkinglot.db"))
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	second := start(t, t.TempDir(), "serve", "--listen", strings.TrimPrefix(s.url, "http://"))
	require.Equal(t, 1, second.exit())
	require.Contains(t, second.Output(), "address already in use")
}

// TestOperatorsStateSurvivesARestart, and policy comes from the configuration.
func TestOperatorsStateSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "c.yaml", "pools: [{pool_id: p, max_units: 4, executors: {default: {type: sleep}}}]")
	s := serve(t, dir, "--config", config)
	draining := client.PoolChangeState("draining")
	_, err := client.Read[client.Pool](s.api.ChangePool(soon(t), "p", client.PoolChange{State: draining}))
	require.NoError(t, err)
	s.signal(syscall.SIGTERM)
	require.Equal(t, 0, s.exit())

	write(t, dir, "c.yaml", "pools: [{pool_id: p, max_units: 6, priority_policy: fifo, executors: {default: {type: sleep}}}]")
	s = serve(t, dir, "--config", config)
	pool := s.pool("p")
	require.Equal(t, client.PoolState("draining"), pool.State)
	require.EqualValues(t, 6, pool.MaxUnits)
	require.Equal(t, client.PoolPriorityPolicy("fifo"), pool.PriorityPolicy)
	require.Contains(t, s.Output(), "max_units 4 → 6, priority_policy fair → fifo")
}

// TestMemory: the same without a trace on disk.
func TestMemory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "c.json", `{"defaults": {"queue_backend": "memory", "mailbox_backend": "memory"},
		"pools": [{"pool_id": "p", "max_units": 1, "executors": {"default": {"type": "command", "argv": ["cat"]}}}]}`)
	s := serve(t, dir, "--config", config)
	s.submit("p", "a", 1, 0)
	task := s.ended("p", "a")
	require.Equal(t, client.TaskStatus("completed"), task.Status, "%v", task.Reason)
	require.JSONEq(t, `{"durationMs":0}`, string(task.Result), "cat gives the payload back")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "only the configuration")
}

// TestMailboxElsewhere: the outcome goes through the outbox to another backend.
func TestMailboxElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "c.json", `{"defaults": {"queue_backend": "memory", "mailbox_backend": "file"},
		"pools": [{"pool_id": "p", "max_units": 1, "executors": {"default": {"type": "sleep"}}}]}`)
	s := serve(t, dir, "--config", config)
	s.submit("p", "a", 1, 0)
	s.ended("p", "a")
	require.Eventually(t, func() bool { return len(s.mailbox()) == 1 }, patience, 20*time.Millisecond)
	s.Kill()

	s = serve(t, dir, "--config", config)
	require.Len(t, s.mailbox(), 1, "the queue was in memory, the mailbox was not")
}

func TestCancelByLabel(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	for i := range 30 {
		_, err := client.Read[client.Admission](s.api.SubmitTask(soon(t), "demo", client.TaskSubmission{
			TaskID: fmt.Sprintf("t%d", i), ResourceCost: client.ResourceCost{Units: 1},
			Payload: json.RawMessage(`{"durationMs":60000}`), Labels: map[string]string{"run": fmt.Sprint(i % 2)},
		}))
		require.NoError(t, err)
	}
	cancelled, err := client.Read[client.Cancelled](s.api.CancelTasks(soon(t), "demo", &client.CancelTasksParams{Label: "run:1"}))
	require.NoError(t, err)
	require.EqualValues(t, 15, cancelled.Cancelled)
	for i := range 30 {
		if i%2 == 1 {
			task := s.ended("demo", fmt.Sprintf("t%d", i))
			require.Equal(t, "cancelled", task.Reason.Code)
			require.Contains(t, []client.TaskStatus{"dropped", "failed"}, task.Status)
		}
	}
	require.EqualValues(t, 8, s.pool("demo").ActiveUnits, "the others moved up")
}
