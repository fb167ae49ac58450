package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
)

const inputPools = `
defaults: { queue_backend: memory, mailbox_backend: memory }
pools:
  - { pool_id: p,    max_units: 4, max_queue_depth: 1, executors: { default: { type: sleep } }, tenants: { small: { max_units: 2, max_queue_depth: 1 } } }
  - { pool_id: full, max_units: 1, max_queue_depth: 0, default_timeout_secs: 3600, executors: { default: { type: sleep } } }
  - { pool_id: zero, max_units: 0, executors: { default: { type: sleep } } }
  - { pool_id: off,  max_units: 4, executors: { default: { type: sleep } } }
  - { pool_id: dry,  max_units: 4, executors: { default: { type: sleep } } }
`

func inputServer(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	s := serve(t, dir, "--config", write(t, dir, "c.yaml", inputPools))
	for pool, state := range map[string]client.PoolChangeState{"off": client.PoolChangeStateDisabled, "dry": client.PoolChangeStateDraining} {
		_, err := client.Read[client.Pool](s.api.ChangePool(soon(t), pool, client.PoolChange{State: state}))
		require.NoError(t, err)
	}
	s.submit("full", "holder", 1, time.Hour) // outlasts the wait of parallel tests for their turn
	return s
}

// problem is the part of application/problem+json that the table looks at.
type problem struct {
	Code      string                `json:"code"`
	RequestID string                `json:"requestId"`
	Errors    []client.ProblemFault `json:"errors"`
}

func (s *server) send(ctx context.Context, method, path, contentType, body string) (*http.Response, problem) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	var p problem
	if res.StatusCode >= http.StatusBadRequest {
		require.Equal(s.t, "application/problem+json", res.Header.Get("Content-Type"), "%s", text)
		require.NoError(s.t, json.Unmarshal(text, &p), "%s", text)
		require.NotEmpty(s.t, p.RequestID)
	}
	return res, p
}

// TestBadInput: everything that cannot be taken gets its status, its code and every
// fault; and leaves nothing behind.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := inputServer(t)
	const good = `{"taskId": "x", "resourceCost": {"units": 1}}`
	for name, test := range map[string]struct {
		method, path, contentType, body string
		status                          int
		code                            string
		faults                          []string
	}{
		"too large":            {"POST", "/pools/p/tasks", "application/json", `{"taskId": "x", "resourceCost": {"units": 1}, "payload": "` + strings.Repeat("x", 2<<20) + `"}`, 413, "too_large", nil},
		"content type":         {"POST", "/pools/p/tasks", "text/plain", good, 415, "unsupported_media_type", nil},
		"broken JSON":          {"POST", "/pools/p/tasks", "application/json", `{"taskId": "x",`, 400, "malformed", nil},
		"empty body":           {"POST", "/pools/p/tasks", "application/json", ``, 400, "malformed", nil},
		"three faults":         {"POST", "/pools/p/tasks", "application/json", `{"taskId": "a b", "resourceCost": {"units": 0}, "colour": 1}`, 422, "invalid", []string{"body.taskId", "body.resourceCost.units", "body.colour"}},
		"nothing":              {"POST", "/pools/p/tasks", "application/json", `{}`, 422, "invalid", []string{"body.taskId", "body.resourceCost"}},
		"more than the pool":   {"POST", "/pools/p/tasks", "application/json", `{"taskId": "x", "resourceCost": {"units": 5}}`, 422, "invalid", []string{"body.resourceCost.units"}},
		"more than the tenant": {"POST", "/pools/p/tasks", "application/json", `{"taskId": "x", "tenant": "small", "resourceCost": {"units": 3}}`, 422, "invalid", []string{"body.resourceCost.units"}},
		"unknown executor":     {"POST", "/pools/p/tasks", "application/json", `{"taskId": "x", "resourceCost": {"units": 1}, "executor": "other"}`, 422, "invalid", []string{"body.executor"}},
		"deadline in the past": {"POST", "/pools/p/tasks", "application/json", `{"taskId": "x", "resourceCost": {"units": 1}, "deadline": "2020-01-01T00:00:00Z"}`, 422, "invalid", []string{"body.deadline"}},
		"NUL":                  {"POST", "/pools/p/tasks", "application/json", `{"taskId": "x", "resourceCost": {"units": 1}, "payload": "\u0000"}`, 422, "invalid", []string{"body.payload"}},
		"unknown pool":         {"POST", "/pools/none/tasks", "application/json", good, 404, "pool_not_found", nil},
		"capacity zero":        {"POST", "/pools/zero/tasks", "application/json", good, 409, "capacity_zero", nil},
		"draining":             {"POST", "/pools/dry/tasks", "application/json", good, 409, "pool_draining", nil},
		"disabled":             {"POST", "/pools/off/tasks", "application/json", good, 409, "pool_disabled", nil},
		"queue full":           {"POST", "/pools/full/tasks", "application/json", good, 409, "queue_full", nil},
		"unknown task":         {"GET", "/pools/p/tasks/none", "", "", 404, "task_not_found", nil},
		"unknown pool's task":  {"GET", "/pools/none/tasks/none", "", "", 404, "pool_not_found", nil},
		"unknown pool's tasks": {"GET", "/pools/none/tasks", "", "", 404, "pool_not_found", nil},
		"cancel nothing":       {"DELETE", "/pools/p/tasks/none", "", "", 404, "task_not_found", nil},
		"settle nothing":       {"POST", "/pools/p/tasks/none/settle", "application/json", `{"status": "failed"}`, 404, "task_not_found", nil},
		"state":                {"PATCH", "/pools/p", "application/json", `{"state": "asleep"}`, 422, "invalid", []string{"body.state"}},
		"query":                {"GET", "/pools/p/tasks?colour=red", "", "", 422, "invalid", []string{"query.colour"}},
		"wait":                 {"GET", "/pools/p/tasks/none?wait=long", "", "", 422, "invalid", []string{"query.wait"}},
		"cursor":               {"GET", "/mailbox/acme/ada?since=yesterday", "", "", 422, "invalid", []string{"query.since"}},
		"path":                 {"GET", "/nothing/here", "", "", 404, "route_not_found", nil},
		"method":               {"PUT", "/pools", "application/json", `{}`, 405, "method_not_allowed", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, p := s.send(soon(t), test.method, test.path, test.contentType, test.body)
			require.Equal(t, test.status, res.StatusCode, "%+v", p)
			require.Equal(t, test.code, p.Code)
			locations := []string{}
			for _, fault := range p.Errors {
				require.NotEmpty(t, fault.Message)
				locations = append(locations, fault.Location)
			}
			require.ElementsMatch(t, append([]string{}, test.faults...), locations)
			if test.code == "queue_full" {
				require.NotEmpty(t, res.Header.Get("Retry-After"))
			}
		})
	}
	t.Cleanup(func() { // after the parallel subtests
		tasks, err := client.Read[client.TaskPage](s.api.ListTasks(context.Background(), "p", &client.ListTasksParams{}))
		require.NoError(t, err)
		require.Empty(t, tasks.Tasks, "nothing of it was written")
	})
}

// TestSameTaskAgain: the same body gets the same answer, another one is refused, and
// a rejected id may try again.
func TestSameTaskAgain(t *testing.T) {
	t.Parallel()
	s := inputServer(t)
	body := func(units string) string { return `{"taskId": "x", "resourceCost": {"units": ` + units + `}}` }
	res, _ := s.send(soon(t), "POST", "/pools/p/tasks", "application/json", body("1"))
	require.Equal(t, 202, res.StatusCode)
	res, _ = s.send(soon(t), "POST", "/pools/p/tasks", "application/json", body(" 1 "))
	require.Equal(t, 202, res.StatusCode, "white space is no other body")
	require.Equal(t, 1, s.events("p", "submit"))
	res, p := s.send(soon(t), "POST", "/pools/p/tasks", "application/json", body("2"))
	require.Equal(t, 409, res.StatusCode)
	require.Equal(t, "task_exists", p.Code)

	_, p = s.send(soon(t), "POST", "/pools/dry/tasks", "application/json", body("1"))
	require.Equal(t, "pool_draining", p.Code)
	active := client.PoolChangeStateActive
	_, err := client.Read[client.Pool](s.api.ChangePool(soon(t), "dry", client.PoolChange{State: active}))
	require.NoError(t, err)
	res, _ = s.send(soon(t), "POST", "/pools/dry/tasks", "application/json", body("1"))
	require.Equal(t, 202, res.StatusCode)
	require.EqualValues(t, 2, s.task("dry", "x").Submission)
}

// TestTenantQueueFull, and that Retry-After comes with it.
func TestTenantQueueFull(t *testing.T) {
	t.Parallel()
	s := inputServer(t)
	submit := func(id string) (*http.Response, problem) {
		return s.send(soon(t), "POST", "/pools/p/tasks", "application/json",
			`{"taskId": "`+id+`", "tenant": "small", "resourceCost": {"units": 2}, "payload": {"durationMs": 60000}}`)
	}
	for _, id := range []string{"runs", "waits"} {
		res, p := submit(id)
		require.Equal(t, 202, res.StatusCode, "%+v", p)
	}
	res, p := submit("refused")
	require.Equal(t, 409, res.StatusCode)
	require.Contains(t, []string{"tenant_queue_full", "queue_full"}, p.Code)
	require.NotEmpty(t, res.Header.Get("Retry-After"))
}
