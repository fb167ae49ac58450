package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/fleet"
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

// Place is where the servers live.
type Place struct {
	Binary      string // of the program; see fleet.Build
	Dir         string // for its files; a folder of its own
	DatabaseURL string // of a Postgres; empty: none is needed
	Schema      string // of its own on that Postgres
}

// poolID is the pool of every scenario.
const poolID = domain.PoolID("load")

// servers are the running servers of a scenario.
type servers struct {
	processes []*fleet.Process
	records   string // file of the executors' own record
}

// startServers writes a configuration and starts the servers, the first of which
// migrates.
func startServers(ctx context.Context, s Scenario, p Place) (*servers, error) {
	config, err := writeConfig(s, p)
	if err != nil {
		return nil, err
	}
	all := &servers{records: filepath.Join(p.Dir, "executions.jsonl")}
	for i := range s.Processes {
		args := []string{"serve", "--config", config, "--listen", "127.0.0.1:0", "--log-level", "info"}
		if i == 0 && s.Backend == domain.BackendPostgres {
			args = append(args, "--migrate")
		}
		if err := all.start(ctx, fleet.Command{
			Binary: p.Binary, Args: args, Dir: p.Dir, Log: filepath.Join(p.Dir, fmt.Sprintf("serve-%d.log", i)),
			Env: []string{attempts.RecordVariable + "=" + all.records},
		}); err != nil {
			return nil, errors.Join(err, all.stop(ctx))
		}
	}
	return all, nil
}

func (s *servers) start(ctx context.Context, c fleet.Command) error {
	process, err := fleet.Start(c)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, process)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := process.Ready(ctx); err != nil {
		return fmt.Errorf("start a server: %w", err)
	}
	return nil
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
func (s *servers) addresses() []string {
	urls := make([]string, len(s.processes))
	for i, p := range s.processes {
		urls[i] = p.URL()
	}
	return urls
}

// How long a server gets.
const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
)

// stop asks every server to drain and waits for all. A server that does not exit
// with 0 is an error that shows its last lines.
func (s *servers) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	errs := make([]error, len(s.processes))
	var all sync.WaitGroup
	for i, p := range s.processes {
		all.Go(func() { errs[i] = p.Stop(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}
