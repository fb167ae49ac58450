package loadtest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one running server, a process of its own.
type Process struct {
	cmd    *exec.Cmd
	addr   string
	exited chan error

	mu   sync.Mutex
	tail []string // last lines it wrote
}

// Addr returns what the server listens on, host:port.
func (p *Process) Addr() string { return p.addr }

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// How long a server gets.
const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
	tailLines    = 20
)

// StartProcess starts a server and waits until it serves. Its standard error is
// its log, JSON lines; the one that says "serving" (of level info) names the
// address. env is added to the environment of this process.
func StartProcess(ctx context.Context, binary string, args []string, env ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(binary, args...), exited: make(chan error, 1)} //nolint:noctx // ended by stop, which lets it drain
	p.cmd.Env = append(os.Environ(), env...)
	log, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	serving := make(chan string, 1)
	go func() {
		p.read(log, serving)
		p.exited <- p.cmd.Wait()
	}()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case p.addr = <-serving:
		return p, nil
	case err := <-p.exited:
		return nil, fmt.Errorf("the server ended at once: %w\n%s", err, p.lastLines())
	case <-ctx.Done():
		_ = p.cmd.Process.Kill() // the error below is the one to tell
		return nil, fmt.Errorf("the server does not serve: %w\n%s", ctx.Err(), p.lastLines())
	}
}

func (p *Process) read(log io.Reader, serving chan<- string) {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var entry struct {
			Msg  string `json:"msg"`
			Addr string `json:"addr"`
		}
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "serving" {
			select {
			case serving <- entry.Addr:
			default:
			}
		}
		p.mu.Lock()
		p.tail = append(p.tail, lines.Text())
		if len(p.tail) > tailLines {
			p.tail = p.tail[1:]
		}
		p.mu.Unlock()
	}
}

func (p *Process) lastLines() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}

// Drain asks the server to stop taking and to let what runs end.
func (p *Process) Drain() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that has ended already is told by its exit
}

// Wait waits for the server's end. One that does not exit with 0, or not within a
// minute, is an error that shows its last lines.
func (p *Process) Wait() error {
	select {
	case err := <-p.exited:
		if err != nil {
			return fmt.Errorf("a server ended with %w\n%s", err, p.lastLines())
		}
		return nil
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill() // the error below is the one to tell
		return fmt.Errorf("a server did not drain within %s\n%s", stopTimeout, p.lastLines())
	}
}
