package loadtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
)

// Scenario says what to load.
type Scenario struct {
	Backend   domain.Backend
	Runtime   domain.Runtime
	Processes int // servers; 1 on the embedded backends

	Connections int
	Tasks       int
	PoolUnits   domain.Units
	TaskUnits   domain.Units  // each task has 1 to so many
	Duration    time.Duration // each task sleeps 0 to so long
}

// String names the scenario.
func (s Scenario) String() string {
	if s.Backend == domain.BackendPostgres {
		return fmt.Sprintf("%s %s ×%d", s.Backend, s.Runtime, s.Processes)
	}
	return string(s.Backend)
}

// Place is where a fleet lives.
type Place struct {
	Binary      string // of the program; see Build
	Dir         string // for its files; a folder of its own
	DatabaseURL string // of a Postgres; empty: none is needed
	Schema      string // of its own on that Postgres
}

// poolID is the pool of every scenario.
const poolID = domain.PoolID("load")

// Build builds the program into dir and returns the path of the binary.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "parkinglot")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/parkinglot/parkinglot/cmd/parkinglot")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return binary, nil
}

// fleet is the running servers of a scenario.
type fleet struct {
	processes []*process
	records   string // file of the executors' own record
}

// startFleet writes a configuration and starts the servers, the first of which
// migrates.
func startFleet(ctx context.Context, s Scenario, p Place) (*fleet, error) {
	config, err := writeConfig(s, p)
	if err != nil {
		return nil, err
	}
	f := &fleet{records: filepath.Join(p.Dir, "executions.jsonl")}
	for i := range s.Processes {
		args := []string{"serve", "--config", config, "--listen", "127.0.0.1:0", "--log-level", "info"}
		if i == 0 && s.Backend == domain.BackendPostgres {
			args = append(args, "--migrate")
		}
		proc, err := startProcess(ctx, p.Binary, args, f.records)
		if err != nil {
			return nil, errors.Join(err, f.stop())
		}
		f.processes = append(f.processes, proc)
	}
	return f, nil
}

func writeConfig(s Scenario, p Place) (string, error) {
	config := map[string]any{
		"data_dir": filepath.Join(p.Dir, "data"),
		"pools": []any{map[string]any{
			"pool_id": poolID, "max_units": s.PoolUnits, "max_queue_depth": s.Tasks + 1,
			"queue_backend": s.Backend, "mailbox_backend": s.Backend, "runtime_adapter": s.Runtime,
			"executors": map[string]any{"default": map[string]any{"type": "sleep"}},
		}},
	}
	if s.Backend == domain.BackendPostgres {
		config["database"] = map[string]any{"url": p.DatabaseURL, "schema": p.Schema}
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("make a configuration: %w", err)
	}
	const mode = 0o600
	path := filepath.Join(p.Dir, "config.json")
	if err := os.WriteFile(path, raw, mode); err != nil {
		return "", fmt.Errorf("write a configuration: %w", err)
	}
	return path, nil
}

// addresses returns the servers' URLs.
func (f *fleet) addresses() []string {
	urls := make([]string, len(f.processes))
	for i, p := range f.processes {
		urls[i] = "http://" + p.addr
	}
	return urls
}

// stop asks every server to drain and waits for all. A server that does not exit
// with 0 is an error that shows its last lines.
func (f *fleet) stop() error {
	errs := make([]error, 0, len(f.processes))
	for _, p := range f.processes {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that has ended already is told by its exit
	}
	for _, p := range f.processes {
		errs = append(errs, p.wait())
	}
	return errors.Join(errs...)
}

// process is one server.
type process struct {
	cmd    *exec.Cmd
	addr   string
	exited chan error

	mu   sync.Mutex
	tail []string // last lines it wrote
}

// How long a server gets.
const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
	tailLines    = 20
)

// startProcess starts a server and waits until it serves. Its standard error is
// its log, JSON lines; the one that says "serving" names the address.
func startProcess(ctx context.Context, binary string, args []string, records string) (*process, error) {
	p := &process{cmd: exec.Command(binary, args...), exited: make(chan error, 1)} //nolint:noctx // ended by stop, which lets it drain
	p.cmd.Env = append(os.Environ(), attempts.RecordVariable+"="+records)
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

func (p *process) read(log io.Reader, serving chan<- string) {
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

func (p *process) lastLines() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}

func (p *process) wait() error {
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
