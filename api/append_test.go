package api

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is appended is what encoding the same value writes.
func TestAppendedIsWhatIsEncoded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		admission := func() *Admission {
			a := &Admission{
				TaskID: rapid.String().Draw(t, "task"), PoolID: rapid.StringMatching(`[a-z"\\<>&]{0,5}`).Draw(t, "pool"),
				Status: rapid.SampledFrom([]string{"running", "queued"}).Draw(t, "status"), Position: rapid.Int64().Draw(t, "position"),
				JobID: rapid.Int64().Draw(t, "job"), Submission: rapid.Int().Draw(t, "submission"), Known: rapid.Bool().Draw(t, "known"),
			}
			if rapid.Bool().Draw(t, "estimated") {
				at := time.Unix(rapid.Int64Range(0, 1<<34).Draw(t, "secs"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC()
				a.EstimatedStart = &at
			}
			return a
		}
		var results BatchResults
		results.Results = make([]BatchResult, rapid.IntRange(0, 3).Draw(t, "results"))
		for i := range results.Results {
			r := &results.Results[i]
			if r.Status = rapid.Int().Draw(t, "code"); rapid.Bool().Draw(t, "accepted") {
				r.Task = admission()
				continue
			}
			r.Problem = &ProblemDetails{Detail: rapid.String().Draw(t, "detail"), Errors: []ProblemFault{{Location: "body", Value: 1.5}}}
		}
		one := admission()
		require.Equal(t, encoded(t, one), string(one.append(nil)))
		require.Equal(t, encoded(t, results), string(results.append(nil)))
	})
}

func encoded(t *rapid.T, value any) string {
	var text bytes.Buffer
	require.NoError(t, encode(&text, value))
	return strings.TrimSuffix(text.String(), "\n")
}

// A walker that was used before leaves nothing behind.
func TestDigestIsThatOfTheCanonicalForm(t *testing.T) {
	t.Parallel()
	first, faults := digest([]byte(`{"b":[1,{"z":"\u0000","y":2}],"a":"x"}`), "body")
	require.Len(t, faults, 1)
	require.Equal(t, "body.b[1].z", faults[0].Location)
	for range 3 {
		one, faults := digest([]byte(`{"b":1,"a":2}`), "body")
		require.Empty(t, faults)
		other, _ := digest([]byte(` { "a" : 2, "\u0062" : 1 } `), "elsewhere")
		require.Equal(t, one, other)
		require.NotEqual(t, first, one)
	}
}

func TestWhatTakesTheExpressWay(t *testing.T) {
	t.Parallel()
	s := assemble(nil, Options{})
	for target, want := range map[string]string{
		"/pools/llm/tasks": tasksPath, "/pools/llm/tasks:batch": batchPath, "/pools/a%20b/tasks": tasksPath,
		"/pools/llm/tasks?": "", "/pools/llm/tasks?x=1": "", "/pools/a%2Fb/tasks": "", "/pools/../tasks": "", "/pools//tasks": "",
		"/pools/llm/tasks/": "", "/pools/llm/tasks/t": "", "/pools/llm": "", "/": "", "/pools/llm/leases": "",
	} {
		for accept, taken := range map[string]bool{"": true, "*/*": true, mediaJSON: true, "text/html": false, mediaJSON + ";q=1": false} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, http.NoBody)
			if accept != "" {
				r.Header.Set("Accept", accept)
			}
			operation, _ := s.expressOf(r)
			require.Equal(t, taken && want != "", operation != nil, "%s %s", target, accept)
			if operation != nil {
				require.Equal(t, want, operation.route)
			}
			r.Method = http.MethodGet
			operation, _ = s.expressOf(r)
			require.Nil(t, operation)
		}
	}
}
