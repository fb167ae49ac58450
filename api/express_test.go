package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// Submissions have two ways to the same answer. What is asked for with an Accept header
// that needs negotiation takes the ordinary one, through the mux and Huma.
func TestBothWaysToSubmitAnswerTheSame(t *testing.T) {
	t.Parallel()
	estimate := time.Date(2026, 3, 1, 14, 0, 0, 120_000_000, time.FixedZone("", 3600))
	answers := map[string]func(plan.Submit) plan.Answer{
		"accepted": nil,
		"queued": func(s plan.Submit) plan.Answer {
			return plan.Answer{Position: 3, EstimatedStart: &estimate, Known: true, Task: &domain.Task{
				PoolID: "llm <&> \"\u2028", TaskID: s.TaskID, JobID: 1 << 60, Submission: 2, Status: domain.StatusQueued,
			}}
		},
		"refused": func(plan.Submit) plan.Answer {
			return plan.Answer{Err: &domain.Error{Code: domain.CodeQueueFull, Message: "full <of> it", RetryAfter: 90 * time.Second}}
		},
		"invalid": func(plan.Submit) plan.Answer {
			return plan.Answer{Err: &domain.Error{Code: domain.CodeInvalid, Message: "two faults", Faults: []domain.Fault{
				{Location: "body.executor", Message: "is not there", Value: "x"}, {Location: "body.resourceCost.units", Message: "is too much"},
			}}}
		},
	}
	errs := map[string]error{
		"none": nil, "unavailable": domain.Errorf(domain.CodeUnavailable, "away"), "ours": fmt.Errorf("no word of this"),
		"unknown pool": domain.Errorf(domain.CodeUnknownPool, "none such"),
	}
	bodies := map[string]string{
		tasksPath: goodTask, "/pools/a b/tasks": goodTask, "/pools/a%2Fb/tasks": goodTask, "/pools/./tasks": goodTask, "/pools//tasks": goodTask,
		tasksPath + "?": goodTask, tasksPath + "?x=1": goodTask, tasksPath + "/": goodTask,
		batchPath:  `{"tasks":[` + goodTask + `,{"taskId":""},7,` + goodTask + `]}`,
		"/faults":  `{"taskId":"?","taskId":"t","resourceCost":{"units":0,"x":1},"priority":"\u0000","payload":{"a":["\u0000"]},"labels":{"":1}}`,
		"/empty":   ` `,
		"/broken":  `{"taskId":"t",}`,
		"/text":    "{\"taskId\":\"\xff\"}",
		"/array":   `[]`,
		"/nothing": `{"tasks":[]}`,
		"/twice":   `{"tasks":[1],"tasks":[2],"more":1}`,
		"/large":   `{"taskId":"t","resourceCost":{"units":1},"payload":"` + strings.Repeat("x", api.MaxPayloadBytes) + `"}`,
		"/larger":  strings.Repeat(" ", api.MaxPayloadBytes+(64<<10)+1),
	}
	for answered, answer := range answers {
		for failed, err := range errs {
			b := setup(t, &fake{answer: answer, err: err})
			for path, body := range bodies {
				if len(body) > api.MaxPayloadBytes && (err != nil || answer != nil) {
					continue // is refused before
				}
				paths := []string{path}
				if !strings.HasPrefix(path, "/pools/") {
					paths = []string{tasksPath, batchPath}
				}
				for _, path := range paths {
					for _, kind := range []string{"application/json", "application/vnd.x+json; charset=utf-8", "text/plain"} {
						express := b.do(t, post, path, body, "Content-Type", kind, "X-Request-ID", "r-1")
						ordinary := b.do(t, post, path, body, "Content-Type", kind, "X-Request-ID", "r-1", "Accept", "application/json;q=0.9")
						express.header.Del("Date")
						ordinary.header.Del("Date")
						require.Equal(t, ordinary, express, "%s, error: %s, %s %s", answered, failed, path, kind)
					}
				}
			}
		}
	}
}

func TestExpressIsCountedUnderItsRoute(t *testing.T) {
	t.Parallel()
	var routes []string
	edge := api.New(&fake{}, api.Options{Observe: func(method, route string, status int, _ time.Duration) {
		routes = append(routes, fmt.Sprint(method, " ", route, " ", status))
	}})
	for _, accept := range []string{"*/*", "application/json;q=0.9"} {
		for path, body := range map[string]string{tasksPath: goodTask, batchPath: `{"tasks":[` + goodTask + `]}`} {
			r, err := http.NewRequestWithContext(t.Context(), post, "http://localhost"+path, strings.NewReader(body))
			require.NoError(t, err)
			r.Header.Set("Accept", accept)
			edge.ServeHTTP(&sink{header: http.Header{}}, r)
		}
	}
	const one, batch = "POST /pools/{poolId}/tasks 202", "POST /pools/{poolId}/tasks:batch 200"
	require.ElementsMatch(t, []string{one, batch, one, batch}, routes)
}
