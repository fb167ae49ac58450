package workers_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/workers"
)

func serve(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server.URL
}

func run(t *testing.T, e workers.Executor, task workers.Task) workers.Outcome {
	t.Helper()
	return workers.Run(t.Context(), e, task, workers.Limits{Log: quiet()})
}

func TestHTTPSendsTheTask(t *testing.T) {
	t.Parallel()

	var got *http.Request
	var body []byte
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.WithoutCancel(r.Context()))
		body, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, ` {"text": "hi"} `)
	})
	out := run(t, workers.HTTP(workers.HTTPConfig{URL: url + "/v1?x=1", Headers: map[string]string{"Authorization": "Bearer s"}}), workers.Task{
		PoolID: "llm", TaskID: "t-1", JobID: 17, Attempt: 2, Tenant: "acme\nInc", Payload: json.RawMessage(`{"prompt":"hello"}`),
	})
	require.Equal(t, workers.Outcome{Verdict: workers.Completed, Result: json.RawMessage(`{"text": "hi"}`)}, out)
	require.Equal(t, http.MethodPost, got.Method)
	require.Equal(t, "/v1?x=1", got.URL.String())
	require.JSONEq(t, `{"prompt":"hello"}`, string(body))
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	require.Equal(t, "Bearer s", got.Header.Get("Authorization"))
	require.Equal(t, "llm/17/2", got.Header.Get("Idempotency-Key"))
	require.Equal(t, "llm", got.Header.Get(workers.HeaderPool))
	require.Equal(t, "t-1", got.Header.Get(workers.HeaderTask))
	require.Equal(t, "2", got.Header.Get(workers.HeaderAttempt))
	require.Equal(t, "acme%0AInc", got.Header.Get(workers.HeaderTenant))
}

func TestHTTPAnswers(t *testing.T) {
	t.Parallel()

	cases := map[string]struct {
		handle  http.HandlerFunc
		want    workers.Outcome
		message string
	}{
		"text":            {answer(200, "hello"), workers.Outcome{Verdict: workers.Completed, Result: json.RawMessage(`"hello"`)}, ""},
		"nothing":         {answer(204, ""), workers.Outcome{Verdict: workers.Completed}, ""},
		"created":         {answer(201, "[1]"), workers.Outcome{Verdict: workers.Completed, Result: json.RawMessage(`[1]`)}, ""},
		"binary":          {answer(200, "\xff\x00"), workers.Outcome{Verdict: workers.Failed, Code: workers.CodeResultInvalid}, "NUL"},
		"server error":    {answer(500, "out of memory"), workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed, Retryable: true}, "500 Internal Server Error: out of memory"},
		"unavailable":     {answer(503, ""), workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed, Retryable: true}, "503 Service Unavailable"},
		"busy":            {answer(429, ""), workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed, Retryable: true}, "429"},
		"request timeout": {answer(408, ""), workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed, Retryable: true}, "408"},
		"bad request":     {answer(400, `{"detail":"no model"}`), workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed}, "no model"},
		"not found":       {answer(404, ""), workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed}, "404"},
		"redirect": {
			func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://elsewhere.example/", http.StatusTemporaryRedirect)
			},
			workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed}, "redirects are not followed",
		},
		"too large": {
			answer(200, `"`+strings.Repeat("x", 100)+`"`),
			workers.Outcome{Verdict: workers.Failed, Code: workers.CodeResultTooLarge}, "larger than 64 bytes",
		},
		"broken off": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "50")
				_, _ = io.WriteString(w, "half")
			},
			workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed, Retryable: true}, "broke off",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			out := run(t, workers.HTTP(workers.HTTPConfig{URL: serve(t, c.handle), MaxBody: 64}), workers.Task{Payload: json.RawMessage(`{}`)})
			require.Contains(t, out.Message, c.message)
			out.Message = ""
			require.Equal(t, c.want, out)
		})
	}
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestHTTPNobodyAnswers(t *testing.T) {
	t.Parallel()

	server := httptest.NewServer(nil)
	url := server.URL + "/secret-path"
	server.Close()
	out := run(t, workers.HTTP(workers.HTTPConfig{URL: url}), workers.Task{})
	require.Equal(t, workers.Failed, out.Verdict)
	require.True(t, out.Retryable)
	require.NotContains(t, out.Message, "secret-path", "the URL is not the tenant's business")
}

func TestHTTPEndsWithTheAttempt(t *testing.T) {
	t.Parallel()

	gone := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // the server only looks for the end of the connection then
		<-r.Context().Done()
		close(gone)
	})
	out := run(t, workers.HTTP(workers.HTTPConfig{URL: url}), workers.Task{Timeout: 50 * time.Millisecond})
	require.Equal(t, workers.TimedOut, out.Verdict)
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		require.Fail(t, "the server was not told")
	}
}

func TestHTTPConfigValidate(t *testing.T) {
	t.Parallel()

	require.NoError(t, workers.HTTPConfig{URL: "https://example.org/x"}.Validate())
	err := workers.HTTPConfig{URL: "ftp://x", Method: "B AD", Headers: map[string]string{"a b": "c", "d": "e\r\nf: g"}}.Validate()
	require.ErrorContains(t, err, "http://")
	require.ErrorContains(t, err, "method")
	require.ErrorContains(t, err, `"a b"`)
	require.ErrorContains(t, err, `"d"`)
	require.ErrorContains(t, workers.HTTPConfig{}.Validate(), "url is missing")
}
