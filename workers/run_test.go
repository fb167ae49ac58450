package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/workers"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func returns(result string, err error) workers.ExecutorFunc {
	return func(context.Context, workers.Task) (json.RawMessage, error) { return json.RawMessage(result), err }
}

// untilEnd waits for the end of its context and returns what it is given.
func untilEnd(result string, err error) workers.ExecutorFunc {
	return func(ctx context.Context, _ workers.Task) (json.RawMessage, error) {
		<-ctx.Done()
		return json.RawMessage(result), err
	}
}

// badError is an error whose own method panics.
type badError struct{}

func (*badError) Error() string { panic("no text") }

func TestRunDecides(t *testing.T) {
	t.Parallel()

	cases := map[string]struct {
		executor workers.ExecutorFunc
		timeout  time.Duration
		cause    error // cancels when the executor has been entered
		want     workers.Outcome
		message  string // part of the message
	}{
		"a result":  {executor: returns(`{"a":1}`, nil), want: workers.Outcome{Verdict: workers.Completed, Result: json.RawMessage(`{"a":1}`)}},
		"no result": {executor: returns("", nil), want: workers.Outcome{Verdict: workers.Completed}},
		"a failure": {executor: returns("", errors.New("disk full")), want: workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed, Retryable: true}, message: "disk full"},
		"a permanent failure": {
			executor: returns("", workers.Permanent(errors.New("no such model"))),
			want:     workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed}, message: "no such model",
		},
		"a timeout inside the executor": {
			executor: returns("", context.DeadlineExceeded),
			want:     workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed, Retryable: true}, message: "deadline exceeded",
		},
		"a message that no backend stores": {
			executor: returns("", errors.New("a\x00b\xff")),
			want:     workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed, Retryable: true}, message: "a\uFFFDb\uFFFD",
		},
		"a panic": {
			executor: func(context.Context, workers.Task) (json.RawMessage, error) { panic("index out of range") },
			want:     workers.Outcome{Verdict: workers.Failed, Code: workers.CodePanicked}, message: "index out of range",
		},
		"an error that panics": {
			executor: func(context.Context, workers.Task) (json.RawMessage, error) { return nil, &badError{} },
			want:     workers.Outcome{Verdict: workers.Failed, Code: workers.CodePanicked}, message: "no text",
		},
		"an ended goroutine": {
			executor: func(context.Context, workers.Task) (json.RawMessage, error) { runtime.Goexit(); return nil, nil },
			want:     workers.Outcome{Verdict: workers.Failed, Code: workers.CodePanicked}, message: "ended its goroutine",
		},
		"a result that is not JSON": {executor: returns(`{"a":`, nil), want: workers.Outcome{Verdict: workers.Failed, Code: workers.CodeResultInvalid}, message: "not valid JSON"},
		"a result that is not UTF-8": {
			executor: returns("\"\xff\"", nil), want: workers.Outcome{Verdict: workers.Failed, Code: workers.CodeResultInvalid}, message: "UTF-8",
		},
		"a result with NUL": {
			executor: returns(`{"a":"x\u0000"}`, nil), want: workers.Outcome{Verdict: workers.Failed, Code: workers.CodeResultInvalid}, message: "NUL",
		},
		"a result that only talks about NUL": {
			executor: returns(`"\\u0000"`, nil), want: workers.Outcome{Verdict: workers.Completed, Result: json.RawMessage(`"\\u0000"`)},
		},
		"a result that is too large": {
			executor: returns(`"`+strings.Repeat("x", 1<<20)+`"`, nil),
			want:     workers.Outcome{Verdict: workers.Failed, Code: workers.CodeResultTooLarge}, message: "larger than 1048576 bytes",
		},
		"the timeout": {
			executor: untilEnd(`1`, nil), timeout: 5 * time.Millisecond,
			want: workers.Outcome{Verdict: workers.TimedOut, Code: workers.CodeTimeout}, message: "5ms",
		},
		"a cancellation": {
			executor: untilEnd("", nil), cause: workers.ErrCancelled,
			want: workers.Outcome{Verdict: workers.Cancelled, Code: workers.CodeCancelled}, message: "cancelled",
		},
		"a panic after a cancellation": {
			executor: func(ctx context.Context, _ workers.Task) (json.RawMessage, error) { <-ctx.Done(); panic("late") },
			cause:    workers.ErrCancelled,
			want:     workers.Outcome{Verdict: workers.Cancelled, Code: workers.CodeCancelled}, message: "cancelled",
		},
		"handed back": {
			executor: untilEnd("", context.Canceled), cause: workers.ErrHandBack,
			want: workers.Outcome{Verdict: workers.HandBack, Code: workers.CodeHandBack}, message: "gives the attempt back",
		},
		"done when handed back": {
			executor: untilEnd(`2`, nil), cause: workers.ErrHandBack,
			want: workers.Outcome{Verdict: workers.Completed, Result: json.RawMessage(`2`)},
		},
		"lost": {
			executor: untilEnd("", context.Canceled), cause: workers.ErrLost,
			want: workers.Outcome{Verdict: workers.Lost, Code: workers.CodeLost}, message: "lost its hold",
		},
		"any other end": {
			executor: untilEnd("", context.Canceled), cause: errors.New("power cut"),
			want: workers.Outcome{Verdict: workers.HandBack, Code: workers.CodeHandBack}, message: "power cut",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			entered := workers.ExecutorFunc(func(ctx context.Context, task workers.Task) (json.RawMessage, error) {
				if c.cause != nil {
					cancel(c.cause)
				}
				return c.executor(ctx, task)
			})
			out := workers.Run(ctx, entered, workers.Task{PoolID: "p", TaskID: "t", Timeout: c.timeout}, workers.Limits{Log: quiet()})
			require.Contains(t, out.Message, c.message)
			out.Message = ""
			require.Equal(t, c.want, out)
		})
	}
}

func TestRunKeepsMessagesShort(t *testing.T) {
	t.Parallel()

	out := workers.Run(t.Context(), returns("", errors.New(strings.Repeat("ü", 5000))), workers.Task{}, workers.Limits{})
	require.LessOrEqual(t, len(out.Message), workers.MaxMessage)
	require.True(t, strings.HasSuffix(out.Message, "ü…"))
}

func TestRunLogsTheStackOfAPanic(t *testing.T) {
	t.Parallel()

	var log strings.Builder
	panics := workers.ExecutorFunc(func(context.Context, workers.Task) (json.RawMessage, error) { panic("boom") })
	workers.Run(t.Context(), panics, workers.Task{TaskID: "t-17"}, workers.Limits{Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.Contains(t, log.String(), "t-17")
	require.Contains(t, log.String(), "run_test.go")
}

func TestRunDoesNotCallTheExecutorOfAnEndedAttempt(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(workers.ErrCancelled)
	called := workers.ExecutorFunc(func(context.Context, workers.Task) (json.RawMessage, error) {
		t.Error("called")
		return nil, nil
	})
	out := workers.Run(ctx, called, workers.Task{}, workers.Limits{})
	require.Equal(t, workers.Cancelled, out.Verdict)
}

func TestRunDoesNotWaitForAnExecutorThatIgnoresItsContext(t *testing.T) {
	t.Parallel()

	release := make(chan struct{})
	stuck := workers.ExecutorFunc(func(context.Context, workers.Task) (json.RawMessage, error) {
		<-release
		return json.RawMessage(`"late"`), nil
	})
	var leaks atomic.Int32
	limits := workers.Limits{StopGrace: 20 * time.Millisecond, Log: quiet(), Leaked: func(workers.Task) func() {
		leaks.Add(1)
		return func() { leaks.Add(-1) }
	}}
	out := workers.Run(t.Context(), stuck, workers.Task{Timeout: 5 * time.Millisecond}, limits)
	require.Equal(t, workers.TimedOut, out.Verdict)
	require.True(t, out.Leaked)
	require.Nil(t, out.Result)
	require.EqualValues(t, 1, leaks.Load())

	close(release)
	require.Eventually(t, func() bool { return leaks.Load() == 0 }, 5*time.Second, time.Millisecond)
}

func TestRunGivesTheExecutorItsGrace(t *testing.T) {
	t.Parallel()

	slow := workers.ExecutorFunc(func(ctx context.Context, _ workers.Task) (json.RawMessage, error) {
		<-ctx.Done()
		time.Sleep(30 * time.Millisecond)
		return nil, ctx.Err()
	})
	began := time.Now()
	out := workers.Run(t.Context(), slow, workers.Task{Timeout: time.Millisecond}, workers.Limits{StopGrace: 10 * time.Second, Log: quiet()})
	require.Equal(t, workers.TimedOut, out.Verdict)
	require.False(t, out.Leaked)
	require.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond, "units stay taken while the executor still works")
}

func FuzzResult(f *testing.F) {
	for _, seed := range []string{`{}`, `"\u0000"`, `"\\u0000"`, `"\\\u0000"`, "\"\x00\"", "", "nul"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, result []byte) {
		out := workers.Run(t.Context(), returns(string(result), nil), workers.Task{}, workers.Limits{Log: quiet()})
		if out.Verdict != workers.Completed {
			require.Equal(t, workers.CodeResultInvalid, out.Code)
			return
		}
		if len(out.Result) == 0 {
			return
		}
		var v any
		require.NoError(t, json.Unmarshal(out.Result, &v))
		require.False(t, holdsNUL(v))
	})
}

// holdsNUL looks through a decoded document, apart from how Run looks for it.
func holdsNUL(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.ContainsRune(v, 0)
	case []any:
		return slices.ContainsFunc(v, holdsNUL)
	case map[string]any:
		for k, e := range v {
			if holdsNUL(k) || holdsNUL(e) {
				return true
			}
		}
	}
	return false
}
