package api_test

import (
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// sink takes an answer and forgets it.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header            { return s.header }
func (s *sink) Write(data []byte) (int, error) { return len(data), nil }
func (s *sink) WriteHeader(status int)         { s.status = status }

// BenchmarkSubmit measures what the edge adds to a submission: everything from the parsed
// head of the request to the bytes of the answer, logged as by serve, with nobody behind it.
func BenchmarkSubmit(b *testing.B) {
	task := func(n int) string {
		return `{"taskId":"task-0001-` + strconv.Itoa(10_000_000+n) + `","tenant":"tenant-1","resourceCost":{"kind":"cpu","units":1},` +
			`"mailboxKey":{"tenant":"tenant-1","userId":"bench"},"payload":{"durationMs":0}}`
	}
	tasks := make([]string, 100)
	for i := range tasks {
		tasks[i] = task(i)
	}
	for name, c := range map[string]struct {
		path, body string
		status     int
	}{
		"one":   {tasksPath, task(0), http.StatusAccepted},
		"batch": {batchPath, `{"tasks":[` + strings.Join(tasks, ",") + `]}`, http.StatusOK},
	} {
		b.Run(name, func(b *testing.B) {
			service := &fake{answer: func(s plan.Submit) plan.Answer {
				return plan.Answer{Task: &domain.Task{PoolID: "llm", TaskID: s.TaskID, JobID: 7, Submission: 1, Status: domain.StatusRunning}}
			}}
			edge := api.New(service, api.Options{Log: slog.New(slog.NewJSONHandler(io.Discard, nil))}) //nolint:sloglint // records are to be written
			b.ReportAllocs()
			for b.Loop() {
				service.submitted = service.submitted[:0]
				request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://127.0.0.1:8080"+c.path, strings.NewReader(c.body))
				if err != nil {
					b.Fatal(err)
				}
				request.Header.Set("Content-Type", "application/json")
				request.RemoteAddr = "127.0.0.1:54321"
				answer := &sink{header: http.Header{}}
				edge.ServeHTTP(answer, request)
				if answer.status != c.status {
					b.Fatal(answer.status)
				}
			}
		})
	}
}
