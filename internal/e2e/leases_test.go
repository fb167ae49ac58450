package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/fleet"
)

// leaseTTL is short, so that a test need not wait for it: long enough for a busy machine.
const leaseTTL = 2 * time.Second

// webConfig has a web pool on a backend. To fill in: the database, and the backend.
const webConfig = `
database: { url: "%s", schema: "%s" }
defaults: { queue_backend: %[3]s, mailbox_backend: %[3]s, max_attempts: 5, retry_base_ms: 50, max_queue_depth: 5000 }
limits: { lease_ttl_ms: 2000 }
pools:
  - { pool_id: render, max_units: 40, runtime_adapter: web }
  - { pool_id: native, max_units: 8, executors: { default: { type: sleep } } }
`

// web returns a folder and a configuration with a web pool on the backend.
func web(t *testing.T, backend string) (dir string, args []string) {
	t.Helper()
	var db dbtest.DB
	if backend == "postgres" {
		db = dbtest.Postgres(t)
	}
	if db.Schema == "" {
		db.Schema = "public"
	}
	dir = t.TempDir()
	return dir, []string{"--config", write(t, dir, "c.yaml", fmt.Sprintf(webConfig, db.URL, db.Schema, backend))}
}

// example runs a worker of examples/ as a process of its own.
func example(t *testing.T, name, binary string, args ...string) *process {
	t.Helper()
	log := filepath.Join(t.TempDir(), name+".log")
	run, err := fleet.Start(fleet.Command{Binary: binary, Args: args, Dir: t.TempDir(), Log: log})
	require.NoError(t, err)
	p := &process{Process: run, t: t}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s:\n%s", name, p.Output())
		}
	})
	return p
}

// noted is a line of the Python worker's record.
type noted struct {
	Event    string  `json:"event"`
	TaskID   string  `json:"taskId"`
	Attempt  int64   `json:"attempt"`
	WorkerID string  `json:"workerId"`
	At       float64 `json:"at"`
}

func recorded(t *testing.T, paths []string) []noted {
	t.Helper()
	var all []noted
	for _, path := range paths {
		file, err := os.Open(path)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			var line noted
			if json.Unmarshal(lines.Bytes(), &line) == nil { // the last one of a killed worker may be torn
				all = append(all, line)
			}
		}
		require.NoError(t, file.Close())
	}
	return all
}

// TestPythonWorkers: 1,000 tasks over four worker processes, one of them killed midway.
// All end, and none is completed twice.
func TestPythonWorkers(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is missing: install it to test examples/python-worker")
	}
	script, err := filepath.Abs("../../examples/python-worker/worker.py")
	require.NoError(t, err)
	for _, backend := range []string{"file", "postgres"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			pythonWorkers(t, backend, python, script)
		})
	}
}

func pythonWorkers(t *testing.T, backend, python, script string) {
	t.Helper()
	const tasks, workers = 1000, 4
	dir, args := web(t, backend)
	s := serve(t, dir, args...)

	processes, records := make([]*process, workers), make([]string, workers)
	for i := range processes {
		name := fmt.Sprintf("python-%d", i)
		records[i] = filepath.Join(t.TempDir(), name+".jsonl")
		processes[i] = example(t, name, python, script, "--server", s.url, "--pool", "render", "--concurrency", "8",
			"--worker-id", name, "--wait", "5", "--record", records[i])
	}
	submitBatches(t, s, tasks)
	completed := func() (n int) {
		for _, line := range recorded(t, records) {
			if line.Event == "completed" {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return completed() >= tasks/3 }, patience, 20*time.Millisecond)
	killed := time.Now()
	processes[0].Kill()

	require.Eventually(t, func() bool { return s.pool("render").Running+s.pool("render").Queued+s.pool("render").Waiting == 0 }, 2*patience, 100*time.Millisecond)
	for _, p := range processes[1:] {
		p.signal(syscall.SIGTERM)
	}
	for _, p := range processes[1:] {
		require.Zero(t, p.exit(), p.Output())
	}

	messages := map[string]int{}
	for _, m := range s.mailbox() {
		messages[m.TaskID]++
		require.Equal(t, client.MessageStatus("completed"), m.Status, m.TaskID)
	}
	require.Len(t, messages, tasks)
	accepted := map[string]int{}
	var lost, elsewhere int
	var slowest time.Duration
	for _, line := range recorded(t, records) {
		switch line.Event {
		case "completed":
			accepted[line.TaskID]++
		case "leased":
			if line.Attempt > 1 && line.WorkerID != "python-0" {
				elsewhere++
				slowest = max(slowest, time.UnixMicro(int64(line.At*1e6)).Sub(killed))
			}
		}
	}
	for id, n := range messages {
		require.Equal(t, 1, n, "messages of %s", id)
		require.LessOrEqual(t, accepted[id], 1, "completions of %s", id)
	}
	require.Equal(t, tasks, s.events("render", "complete"))
	lost = s.events("render", "lost")
	require.Positive(t, lost, "the killed worker held something")
	require.GreaterOrEqual(t, elsewhere, lost)
	t.Logf("%d leases were lost with the killed worker; all were leased elsewhere within %s of its end, with a TTL of %s", lost, slowest, leaseTTL)
	require.Less(t, slowest, leaseTTL+8*time.Second)
	proven(t, dir, s)
}

// submitBatches submits tasks of 1 to 3 units and 40 ms to the web pool.
func submitBatches(t *testing.T, s *server, tasks int) {
	t.Helper()
	for from := 0; from < tasks; from += 250 {
		batch := client.Batch{}
		for i := from; i < min(from+250, tasks); i++ {
			batch.Tasks = append(batch.Tasks, client.TaskSubmission{
				TaskID: fmt.Sprintf("frame-%04d", i), ResourceCost: client.ResourceCost{Units: int64(1 + i%3)},
				MailboxKey: &client.MailboxKey{Tenant: "acme", UserID: "ada"}, Payload: json.RawMessage(`{"durationMs": 40}`),
			})
		}
		results, err := client.Read[client.BatchResults](s.api.SubmitTasks(soon(t), "render", batch))
		require.NoError(t, err)
		for _, r := range results.Results {
			require.EqualValues(t, http.StatusAccepted, r.Status)
		}
	}
}

// proven lets verify look at what the server has recorded.
func proven(t *testing.T, dir string, s *server) {
	t.Helper()
	out, errs, status := run(t, dir, nil, "verify", "--server", s.url)
	require.Zero(t, status, "%s%s", out, errs)
}

// TestGoWorkers: the Go example drains at SIGTERM, stops what is cancelled, fails what fails.
func TestGoWorkers(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "go-worker")
	out, err := exec.CommandContext(soon(t), "go", "build", "-o", binary, "github.com/parkinglot/parkinglot/examples/go-worker").CombinedOutput()
	require.NoError(t, err, string(out))
	dir, args := web(t, "file")
	s := serve(t, dir, args...)
	begin := func(name string) *process {
		return example(t, name, binary, "--server", s.url, "--pool", "render", "--concurrency", "8", "--worker-id", name, "--grace", "200ms")
	}
	one, two := begin("go-1"), begin("go-2")
	submitBatches(t, s, 300)
	s.submit("render", "long", 1, time.Hour)
	_, err = client.Read[client.Admission](s.api.SubmitTask(soon(t), "render", client.TaskSubmission{
		TaskID: "broken", ResourceCost: client.ResourceCost{Units: 1}, Payload: json.RawMessage(`{"fail": "no such frame"}`),
	}))
	require.NoError(t, err)

	broken := s.ended("render", "broken")
	require.Equal(t, client.TaskStatus("failed"), broken.Status)
	require.EqualValues(t, 1, broken.Attempt, "a permanent failure is not tried again")
	require.Contains(t, broken.Reason.Message, "no such frame")

	require.Eventually(t, func() bool { return s.task("render", "long").Status == "running" }, patience, 20*time.Millisecond)
	holder := s.task("render", "long").Holder
	require.Contains(t, []string{"lease:go-1", "lease:go-2"}, holder)

	// Who drains gives back what does not end, and it runs elsewhere.
	leaving := map[string]*process{"lease:go-1": one, "lease:go-2": two}[holder]
	leaving.signal(syscall.SIGTERM)
	require.Zero(t, leaving.exit(), leaving.Output())
	require.Eventually(t, func() bool {
		task := s.task("render", "long")
		return task.Status == "running" && task.Holder != holder
	}, patience, 20*time.Millisecond)

	// Who is told to stop stops: well before the lease would end on its own.
	_, err = client.Read[client.Task](s.api.CancelTask(soon(t), "render", "long"))
	require.NoError(t, err)
	long := s.ended("render", "long")
	require.Equal(t, client.TaskStatus("failed"), long.Status)
	require.Equal(t, "cancelled", long.Reason.Code)
	require.Zero(t, s.events("render", "lost"), "nobody had to be given up")
	for i := range 300 {
		require.Equal(t, client.TaskStatus("completed"), s.ended("render", fmt.Sprintf("frame-%04d", i)).Status)
	}
	proven(t, dir, s)
}

// leaseOne asks for one task.
func (s *server) leaseOne(worker string, wait float64) []client.LeasedWork {
	s.t.Helper()
	answer, err := client.Read[client.LeasedTasks](s.api.LeaseTasks(soon(s.t), "render", client.LeaseRequest{WorkerID: worker, MaxTasks: 1, WaitSecs: wait}))
	require.NoError(s.t, err)
	return answer.Tasks
}

// refusal returns the status and the code of an answer that is a problem.
func refusal[T any](t *testing.T, res *http.Response, err error) (int64, string) {
	t.Helper()
	_, err = client.Read[T](res, err)
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	return refused.Problem.Status, refused.Problem.Code
}

// TestLeasesAcrossServers: a long poll at one server is woken by a submission at the
// other, a lease outlives the server that gave it, and one that is silent is lost.
func TestLeasesAcrossServers(t *testing.T) {
	t.Parallel()
	dir, args := web(t, "postgres")
	one, two := serve(t, dir, args...), serve(t, dir, args...)
	status, code := refusal[client.LeasedTasks](t, must(one.api.LeaseTasks(soon(t), "native", client.LeaseRequest{WorkerID: "w"})), nil)
	require.EqualValues(t, http.StatusConflict, status)
	require.Equal(t, "pool_not_web", code)
	require.Empty(t, one.leaseOne("w", 0))

	polled := make(chan []client.LeasedWork, 1)
	go func() {
		answer, err := client.Read[client.LeasedTasks](one.api.LeaseTasks(soon(t), "render", client.LeaseRequest{WorkerID: "w", WaitSecs: 30}))
		if err == nil {
			polled <- answer.Tasks
		}
	}()
	require.Equal(t, client.AdmissionStatus("queued"), two.submit("render", "a", 1, 0).Status, "nobody asks for it here")
	got := <-polled
	require.Len(t, got, 1)
	require.JSONEq(t, `{"durationMs": 0}`, string(got[0].Payload))
	lease := got[0].LeaseID

	one.signal(syscall.SIGTERM)
	require.Zero(t, one.exit())
	beat, err := client.Read[client.HeartbeatResult](two.api.HeartbeatLease(soon(t), lease))
	require.NoError(t, err, "the server that gave the lease is gone, the lease is not")
	require.False(t, beat.CancelRequested)
	require.NotContains(t, two.task("render", "a").Holder, strings.Split(lease, ".")[3], "the right to a lease is shown to nobody else")

	// Silence for longer than the TTL, and somebody else has it.
	again := two.leaseOne("v", 30)
	require.Len(t, again, 1)
	require.EqualValues(t, 2, again[0].Attempt)
	status, code = refusal[client.HeartbeatResult](t, must(two.api.HeartbeatLease(soon(t), lease)), nil)
	require.EqualValues(t, http.StatusGone, status)
	require.Equal(t, "lease_lost", code)
	status, _ = refusal[client.LeaseEnd](t, must(two.api.CompleteLease(soon(t), lease, client.Completion{Result: json.RawMessage(`"late"`)})), nil)
	require.EqualValues(t, http.StatusGone, status)
	require.Equal(t, 1, two.events("render", "refused"), "the late result is in the trail")

	for range 2 {
		end, err := client.Read[client.LeaseEnd](two.api.CompleteLease(soon(t), again[0].LeaseID, client.Completion{Result: json.RawMessage(`"in time"`)}))
		require.NoError(t, err, "the same again is the same again")
		require.Equal(t, client.LeaseEndStatus("completed"), end.Status)
	}
	require.JSONEq(t, `"in time"`, string(two.task("render", "a").Result))
	proven(t, dir, two)
}

func must(res *http.Response, err error) *http.Response {
	if err != nil {
		panic(err)
	}
	return res
}

// TestLeasesOutliveTheFile: kill -9 of the only server loses no lease, and its workers
// get a full TTL to report again.
func TestLeasesOutliveTheFile(t *testing.T) {
	t.Parallel()
	dir, args := web(t, "file")
	s := serve(t, dir, args...)
	s.submit("render", "a", 1, 0)
	held := s.leaseOne("w", 10)
	require.Len(t, held, 1)
	s.Kill()
	time.Sleep(leaseTTL) // by the clock the lease is over
	s = serve(t, dir, args...)
	beat, err := client.Read[client.HeartbeatResults](s.api.HeartbeatLeases(soon(t), client.Heartbeat{LeaseIds: []string{held[0].LeaseID, "render.77.1.x"}}))
	require.NoError(t, err)
	require.False(t, beat.Results[0].Lost)
	require.True(t, beat.Results[1].Lost)
	_, err = client.Read[client.LeaseEnd](s.api.CompleteLease(soon(t), held[0].LeaseID, client.Completion{}))
	require.NoError(t, err)
	require.Zero(t, s.events("render", "lost"))

	proven(t, dir, s)
}
