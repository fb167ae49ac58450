package api

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
)

func TestCanonicalForm(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"{ \"b\" : 1 ,\t\"a\" : [ true , null , { } , [ ] ] }": `{"a":[true,null,{},[]],"b":1}`,
		`{"é":1,"e":2,"\u0065":3}`:                             `{"e":2,"e":3,"é":1}`,
		`"\u00e9\/\u001f\"\\\ud83d\ude00"`:                     `"é/\u001f\"\\😀"`,
		`[1.0,1,1e2,-0]`:                                       `[1.0,1,1e2,-0]`,
		`{"a":{"z":1,"b":{"y":2,"x":3}}}`:                      `{"a":{"b":{"x":3,"y":2},"z":1}}`,
		`"` + "\u2028<>&" + `"`:                                `"` + "\u2028<>&" + `"`,
	} {
		got, faults := canonicalise([]byte(raw), "body")
		require.Empty(t, faults)
		require.Equal(t, want, string(got), raw)
	}
}

// The canonical form is valid JSON of the same meaning and its own canonical form;
// decoding anything at all never panics, and what gets through is within the rules.
func FuzzSubmission(f *testing.F) {
	for _, seed := range []string{
		`{"taskId":"t","resourceCost":{"units":1}}`, `{"a":{"b":[1,"\u0000"]}}`, `[`, `{"a":"\ud800"}`, `{"taskId":"t","taskId":1}`,
		`{"labels":{"a":"b"},"mailboxKey":{"tenant":"x"},"payload":[{}],"deadline":"2026-01-01T00:00:00Z"}`, `"\`, `{"a`, `{]`, ` `, `-`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		valid := checkJSON(raw) == nil
		canonical, faults := canonicalise(raw, "body")
		submission, err := decodeSubmission(raw, "body")
		if !valid {
			return // broken JSON never gets this far; it only must not panic
		}
		if len(faults) > 0 {
			require.Error(t, err)
			return
		}
		require.True(t, json.Valid(canonical), "%q", canonical)
		again, _ := canonicalise(canonical, "body")
		require.Equal(t, string(canonical), string(again))
		var before, after any
		require.NoError(t, json.Unmarshal(raw, &before))
		require.NoError(t, json.Unmarshal(canonical, &after))
		require.Equal(t, before, after)
		if err == nil {
			require.NotEmpty(t, submission.TaskID)
			require.Positive(t, submission.Units)
			require.False(t, bytes.Contains(submission.Payload, []byte(`\u0000`)) && !bytes.Contains(submission.Payload, []byte(`\\u0000`)))
			require.False(t, strings.ContainsRune(string(submission.Tenant), 0))
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("e30")
	f.Add((&position{After: domain.Cursor{"llm": 7}}).String())
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := parsePosition(text)
		if !ok {
			return
		}
		again, ok := parsePosition(p.String())
		require.True(t, ok)
		require.Equal(t, p.String(), again.String())
	})
}

func BenchmarkDecodeSubmission(b *testing.B) {
	raw := []byte(`{"taskId":"req-42","priority":"high","resourceCost":{"kind":"gpuVram","units":4},
		"mailboxKey":{"tenant":"acme","userId":"ada"},"payload":{"prompt":"` + strings.Repeat("x", 500) + `"}}`)
	for b.Loop() {
		if _, err := decodeSubmission(raw, "body"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncodeBatch measures the answer to a batch of 100.
func BenchmarkEncodeBatch(b *testing.B) {
	results := BatchResults{Results: make([]BatchResult, 100)}
	for i := range results.Results {
		results.Results[i] = BatchResult{Status: 202, Task: &Admission{TaskID: "req-42", PoolID: "llm", Status: "running", JobID: int64(i), Submission: 1}}
	}
	for b.Loop() {
		if err := encode(io.Discard, &results); err != nil {
			b.Fatal(err)
		}
	}
}
