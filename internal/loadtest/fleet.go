package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	processes []*Process
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
		proc, err := StartProcess(ctx, p.Binary, args, attempts.RecordVariable+"="+f.records)
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
		urls[i] = "http://" + p.Addr()
	}
	return urls
}

// stop asks every server to drain and waits for all. A server that does not exit
// with 0 is an error that shows its last lines.
func (f *fleet) stop() error {
	errs := make([]error, 0, len(f.processes))
	for _, p := range f.processes {
		p.Drain()
	}
	for _, p := range f.processes {
		errs = append(errs, p.Wait())
	}
	return errors.Join(errs...)
}
