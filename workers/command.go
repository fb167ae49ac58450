package workers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// CommandConfig configures Command.
type CommandConfig struct {
	Argv      []string          // program and arguments, as they are: no shell sees them
	Env       map[string]string // added to the environment of the command
	Dir       string            // working directory; empty: the process's own
	MaxOutput int               // bytes of standard output; 0: DefaultMaxResult
}

const (
	// killAfter is how long a command has between SIGTERM and SIGKILL.
	killAfter = 2 * time.Second
	// pipesAfter is when output is given up that something of the command's offspring
	// still holds open. Both stay below DefaultStopGrace.
	pipesAfter = 3 * time.Second
	stderrTail = 1000
)

// inherited are the variables a command gets from the process. No others, because
// the process has secrets in its environment that are not the command's business.
var inherited = []string{"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"}

// Command returns an executor that runs a configured program: the task's payload
// on its standard input, JSON on its standard output as the result (nothing: no
// result). Exit status 0 completes; any other, or death by a signal, fails
// retryably with the tail of standard error. Output that is not JSON or is over
// MaxOutput, and a program that cannot be found or executed, fail permanently.
//
// The environment is PATH, HOME, USER, LANG, LC_ALL, TZ and TMPDIR of the process,
// Env, and PARKINGLOT_POOL, _TASK, _TENANT, _ATTEMPT, _UNITS and _IDEMPOTENCY_KEY.
//
// The program runs in a process group of its own, which gets SIGTERM when the
// attempt ends early, SIGKILL two seconds later, and SIGKILL when the program has
// exited, so that nothing it left behind works on without units. On Linux it also
// dies with this process; its offspring does not. Each running command keeps one
// thread of this process.
func Command(config CommandConfig) Executor {
	config.Argv = slices.Clone(config.Argv)
	config.Env = maps.Clone(config.Env)
	if config.MaxOutput <= 0 {
		config.MaxOutput = DefaultMaxResult
	}
	return &commandExecutor{config: config}
}

// Validate returns what is wrong with the configuration; nil: nothing. Whether the
// program is there is only known where it runs.
func (c CommandConfig) Validate() error {
	var faults []error
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		faults = append(faults, errors.New("argv is empty: name the program, then its arguments"))
	}
	for i, arg := range c.Argv {
		if strings.ContainsRune(arg, 0) {
			faults = append(faults, fmt.Errorf("argv[%d] has a NUL character", i))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(c.Env[name], 0) {
			faults = append(faults, fmt.Errorf("env %q: a name is not empty and has no =, and nothing has a NUL character", name))
		}
	}
	return errors.Join(faults...)
}

type commandExecutor struct{ config CommandConfig }

// Execute implements Executor.
func (e *commandExecutor) Execute(ctx context.Context, task Task) (json.RawMessage, error) {
	if err := e.config.Validate(); err != nil {
		return nil, Permanent(err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stdout := &limited{limit: e.config.MaxOutput, over: func() { cancel(errOutput) }}
	stderr := &tail{limit: stderrTail}
	command := exec.CommandContext(ctx, e.config.Argv[0], e.config.Argv[1:]...)
	command.Dir = e.config.Dir
	command.Env = e.environment(task)
	command.Stdin = bytes.NewReader(task.Payload)
	command.Stdout, command.Stderr = stdout, stderr
	command.SysProcAttr = attributes()
	command.WaitDelay = pipesAfter

	// The kernel sends the signal of the parent's death when the thread that started
	// the child ends, so that thread stays with us.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	group := func(signal syscall.Signal) error { return syscall.Kill(-command.Process.Pid, signal) }
	var kill *time.Timer
	command.Cancel = func() error {
		kill = time.AfterFunc(killAfter, func() { _ = group(syscall.SIGKILL) })
		err := group(syscall.SIGTERM)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
	if err := command.Start(); err != nil {
		return nil, startFailure(err)
	}
	err := command.Wait() // not before Cancel has returned, if it was called
	if kill != nil {
		kill.Stop()
	}
	_ = group(syscall.SIGKILL) // what it left behind
	if errors.Is(context.Cause(ctx), errOutput) {
		return nil, tooLarge("standard output", e.config.MaxOutput)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return outputOf(err, stdout, stderr)
}

var errOutput = errors.New("too much output")

func startFailure(err error) error {
	err = fmt.Errorf("the command cannot be started: %w", err)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, exec.ErrDot) {
		return Permanent(err)
	}
	return err
}

// outputOf makes the result of a command that ended by itself with err.
func outputOf(err error, stdout *limited, stderr *tail) (json.RawMessage, error) {
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("the command ended with %s", exit.ProcessState)
		}
		if text := stderr.text(); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		return nil, err
	}
	result := bytes.TrimSpace(stdout.kept.Bytes())
	if len(result) == 0 {
		return nil, nil
	}
	if !json.Valid(result) || !utf8.Valid(result) {
		return nil, &failure{code: CodeResultInvalid, err: fmt.Errorf(
			"the command printed something that is not JSON on standard output: %.100q", result[:min(len(result), 100)])}
	}
	return result, nil
}

func (e *commandExecutor) environment(task Task) []string {
	var env []string
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.config.Env)) {
		env = append(env, name+"="+e.config.Env[name])
	}
	job, attempt := strconv.FormatInt(task.JobID, 10), strconv.Itoa(task.Attempt)
	return append(env,
		"PARKINGLOT_POOL="+task.PoolID,
		"PARKINGLOT_TASK="+task.TaskID,
		"PARKINGLOT_TENANT="+task.Tenant,
		"PARKINGLOT_ATTEMPT="+attempt,
		"PARKINGLOT_UNITS="+strconv.FormatInt(task.Units, 10),
		"PARKINGLOT_IDEMPOTENCY_KEY="+task.PoolID+"/"+job+"/"+attempt,
	)
}

// limited keeps what is written to it up to a limit and calls over once beyond.
type limited struct {
	limit int
	over  func()
	kept  bytes.Buffer // not embedded: its ReadFrom would pass the limit by
}

// Write implements io.Writer.
func (w *limited) Write(p []byte) (int, error) {
	if w.kept.Len()+len(p) > w.limit {
		w.over()
		return len(p), nil
	}
	return w.kept.Write(p)
}

// tail keeps the last bytes written to it.
type tail struct {
	limit int
	kept  []byte
	cut   bool
}

// Write implements io.Writer.
func (w *tail) Write(p []byte) (int, error) {
	w.kept = append(w.kept, p...)
	if extra := len(w.kept) - w.limit; extra > 0 {
		w.kept = append(w.kept[:0], w.kept[extra:]...)
		w.cut = true
	}
	return len(p), nil
}

func (w *tail) text() string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(w.kept), "\uFFFD"))
	if w.cut {
		text = "…" + text
	}
	return text
}
