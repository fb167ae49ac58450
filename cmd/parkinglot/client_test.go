package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/app"
	"github.com/parkinglot/parkinglot/internal/config"
)

const memoryPools = `
defaults: {queue_backend: memory, mailbox_backend: memory, runtime_adapter: native, priority_policy: fifo}
pools:
  - {pool_id: demo, name: Demo, max_units: 4, max_queue_depth: 2, resource_kind: cpu, executors: {default: {type: sleep}}}
  - {pool_id: zero, name: Nothing, max_units: 0, executors: {default: {type: sleep}}}
`

// terminal is a client at a server of its own, everything in memory.
type terminal struct {
	server string
}

func newTerminal(t *testing.T) terminal {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pools.yaml")
	require.NoError(t, os.WriteFile(path, []byte(memoryPools), 0o600))
	cfg, err := config.Load(config.Source{Path: path})
	require.NoError(t, err)

	ctx, stop := context.WithCancel(context.Background())
	ready := make(chan app.Running, 1)
	done := make(chan error, 1)
	go func() {
		done <- app.Serve(ctx, cfg, app.Options{Listen: "127.0.0.1:0", Ready: func(r app.Running) { ready <- r }})
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	select {
	case running := <-ready:
		return terminal{server: "http://" + running.Addr}
	case err := <-done:
		done <- nil
		require.NoError(t, err)
		return terminal{}
	}
}

type printed struct {
	status   int
	out, err string
}

// buffer is read by a test while a verb writes to it.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (c terminal) start(ctx context.Context, out *buffer, stdin string, args ...string) error {
	root := newRoot()
	root.SetArgs(append(args, "--server", c.server))
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(out)
	return root.ExecuteContext(ctx)
}

func (c terminal) run(t *testing.T, args ...string) printed {
	t.Helper()
	var out buffer
	err := c.start(t.Context(), &out, `{"durationMs":1}`, args...)
	p := printed{status: exitStatus(err), out: out.String()}
	if err != nil {
		p.err = err.Error()
	}
	return p
}

func (c terminal) must(t *testing.T, args ...string) string {
	t.Helper()
	p := c.run(t, args...)
	require.Zero(t, p.status, "%v: %s%s", args, p.out, p.err)
	return p.out
}

func TestSubmitAndWaitForTheEnd(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	out := c.must(t, "submit", "--pool", "demo", "--task-id", "t-1", "--units", "2", "--kind", "io", "--priority", "high",
		"--mailbox", "acme/ada:s-1", "--deadline", "10m", "--timeout-secs", "5", "--max-attempts", "2", "--label", "run=x,day=1",
		"--payload", "-", "--wait", "30s")
	for _, line := range []string{"status    completed", "units     2  io", "mailbox   acme/ada:s-1", "label     day=1", `result    {"sleptMs":1}`, "tenant    acme"} {
		require.Contains(t, out, line)
	}
	file := filepath.Join(t.TempDir(), "payload.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"durationMs":1,"fail":"no luck"}`), 0o600))
	p := c.run(t, "submit", "--pool", "demo", "--task-id", "t-2", "--payload", "@"+file, "--wait", "30s", "--json")
	require.Equal(t, exitFailed, p.status)
	require.Contains(t, p.err, "no luck")
	var task client.Task
	require.NoError(t, json.Unmarshal([]byte(p.out), &task))
	require.Equal(t, client.TaskStatusFailed, task.Status)

	require.Equal(t, exitFailed, c.run(t, "wait", "demo", "t-2").status)
	require.Contains(t, c.must(t, "wait", "demo", "t-1", "--for", "5s"), "completed")
	list := c.must(t, "status", "demo", "--status", "completed")
	require.Contains(t, list, "t-1")
	require.NotContains(t, list, "t-2")
	require.Contains(t, c.must(t, "status", "demo", "--label", "run:x"), "t-1")
}

func TestSubmitNamesTasksItself(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	var one, two client.Admission
	for _, a := range []*client.Admission{&one, &two} {
		require.NoError(t, json.Unmarshal([]byte(c.must(t, "submit", "-p", "demo", "--json")), a))
	}
	require.NotEqual(t, one.TaskID, two.TaskID)
}

func TestWaitTellsWhenItIsNotOver(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	p := c.run(t, "submit", "-p", "demo", "--task-id", "long", "--payload", `{"durationMs":60000}`, "--wait", "50ms")
	require.Equal(t, exitNotOver, p.status)
	require.Contains(t, p.out, "running")
	require.Equal(t, exitNotOver, c.run(t, "wait", "demo", "long", "--for", "20ms").status)
	require.Contains(t, c.must(t, "cancel", "demo", "long"), "cancel asked")
	p = c.run(t, "wait", "demo", "long", "--for", "20s")
	require.Equal(t, exitFailed, p.status)
	require.Contains(t, p.err, "cancelled")
}

func TestCancelByLabel(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	for _, id := range []string{"a", "b"} {
		c.must(t, "submit", "-p", "demo", "--task-id", id, "--units", "4", "--label", "run=x", "--payload", `{"durationMs":60000}`)
	}
	require.JSONEq(t, `{"cancelled":2}`, c.must(t, "cancel", "demo", "--label", "run:x", "--json"))
	require.Equal(t, exitUsage, c.run(t, "cancel", "demo").status)
	require.Equal(t, exitUsage, c.run(t, "cancel", "demo", "a", "--label", "run:x").status)
}

func TestRefusalsHaveTheirStatus(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	for _, test := range []struct {
		status int
		says   string
		args   []string
	}{
		{exitNotFound, "task_not_found", []string{"status", "demo", "nobody"}},
		{exitNotFound, "task_not_found", []string{"wait", "demo", "nobody"}},
		{exitNotFound, "pool_not_found", []string{"submit", "-p", "nowhere"}},
		{exitNotFound, "pool_not_found", []string{"pool", "drain", "nowhere"}},
		{exitRefused, "capacity_zero", []string{"submit", "-p", "zero"}},
		{exitRefused, "body.resourceCost.units", []string{"submit", "-p", "demo", "--units", "5"}},
		{exitRefused, "body.taskId", []string{"submit", "-p", "demo", "--units", "5", "--task-id", "a b"}},
		{exitRefused, "query.from", []string{"audit", "--from", "x"}},
		{exitUsage, "--pool is required", []string{"submit"}},
		{exitUsage, "not JSON", []string{"submit", "-p", "demo", "--payload", "hello"}},
		{exitUsage, "no such file", []string{"submit", "-p", "demo", "--payload", "@/does/not/exist"}},
		{exitUsage, "--deadline", []string{"submit", "-p", "demo", "--deadline", "soon"}},
		{exitUsage, "arg", []string{"wait", "demo"}},
		{exitUsage, "unknown flag", []string{"pools", "--colour"}},
		{exitUsage, "invalid argument", []string{"pools", "--timeout", "soon"}},
		{exitUsage, "--max-units", []string{"pool", "set", "demo"}},
		{exitUsage, "%", []string{"mailbox", "acme", "100%"}},
	} {
		p := c.run(t, test.args...)
		require.Equal(t, test.status, p.status, "%v: %s", test.args, p.err)
		require.Contains(t, p.err, test.says, test.args)
	}
	require.Equal(t, exitUnavailable, terminal{server: "http://127.0.0.1:1"}.run(t, "pools").status)
	require.Equal(t, exitUsage, terminal{server: "localhost"}.run(t, "pools").status)
}

func TestAServerThatDoesNotAnswerOrIsNone(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	stuck := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(func() { close(release); stuck.Close() })
	p := terminal{server: stuck.URL}.run(t, "pools", "--timeout", "50ms")
	require.Equal(t, exitUnavailable, p.status)
	require.Contains(t, p.err, "gave no answer within 50ms")

	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/pools") {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = w.Write([]byte("<html>"))
	}))
	t.Cleanup(other.Close)
	p = terminal{server: other.URL}.run(t, "pools")
	require.Equal(t, exitUnavailable, p.status)
	require.Contains(t, p.err, "502")
	require.Equal(t, exitFailed, terminal{server: other.URL}.run(t, "audit").status)
}

func TestPoolsAreShownAndChanged(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	require.Contains(t, c.must(t, "pools"), "demo  active  0/4")
	require.Contains(t, c.must(t, "pool", "drain", "demo", "--actor", "ada"), "draining")
	p := c.run(t, "submit", "-p", "demo")
	require.Equal(t, exitRefused, p.status)
	require.Contains(t, p.err, "pool_draining")
	require.Contains(t, c.must(t, "pool", "disable", "demo"), "disabled")
	require.Contains(t, c.must(t, "pool", "resume", "demo"), "active")
	require.Contains(t, c.must(t, "pool", "set", "demo", "--max-units", "0", "--max-queue-depth", "9"), "0/0")
	var pool client.Pool
	require.NoError(t, json.Unmarshal([]byte(c.must(t, "pool", "show", "demo", "--json")), &pool))
	require.EqualValues(t, 9, pool.MaxQueueDepth)
	require.Contains(t, c.must(t, "audit", "--kind", "pool_change", "--pool", "demo"), "ada")
}

func TestMailboxIsReadAndFollowed(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	submit := func(id, mailbox string) {
		c.must(t, "submit", "-p", "demo", "--task-id", id, "--mailbox", mailbox, "--payload", `{"durationMs":1}`, "--wait", "20s")
	}
	submit("t-1", "acme/ada:s-1")
	submit("t-2", "acme/_")
	require.Contains(t, c.must(t, "mailbox", "acme", "ada"), "t-1")
	require.Contains(t, c.must(t, "mailbox", "acme", "ada:s-1"), "t-1")
	require.NotContains(t, c.must(t, "mailbox", "acme", "ada:s-2"), "t-1")
	all := c.must(t, "mailbox", "acme", "_")
	require.Contains(t, all, "t-1")
	require.Contains(t, all, "t-2")
	require.NotContains(t, c.must(t, "mailbox", "acme", "%5F"), "t-1")
	var page client.MailboxPage
	require.NoError(t, json.Unmarshal([]byte(c.must(t, "mailbox", "acme", "_", "--json", "--limit", "1")), &page))
	require.Len(t, page.Messages, 1)
	require.NotContains(t, c.must(t, "mailbox", "acme", "_", "--since", page.NextCursor), "t-1")

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out buffer
	done := make(chan error, 1)
	go func() { done <- c.start(ctx, &out, "", "mailbox", "acme", "_", "--follow", "--json") }()
	submit("t-3", "acme")
	require.Eventually(t, func() bool { return strings.Count(out.String(), "\n") == 3 }, 20*time.Second, 5*time.Millisecond)
	stop()
	require.NoError(t, <-done, "an interrupted follow is done")
	for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var message client.Message
		require.NoError(t, json.Unmarshal([]byte(line), &message))
		require.Equal(t, []string{"t-1", "t-2", "t-3"}[i], message.TaskID)
	}

	require.Contains(t, c.must(t, "mailbox", "acme", "ada", "--ack"), "t-1")
	require.NotContains(t, c.must(t, "mailbox", "acme", "_"), "t-1", "acknowledged by another key")
	require.Contains(t, c.must(t, "mailbox", "acme", "_", "--ack", "--json"), "t-3")
	require.NotContains(t, c.must(t, "mailbox", "acme", "_"), "t-3")
	submit("t-4", "acme/ada")
	require.Contains(t, c.followed(t, 1, "mailbox", "acme", "ada", "--follow", "--ack", "--json"), "t-4")
	require.NotContains(t, c.must(t, "mailbox", "acme", "ada"), "t-4")
	require.Equal(t, exitUsage, c.run(t, "mailbox", "acme", "_", "--follow", "--limit", "3").status)
}

// followed runs a verb that goes on until so many lines came, and returns them.
func (c terminal) followed(t *testing.T, lines int, args ...string) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out buffer
	done := make(chan error, 1)
	go func() { done <- c.start(ctx, &out, "", args...) }()
	require.Eventually(t, func() bool { return strings.Count(out.String(), "\n") >= lines }, 20*time.Second, 5*time.Millisecond)
	time.Sleep(50 * time.Millisecond) // what is done after the last line
	stop()
	require.NoError(t, <-done, "an interrupted follow is done")
	return out.String()
}

func TestAuditIsFollowed(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	submit := func(id string) {
		c.must(t, "submit", "-p", "demo", "--task-id", id, "--payload", `{"durationMs":1}`, "--wait", "20s")
	}
	submit("t-1")
	table := c.followed(t, 4, "audit", "--follow", "--task", "t-1")
	require.Contains(t, table, "KIND")
	require.Contains(t, table, "complete")
	submit("t-2")
	lines := c.followed(t, 6, "audit", "--follow", "--pool", "demo", "--json")
	require.Contains(t, lines, `"taskId":"t-2"`)
	require.Equal(t, exitUsage, c.run(t, "audit", "--follow", "--all").status)
}

func TestAuditGoesThroughEveryPage(t *testing.T) {
	t.Parallel()
	c := newTerminal(t)
	c.must(t, "submit", "-p", "demo", "--task-id", "t-1", "--payload", `{"durationMs":1}`, "--wait", "20s")
	lines := strings.Split(strings.TrimSpace(c.must(t, "audit", "--task", "t-1", "--limit", "1", "--all", "--json")), "\n")
	var kinds []string
	for _, line := range lines {
		var event client.Event
		require.NoError(t, json.Unmarshal([]byte(line), &event))
		kinds = append(kinds, event.Kind)
	}
	require.Equal(t, []string{"submit", "start", "complete"}, kinds)
	require.Contains(t, c.must(t, "audit", "--limit", "1"), "more: --cursor")
}

func TestOpenAPIIsPrinted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ format, version, has string }{
		{"yaml", "3.1", "openapi: 3.1.0"}, {"yaml", "3.0", "openapi: 3.0.3"},
		{"json", "3.1", `"openapi": "3.1.0"`}, {"json", "3.0", `"openapi":"3.0.3"`},
	} {
		var out buffer
		root := newRoot()
		root.SetArgs([]string{"openapi", "--format", test.format, "--version", test.version})
		root.SetOut(&out)
		require.NoError(t, root.ExecuteContext(t.Context()))
		require.Contains(t, out.String(), test.has)
	}
	root := newRoot()
	root.SetArgs([]string{"openapi", "--format", "xml"})
	require.Equal(t, exitUsage, exitStatus(root.ExecuteContext(t.Context())))
}

func TestOtherPeoplesStringsDoNotReachTheTerminalRaw(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a\uFFFD[31mb\uFFFDc\uFFFD", printable("a\x1b[31mb\tc\u009b"))
}

func TestFlagsComeFromTheEnvironment(t *testing.T) {
	c := newTerminal(t)
	t.Setenv("PARKINGLOT_POOL", "demo")
	t.Setenv("PARKINGLOT_UNITS", "3")
	t.Setenv("PARKINGLOT_SERVER", c.server)
	var out buffer
	root := newRoot()
	root.SetArgs([]string{"submit", "--task-id", "env", "--payload", `{"durationMs":1}`, "--wait", "20s"})
	root.SetOut(&out)
	require.NoError(t, root.ExecuteContext(t.Context()))
	require.Contains(t, out.String(), "units     3")
}
