package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// run runs a verb to its end and returns what it printed and its status.
func run(t *testing.T, dir string, env []string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.CommandContext(soon(t), program(t), args...)
	cmd.Dir, cmd.Env = dir, append([]string{"HOME=" + dir}, env...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the status says it
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestFiveFaults: a configuration with five faults reports five, and nothing starts.
func TestFiveFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, dir, "scheduler-config.json", `{
		"limits": {"grace_secs": -1},
		"pools": [
			{"pool_id": "a", "max_units": -5},
			{"pool_id": "a", "max_units": 1, "colour": "red"},
			{"pool_id": "w", "max_units": 1, "runtime_adapter": "worker"}
		]}`)
	want := []string{
		"limits.grace_secs: must be at least 0, not -1",
		"pools[0].max_units: must be at least 0, not -5",
		`pools[1].pool_id: "a" is already the id of pools[0]`,
		"pools[1].colour: unknown field",
		"pools[2].runtime_adapter: worker needs queue_backend postgres, not file",
	}
	for _, args := range [][]string{{"config", "check", path}, {"serve", "--config", path}, {"work", "--config", path}} {
		_, stderr, status := run(t, dir, nil, args...)
		require.Equal(t, 1, status, "%v", args)
		require.Contains(t, stderr, "scheduler-config.json has 5 faults")
		for _, line := range want {
			require.Contains(t, stderr, line)
		}
	}
	require.NoDirExists(t, dir+"/data")
}

func TestConfigCheckExplains(t *testing.T) {
	t.Parallel()
	stdout, _, status := run(t, t.TempDir(), nil, "config", "check")
	require.Equal(t, 0, status)
	require.Regexp(t, `llm\s+80\s+gpuVram\s+20000\s+2m0s\s+3\s+fair`, stdout)

	stdout, _, status = run(t, t.TempDir(), []string{"PARKINGLOT_DEFAULTS_PRIORITY_POLICY=fifo"}, "config", "check")
	require.Equal(t, 0, status)
	require.Regexp(t, `llm\s+80\s+gpuVram\s+20000\s+2m0s\s+3\s+fifo`, stdout)
}

func TestConfigSchemaAndDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stdout, _, status := run(t, dir, nil, "config", "schema")
	require.Equal(t, 0, status)
	require.Contains(t, stdout, `"additionalProperties": false`)

	stdout, _, status = run(t, dir, nil, "config", "demo")
	require.Equal(t, 0, status)
	_, stderr, status := run(t, dir, nil, "config", "check", write(t, dir, "demo.yaml", stdout))
	require.Equal(t, 0, status, stderr)
}

func TestWrongUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, test := range map[string]struct {
		args, env []string
		status    int
		says      string
	}{
		"unknown flag":       {[]string{"serve", "--colour"}, nil, 2, "unknown flag"},
		"too many":           {[]string{"serve", "me"}, nil, 2, "unknown command"},
		"variable":           {[]string{"serve"}, []string{"PARKINGLOT_GRACE=x"}, 2, `PARKINGLOT_GRACE="x"`},
		"log level":          {[]string{"serve", "--log-level", "loud"}, nil, 1, "use debug, info, warn or error"},
		"no file":            {[]string{"serve", "--config", "none.json"}, nil, 1, "none.json"},
		"nothing to work":    {[]string{"work"}, nil, 1, "has no worker pool"},
		"native pool":        {[]string{"work", "--pools", "demo,none"}, nil, 1, "only worker pools can be worked on"},
		"nothing to migrate": {[]string{"migrate", "status"}, nil, 1, "no Postgres is configured"},
		"broken DSN":         {[]string{"serve", "--database-url", "postgres://u:secret@h:x/d"}, nil, 1, "database.url: is no Postgres DSN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stderr, status := run(t, dir, test.env, test.args...)
			require.Equal(t, test.status, status, stderr)
			require.Contains(t, stderr, test.says)
			require.NotContains(t, stderr, "secret")
			require.NotContains(t, stderr, "goroutine")
		})
	}
}
