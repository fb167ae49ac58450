package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// Command is one run of the program.
type Command struct {
	Binary string   // see Build
	Args   []string // the verb and its flags
	Dir    string   // where it runs; also its HOME
	Log    string   // file that its standard error is appended to; not in Dir if nothing may be found there
	// Env is added to an environment that holds PATH, HOME and TMPDIR alone, so that
	// nothing of the caller's reaches the program.
	Env []string
	// Wrap is put before the binary, such as "ip netns exec NAME"; usually empty. It
	// must end in an exec, so that signals reach the program.
	Wrap []string
}

// Process is a running command. Its methods may be called from many goroutines.
type Process struct {
	// Addr is where the API listens, host:port; empty for a worker process. Valid once Ready
	// has returned nil.
	Addr string

	cmd    *exec.Cmd
	log    string
	ready  chan struct{} // closed when the log said "serving" or "working"
	done   chan struct{} // closed when it has ended and all its output is in the log
	status int
}

// Start starts the command. It does not wait until it serves: see Ready.
func Start(c Command) (*Process, error) {
	p := &Process{log: c.Log, ready: make(chan struct{}), done: make(chan struct{})}
	line := slices.Concat(c.Wrap, []string{c.Binary}, c.Args)
	p.cmd = exec.Command(line[0], line[1:]...) //nolint:noctx // ended by Kill, Stop or this program's own end
	p.cmd.Dir = c.Dir
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir, "TMPDIR=" + os.TempDir()}, c.Env...)
	p.cmd.SysProcAttr = dieWithParent()
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Binary, err)
	}
	const mode = 0o644
	log, err := os.OpenFile(c.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", c.Binary, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", c.Binary, err), log.Close())
	}
	go p.follow(stderr, log)
	return p, nil
}

// longestLine bounds a line of the log.
const longestLine = 1 << 20

func (p *Process) follow(stderr io.Reader, log *os.File) {
	defer close(p.done)
	defer log.Close() //nolint:errcheck // a log that cannot be written shows in what is missing
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, longestLine)
	up := false
	for lines.Scan() {
		_, _ = log.Write(append(lines.Bytes(), '\n')) // see above
		var entry struct {
			Msg  string `json:"msg"`
			Addr string `json:"addr"`
		}
		if !up && json.Unmarshal(lines.Bytes(), &entry) == nil && (entry.Msg == "serving" || entry.Msg == "working") {
			up, p.Addr = true, entry.Addr
			close(p.ready)
		}
	}
	_ = p.cmd.Wait() // the status says it
	p.status = p.cmd.ProcessState.ExitCode()
}

// Ready waits until the process serves or works.
func (p *Process) Ready(ctx context.Context) error {
	select {
	case <-p.ready:
		return nil
	case <-p.done:
		return fmt.Errorf("it ended with %d before it was ready:\n%s", p.status, p.Tail())
	case <-ctx.Done():
		return fmt.Errorf("it is not ready: %w\n%s", ctx.Err(), p.Tail())
	}
}

// URL is the address of the API, once Ready.
func (p *Process) URL() string { return "http://" + p.Addr }

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal: SIGSTOP and SIGCONT, too.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Kill is kill -9. It returns when the process has ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// Wait waits for the end and returns the exit status; -1: by a signal.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.status, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("it did not end: %w\n%s", ctx.Err(), p.Tail())
	}
}

// Stop asks the process to drain and waits for its end. One that does not exit with 0
// is an error that shows the end of its log; one that does not end is killed.
func (p *Process) Stop(ctx context.Context) error {
	_ = p.Signal(syscall.SIGTERM) // one that has ended already is told by its status
	status, err := p.Wait(ctx)
	if err != nil {
		p.Kill()
		return err
	}
	if status != 0 {
		return fmt.Errorf("it ended with %d:\n%s", status, p.Tail())
	}
	return nil
}

// Output returns the log, with what earlier processes wrote to the same file.
func (p *Process) Output() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// tailLines is how many lines of its log an error shows.
const tailLines = 20

// Tail returns the end of the log.
func (p *Process) Tail() string {
	lines := strings.Split(strings.TrimSpace(p.Output()), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
