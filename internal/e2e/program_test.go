// Package e2e drives the real program, built once, on free ports, through the
// generated client: what a user sees, kill -9 included.
package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/fleet"
)

// binary is built by the first test that asks and removed by TestMain.
var binary struct {
	sync.Once

	dir  string
	path string
	err  error
}

func TestMain(m *testing.M) {
	status := m.Run()
	if binary.dir != "" {
		if err := os.RemoveAll(binary.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(status)
}

func program(t *testing.T) string {
	t.Helper()
	binary.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "parkinglot-e2e-"); binary.err != nil { //nolint:usetesting // outlives the test that builds it
			return
		}
		binary.path, binary.err = fleet.Build(t.Context(), binary.dir)
	})
	require.NoError(t, binary.err)
	return binary.path
}

// patience bounds every wait for the program; machines are busy.
const patience = 60 * time.Second

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// process is one run of the program.
type process struct {
	*fleet.Process

	t *testing.T
}

// start runs the program in a folder of the test's own, with its environment kept out.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log") // dir holds only what the program leaves there
	run, err := fleet.Start(fleet.Command{Binary: program(t), Args: args, Dir: dir, Log: log})
	require.NoError(t, err)
	p := &process{Process: run, t: t}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("parkinglot %s:\n%s", strings.Join(args, " "), p.Output())
		}
	})
	return p
}

// await waits until the program is ready.
func (p *process) await() {
	p.t.Helper()
	require.NoError(p.t, p.Ready(soon(p.t)))
}

// exit waits for the end and returns the exit status; -1: by a signal.
func (p *process) exit() int {
	p.t.Helper()
	status, err := p.Wait(soon(p.t))
	require.NoError(p.t, err)
	return status
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.Signal(s))
}

// through returns a proxy in front of the DSN.
func through(t *testing.T, dsn string) *fleet.Proxy {
	t.Helper()
	proxy, err := fleet.NewProxy(dsn, "127.0.0.1")
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	return proxy
}

// server is a serving process and a client of it.
type server struct {
	*process

	url string
	api *client.Client
}

// serve starts a serving process on a free port.
func serve(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	p := start(t, dir, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	p.await()
	s := &server{process: p, url: p.URL()}
	var err error
	s.api, err = client.NewClient(s.url)
	require.NoError(t, err)
	return s
}

// submit submits a task that sleeps and requires that it is taken.
func (s *server) submit(pool, id string, units int64, sleep time.Duration) client.Admission {
	s.t.Helper()
	admission, err := s.trySubmit(pool, id, units, sleep)
	require.NoError(s.t, err)
	return admission
}

func (s *server) trySubmit(pool, id string, units int64, sleep time.Duration) (client.Admission, error) {
	return client.Read[client.Admission](s.api.SubmitTask(soon(s.t), pool, client.TaskSubmission{
		TaskID: id, ResourceCost: client.ResourceCost{Units: units},
		MailboxKey: &client.MailboxKey{Tenant: "acme", UserID: "ada"},
		Payload:    fmt.Appendf(nil, `{"durationMs":%d}`, sleep.Milliseconds()),
	}))
}

// task reads a task.
func (s *server) task(pool, id string) client.Task {
	s.t.Helper()
	task, err := client.Read[client.Task](s.api.GetTask(soon(s.t), pool, id, &client.GetTaskParams{}))
	require.NoError(s.t, err)
	return task
}

// ended waits until a task is terminal.
func (s *server) ended(pool, id string) client.Task {
	s.t.Helper()
	wait := "30s"
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		task, err := client.Read[client.Task](s.api.GetTask(soon(s.t), pool, id, &client.GetTaskParams{Wait: &wait}))
		require.NoError(s.t, err)
		if task.FinishedAt != nil {
			return task
		}
	}
	require.Fail(s.t, "task did not end", "%s in %s", id, pool)
	return client.Task{}
}

// mailbox reads everything in Ada's mailbox, page by page.
func (s *server) mailbox() []client.Message {
	s.t.Helper()
	var all []client.Message
	limit := int64(100)
	var since *string
	for {
		page, err := client.Read[client.MailboxPage](s.api.ReadMailbox(soon(s.t), "acme", "ada", &client.ReadMailboxParams{Since: since, Limit: &limit}))
		require.NoError(s.t, err)
		if len(page.Messages) == 0 {
			return all
		}
		all = append(all, page.Messages...)
		since = &page.NextCursor
	}
}

// events counts the audit events of a kind.
func (s *server) events(pool, kind string) int {
	s.t.Helper()
	limit, n := int64(500), 0
	var cursor *string
	for {
		page, err := client.Read[client.AuditPage](s.api.ListEvents(soon(s.t), &client.ListEventsParams{PoolID: &pool, Kind: &kind, Limit: &limit, Cursor: cursor}))
		require.NoError(s.t, err)
		if len(page.Events) == 0 {
			return n
		}
		n += len(page.Events)
		cursor = &page.NextCursor
	}
}

func (s *server) pool(id string) client.Pool {
	s.t.Helper()
	pool, err := client.Read[client.Pool](s.api.GetPool(soon(s.t), id))
	require.NoError(s.t, err)
	return pool
}

// readiness returns the status of /readyz and what it says.
func (s *server) readiness() (int, string) {
	s.t.Helper()
	res, err := s.api.Ready(soon(s.t))
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return res.StatusCode, string(body)
}

// isReady reports whether /readyz says 200.
func (s *server) isReady() bool {
	status, _ := s.readiness()
	return status == http.StatusOK
}

// write puts a file into the folder and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
