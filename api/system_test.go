package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

func TestPoolsShowConfigurationAndState(t *testing.T) {
	t.Parallel()
	oldest := now.Add(-90 * time.Second)
	f := &fake{pools: []store.PoolView{{
		Pool: domain.Pool{
			PoolID: "llm", Name: "LLM", State: domain.PoolActive, MaxUnits: 80, MaxQueueDepth: 100, DefaultTimeout: time.Minute,
			QueueBackend: domain.BackendPostgres, MailboxBackend: domain.BackendFile, Runtime: domain.RuntimeWorker,
			Policy: domain.PolicyFair, ResourceKind: domain.KindGPUVRAM, MaxOvertakes: 16, MaxAttempts: 2, Executors: []string{"default"},
			Tenants: map[domain.Tenant]domain.TenantPolicy{"acme": {Weight: 3, MaxUnits: 60}, "b": {}}, Version: 4,
		},
		Counters: domain.Counters{
			TurnNo: 11, ActiveUnits: 70, Ceiling: 80, Running: 5, Queued: 6, Waiting: 1, EventSeq: 99,
		},
		OldestQueuedAt: &oldest,
	}}}
	b := setup(t, f)
	want := `{"poolId":"llm","name":"LLM","state":"active","maxUnits":80,"activeUnits":70,"ceiling":80,"running":5,"queued":6,
		"waiting":1,"maxQueueDepth":100,"oldestQueuedSecs":90,"defaultTimeoutSecs":60,"queueBackend":"postgres","mailboxBackend":"file",
		"runtimeAdapter":"worker","priorityPolicy":"fair","resourceKind":"gpuVram","maxOvertakes":16,"maxAttempts":2,
		"tenants":{"acme":{"weight":3,"maxUnits":60},"b":{"weight":1}},"executors":["default"],"version":4,"turnNo":11,"eventSeq":99}`
	require.JSONEq(t, want, b.do(t, get, "/pools/llm", "").body)
	require.JSONEq(t, `{"pools":[`+want+`]}`, b.do(t, get, "/pools", "").body)
	b.do(t, get, "/pools/none", "").problem(t, http.StatusNotFound, domain.CodeUnknownPool)

	res := b.do(t, http.MethodPatch, "/pools/llm", `{"state":"draining","maxUnits":0,"maxQueueDepth":7}`, "X-Actor", "ops")
	require.Equal(t, http.StatusOK, res.status, res.body)
	state, units, depth := domain.PoolDraining, domain.Units(0), int64(7)
	require.Equal(t, plan.PoolChange{State: &state, MaxUnits: &units, MaxQueueDepth: &depth, Actor: "ops"}, f.change)
	for _, body := range []string{`{}`, `{"state":"off"}`, `{"maxUnits":-1}`, `{"maxUnits":1000000001}`, `{"maxQueueDepth":-1}`, `{"name":"x"}`, `[]`, `{"state":null}`} {
		b.do(t, http.MethodPatch, "/pools/llm", body).problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	}
}

func TestAuditIsFilteredAndPaged(t *testing.T) {
	t.Parallel()
	f := &fake{events: []domain.Event{
		{
			Source: "llm", Seq: 5, At: now, Kind: domain.EventStart, PoolID: "llm", TaskID: "t-1", JobID: 2, Submission: 1, Tenant: "acme",
			Attempt: 1, Units: 4, Status: domain.StatusRunning, Subjects: []string{"task:t-1", "pool:llm"}, Detail: []byte(`{"a":1}`),
		},
		{Source: "llm", Seq: 6, At: now, Kind: domain.EventPoolChange, PoolID: "llm", Actor: "ops"},
	}}
	b := setup(t, f)
	res := b.do(t, get, "/audit?taskId=t-1&tenant=acme&poolId=llm&kind=start&subject=task:t-1&from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z&limit=7", "")
	require.Equal(t, http.StatusOK, res.status, res.body)
	var page api.AuditPage
	res.into(t, &page)
	require.Equal(t, store.EventFilter{
		TaskID: "t-1", Tenant: "acme", Pool: "llm", Kind: domain.EventStart, Subject: "task:t-1", Limit: 7,
		From: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC),
	}, f.eventsF)
	require.JSONEq(t, `{"events":[
		{"eventId":"0000000000000005.llm","at":"2026-03-01T12:00:00Z","kind":"start","poolId":"llm","taskId":"t-1","submission":1,"jobId":2,
		 "tenant":"acme","attempt":1,"units":4,"status":"running","subjects":["task:t-1","pool:llm"],"detail":{"a":1}},
		{"eventId":"0000000000000006.llm","at":"2026-03-01T12:00:00Z","kind":"pool_change","poolId":"llm","actor":"ops","subjects":[]}],
		"nextCursor":"`+page.NextCursor+`"}`, res.body)

	f.events = nil
	require.JSONEq(t, `{"events":[]}`, b.do(t, get, "/audit?cursor="+page.NextCursor, "").body)
	require.Equal(t, domain.Cursor{"llm": 6}, f.eventsF.Cursor)
	p := b.do(t, get, "/audit?from=x&to=y&limit=0&cursor=z", "").problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	require.Len(t, p.Errors, 4)
	b.do(t, get, "/audit?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "").problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
}

func TestHealthReadinessAndMetrics(t *testing.T) {
	t.Parallel()
	f := &fake{}
	b := setup(t, f)
	require.JSONEq(t, `{"status":"ok"}`, b.do(t, get, "/healthz", "").body)
	require.Equal(t, http.StatusOK, b.do(t, get, "/readyz", "").status)
	require.Equal(t, "up 1\n", b.do(t, get, "/metrics", "").body)
	f.problems = []api.Problem{{Component: "postgres", Message: "connection refused"}, {Component: "pool llm", Message: "no turn for 10 s"}}
	res := b.do(t, get, "/readyz", "")
	p := res.problem(t, http.StatusServiceUnavailable, "not_ready")
	require.Equal(t, "1", res.header.Get("Retry-After"))
	require.Equal(t, []api.ProblemFault{
		{Location: "postgres", Message: "connection refused"}, {Location: "pool llm", Message: "no turn for 10 s"},
	}, p.Errors)
	require.Equal(t, http.StatusOK, b.do(t, get, "/healthz", "").status)

	f.problems = []api.Problem{{Component: "outbox file", Message: "3 outcomes wait", Degraded: true}}
	res = b.do(t, get, "/readyz", "")
	require.Equal(t, http.StatusOK, res.status)
	require.JSONEq(t, `{"status":"degraded","problems":[{"component":"outbox file","message":"3 outcomes wait"}]}`, res.body)
}

func TestHealthAlone(t *testing.T) {
	t.Parallel()
	problems := []api.Problem{}
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) })
	s := httptest.NewServer(api.NewHealth(func(context.Context) []api.Problem { return problems }, metrics))
	defer s.Close()
	ask := func(path string) (int, string) {
		res, err := http.Get(s.URL + path)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(body)
	}
	for path, want := range map[string]string{"/healthz": `{"status":"ok"}` + "\n", "/readyz": `{"status":"ready"}` + "\n", "/metrics": "up 1\n"} {
		status, body := ask(path)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, want, body)
	}
	problems = append(problems, api.Problem{Component: "postgres", Message: "does not answer"})
	status, body := ask("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, `"code":"not_ready"`)
	status, _ = ask("/pools")
	require.Equal(t, http.StatusNotFound, status)
}

func TestDocumentAndDocsAreServedFromHere(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	var document map[string]any
	b.do(t, get, "/openapi.json", "").into(t, &document)
	require.Equal(t, "3.1.0", document["openapi"])
	require.Contains(t, document["paths"], "/pools/{poolId}/tasks:batch")
	require.Contains(t, b.do(t, get, "/openapi.yaml", "").body, "openapi: 3.1.0")
	for _, path := range []string{"/docs", "/docs/"} {
		res := b.do(t, get, path, "")
		require.Equal(t, http.StatusOK, res.status)
		require.Contains(t, res.body, "/openapi.json")
		require.NotRegexp(t, `(src|href)="(https?:)?//`, res.body, "the page has to work without internet")
		for _, asset := range []string{"swagger-ui.css", "swagger-ui-bundle.js"} {
			require.Contains(t, res.body, "/docs/"+asset)
			require.Equal(t, http.StatusOK, b.do(t, get, "/docs/"+asset, "").status, asset)
		}
	}
}

func TestUnknownRoutesAndMethods(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	for _, path := range []string{"/", "/nothing", "/pools/", "/pools/llm/tasks/t/why2", "/mailbox/acme", "/mailbox/acme/a/b/c"} {
		b.do(t, get, path, "").problem(t, http.StatusNotFound, "route_not_found")
	}
	res := b.do(t, http.MethodPut, "/pools/llm", `{}`)
	res.problem(t, http.StatusMethodNotAllowed, "method_not_allowed")
	require.Equal(t, "GET, HEAD, PATCH", res.header.Get("Allow"))
	res = b.do(t, http.MethodHead, "/nothing", "")
	require.Equal(t, http.StatusNotFound, res.status)
	require.Equal(t, "application/problem+json", res.header.Get("Content-Type"))
	require.Equal(t, http.StatusOK, b.do(t, http.MethodHead, "/healthz", "").status)
	require.Equal(t, "/healthz", b.do(t, get, "//healthz", "").header.Get("Location"))
}

func TestAPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{panics: true})
	p := b.do(t, get, "/pools", "", "X-Request-ID", "req-7").problem(t, http.StatusInternalServerError, domain.CodeInternal)
	require.Equal(t, "req-7", p.RequestID)
	require.NotContains(t, p.Detail, "fell over")
}

func TestErrorsOfOursStayHere(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f := &fake{err: errors.New("password=hunter2")}
	handler := api.New(f, api.Options{Log: slog.New(slog.NewJSONHandler(&log, nil))})
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), get, "/pools", nil))
	require.Equal(t, http.StatusInternalServerError, rec.Code)
	require.NotContains(t, rec.Body.String(), "hunter2")
	var p api.ProblemDetails
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &p))
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 2)
	require.Contains(t, lines[0], "hunter2")
	for _, line := range lines {
		require.Contains(t, line, p.RequestID)
	}
	require.Contains(t, lines[1], `"status":500`)
}

func TestRequestIDsThatCouldForgeLogsAreReplaced(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	for _, id := range []string{"a b", strings.Repeat("x", 129), `{"a"}`} {
		got := b.do(t, get, "/healthz", "", "X-Request-ID", id).header.Get("X-Request-ID")
		require.NotEqual(t, id, got)
		require.Len(t, got, 26)
	}
}

// A read deadline left on the connection would end the request's context while the
// service still works on it.
func TestABodyThatStopsIsAnError(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(b.url, "http://"))
	require.NoError(t, err)
	_, err = io.WriteString(conn, "POST /pools/llm/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	raw, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Contains(t, string(raw), "400 Bad Request")
	require.Contains(t, string(raw), `"code":"malformed"`)
	require.Empty(t, b.submitted)
}
