package workers_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/workers"
)

func TestSleep(t *testing.T) {
	t.Parallel()

	invalid := workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed}
	cases := map[string]struct {
		payload string
		timeout time.Duration
		want    workers.Outcome
		message string
	}{
		"sleeps":           {`{"durationMs": 20}`, time.Minute, workers.Outcome{Verdict: workers.Completed, Result: json.RawMessage(`{"sleptMs":20}`)}, ""},
		"not at all":       {`{"durationMs": 0}`, time.Minute, workers.Outcome{Verdict: workers.Completed, Result: json.RawMessage(`{"sleptMs":0}`)}, ""},
		"fails":            {`{"durationMs": 1, "fail": "no luck"}`, time.Minute, workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed, Retryable: true}, "no luck"},
		"times out":        {`{"durationMs": 60000}`, time.Millisecond, workers.Outcome{Verdict: workers.TimedOut, Code: workers.CodeTimeout}, "1ms"},
		"no payload":       {``, time.Minute, invalid, "there is none"},
		"no duration":      {`{}`, time.Minute, invalid, "durationMs is missing"},
		"negative":         {`{"durationMs": -1}`, time.Minute, invalid, "durationMs must be from 0"},
		"longer than ever": {`{"durationMs": 9223372036854775807}`, time.Minute, invalid, "durationMs must be from 0"},
		"unknown field":    {`{"durationMs": 1, "faill": "x"}`, time.Minute, invalid, "faill"},
		"not an object":    {`[1]`, time.Minute, invalid, "sleep needs the payload"},
		"a fraction":       {`{"durationMs": 1.5}`, time.Minute, invalid, "sleep needs the payload"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			began := time.Now()
			out := run(t, workers.Sleep(), workers.Task{Payload: json.RawMessage(c.payload), Timeout: c.timeout})
			require.Contains(t, out.Message, c.message)
			out.Message = ""
			require.Equal(t, c.want, out)
			if name == "sleeps" {
				require.GreaterOrEqual(t, time.Since(began), 20*time.Millisecond)
			}
		})
	}
}
