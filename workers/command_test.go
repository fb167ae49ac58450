package workers_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/workers"
)

func sh(script string) workers.CommandConfig {
	return workers.CommandConfig{Argv: []string{"/bin/sh", "-c", script}}
}

func TestCommandEnds(t *testing.T) {
	t.Parallel()

	permanent := workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed}
	retryable := workers.Outcome{Verdict: workers.Failed, Code: workers.CodeFailed, Retryable: true}
	cases := map[string]struct {
		config  workers.CommandConfig
		payload string
		want    workers.Outcome
		message string
	}{
		"payload to result": {
			config: workers.CommandConfig{Argv: []string{"/bin/cat"}}, payload: `{"a": [1, 2]}`,
			want: workers.Outcome{Verdict: workers.Completed, Result: json.RawMessage(`{"a": [1, 2]}`)},
		},
		"no output":                {config: sh("exit 0"), payload: `1`, want: workers.Outcome{Verdict: workers.Completed}},
		"stderr is not the result": {config: sh("echo noise >&2; echo 7"), want: workers.Outcome{Verdict: workers.Completed, Result: json.RawMessage(`7`)}},
		"no shell": {
			config: workers.CommandConfig{Argv: []string{"/bin/echo", `"$(id) ; *"`}},
			want:   workers.Outcome{Verdict: workers.Completed, Result: json.RawMessage(`"$(id) ; *"`)},
		},
		"output that is not JSON": {
			config: sh("echo hello"), want: workers.Outcome{Verdict: workers.Failed, Code: workers.CodeResultInvalid}, message: `not JSON on standard output: "hello"`,
		},
		"exit status":     {config: sh("echo no such file >&2; exit 3"), want: retryable, message: "exit status 3: no such file"},
		"killed":          {config: sh("kill -9 $$"), want: retryable, message: "signal: killed"},
		"unread payload":  {config: sh("exit 0"), payload: `"` + strings.Repeat("x", 1<<18) + `"`, want: workers.Outcome{Verdict: workers.Completed}},
		"tail of stderr":  {config: sh("i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1"), want: retryable, message: "line 1999"},
		"no such program": {config: workers.CommandConfig{Argv: []string{"/no/such/program"}}, want: permanent, message: "cannot be started"},
		"not executable":  {config: workers.CommandConfig{Argv: []string{"/etc/passwd"}}, want: permanent, message: "permission denied"},
		"no such folder":  {config: workers.CommandConfig{Argv: []string{"/bin/true"}, Dir: "/no/such/folder"}, want: permanent, message: "cannot be started"},
		"too much output": {
			config: workers.CommandConfig{Argv: []string{"/bin/sh", "-c", "while :; do echo xxxxxxxxxxxxxxxx; done"}, MaxOutput: 4096},
			want:   workers.Outcome{Verdict: workers.Failed, Code: workers.CodeResultTooLarge}, message: "4096",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			out := run(t, workers.Command(c.config), workers.Task{Payload: json.RawMessage(c.payload), Timeout: time.Minute})
			require.Contains(t, out.Message, c.message)
			out.Message = ""
			require.Equal(t, c.want, out)
		})
	}
}

func TestCommandEnvironment(t *testing.T) {
	t.Setenv("PARKINGLOT_DATABASE_URL", "postgres://user:secret@db/parking")

	dir := t.TempDir()
	config := sh(`printf '"%s|%s|%s|%s|%s"' "$MODEL" "$PARKINGLOT_TASK" "$PARKINGLOT_IDEMPOTENCY_KEY" "$PARKINGLOT_DATABASE_URL" "$(pwd)"`)
	config.Env, config.Dir = map[string]string{"MODEL": "m1"}, dir
	out := run(t, workers.Command(config), workers.Task{PoolID: "llm", TaskID: "t-1", JobID: 5, Attempt: 1})
	require.Equal(t, `"m1|t-1|llm/5/1||`+dir+`"`, string(out.Result), "the process's secrets stay with the process")
}

// pidFrom waits for a file with a process id in it.
func pidFrom(t *testing.T, path string) int {
	t.Helper()
	var pid int
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(path)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	}, 10*time.Second, time.Millisecond)
	return pid
}

// gone waits until a process is no more, or only waits to be reaped.
func gone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		if syscall.Kill(pid, 0) != nil {
			return true
		}
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err == nil && strings.Contains(string(stat), ") Z ")
	}, 10*time.Second, 5*time.Millisecond, "process %d still runs", pid)
}

func TestCommandTakesItsOffspringAlong(t *testing.T) {
	t.Parallel()

	cases := map[string]struct {
		script  string
		timeout time.Duration
		want    workers.Verdict
	}{
		"at its timeout": {`sleep 600 & echo $! >"$PIDFILE"; wait`, 300 * time.Millisecond, workers.TimedOut},
		"at its timeout, ignoring SIGTERM": {
			`trap '' TERM; sleep 600 & echo $! >"$PIDFILE"; while :; do wait; done`, 300 * time.Millisecond, workers.TimedOut,
		},
		"at its own end": {`sleep 600 >/dev/null 2>&1 & echo $! >"$PIDFILE"; exit 0`, time.Minute, workers.Completed},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			pidFile := filepath.Join(t.TempDir(), "pid")
			config := sh(c.script)
			config.Env = map[string]string{"PIDFILE": pidFile}
			out := run(t, workers.Command(config), workers.Task{Timeout: c.timeout})
			require.Equal(t, c.want, out.Verdict)
			require.False(t, out.Leaked)
			gone(t, pidFrom(t, pidFile))
		})
	}
}

func TestCommandIsToldBeforeItIsKilled(t *testing.T) {
	t.Parallel()

	note := filepath.Join(t.TempDir(), "note")
	ready := filepath.Join(t.TempDir(), "ready")
	config := sh(`trap 'echo 1 >"$NOTE"; exit 0' TERM; echo 1 >"$READY"; while :; do sleep 0.01; done`)
	config.Env = map[string]string{"NOTE": note, "READY": ready}
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for {
			if _, err := os.Stat(ready); err == nil {
				cancel(workers.ErrCancelled)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	out := workers.Run(ctx, workers.Command(config), workers.Task{Timeout: time.Minute}, workers.Limits{Log: quiet()})
	require.Equal(t, workers.Cancelled, out.Verdict)
	require.FileExists(t, note)
}

func TestCommandConfigValidate(t *testing.T) {
	t.Parallel()

	require.NoError(t, sh("true").Validate())
	require.ErrorContains(t, workers.CommandConfig{}.Validate(), "argv is empty")
	err := workers.CommandConfig{Argv: []string{"a", "b\x00"}, Env: map[string]string{"A=B": "c"}}.Validate()
	require.ErrorContains(t, err, "argv[1]")
	require.ErrorContains(t, err, `"A=B"`)
	out := run(t, workers.Command(workers.CommandConfig{}), workers.Task{})
	require.Equal(t, workers.Failed, out.Verdict)
	require.False(t, out.Retryable)
}
