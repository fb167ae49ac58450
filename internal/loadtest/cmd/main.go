// Command loadtest loads real servers on every backend and proves what they did.
// It exits 1 when a promise was broken. See package loadtest.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/fleet"
	"github.com/parkinglot/parkinglot/internal/loadtest"
	"github.com/parkinglot/parkinglot/internal/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var (
		tasks       = flag.Int("tasks", 20_000, "submissions of each scenario")
		connections = flag.Int("connections", 64, "connections that submit")
		processes   = flag.Int("processes", 4, "servers on one Postgres")
		only        = flag.String("only", "", "scenarios to run: those whose name contains this")
		asJSON      = flag.Bool("json", false, "print JSON")
	)
	flag.Parse()
	var scenarios []loadtest.Scenario
	for _, s := range []loadtest.Scenario{
		{Backend: domain.BackendPostgres, Runtime: domain.RuntimeNative, Processes: *processes},
		{Backend: domain.BackendPostgres, Runtime: domain.RuntimeWorker, Processes: *processes},
		{Backend: domain.BackendFile, Runtime: domain.RuntimeNative, Processes: 1},
		{Backend: domain.BackendMemory, Runtime: domain.RuntimeNative, Processes: 1},
	} {
		s.Tasks, s.Connections = *tasks, *connections
		s.PoolUnits, s.TaskUnits, s.Duration = 80, 8, 20*time.Millisecond
		if strings.Contains(s.String(), *only) {
			scenarios = append(scenarios, s)
		}
	}
	if len(scenarios) == 0 {
		return fmt.Errorf("no scenario is called %q", *only)
	}
	dir, err := os.MkdirTemp("", "parkinglot-load-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	binary, err := fleet.Build(ctx, dir)
	if err != nil {
		return err
	}
	results, err := runAll(ctx, scenarios, loadtest.Place{Binary: binary, Dir: dir})
	if err != nil {
		return err
	}
	if *asJSON {
		err = json.NewEncoder(os.Stdout).Encode(results)
	} else {
		err = loadtest.Write(os.Stdout, results)
	}
	for _, r := range results {
		for _, fault := range r.Faults() {
			err = errors.Join(err, fmt.Errorf("%s: %s", r.Scenario, fault))
		}
	}
	return err
}

func runAll(ctx context.Context, scenarios []loadtest.Scenario, place loadtest.Place) ([]loadtest.Result, error) {
	var results []loadtest.Result
	for i, s := range scenarios {
		p := place
		p.Dir, p.Schema = filepath.Join(place.Dir, strconv.Itoa(i)), fmt.Sprintf("load_%d", i)
		if err := os.Mkdir(p.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("make a folder: %w", err)
		}
		if s.Backend == domain.BackendPostgres {
			url, stop, err := dbtest.StartServer(ctx, dbtest.Options{Durable: true})
			if err != nil {
				return nil, err
			}
			defer stop()
			p.DatabaseURL = url
		}
		bar := progressbar.NewOptions(2*s.Tasks, progressbar.OptionSetWriter(os.Stderr),
			progressbar.OptionSetVisibility(telemetry.IsTerminal(os.Stderr)), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetDescription(s.String()), progressbar.OptionThrottle(100*time.Millisecond))
		result, err := loadtest.Run(ctx, s, p, func(submitted, ended int) {
			_ = bar.Set(submitted + ended) // a bar that cannot be drawn is no reason to stop
		})
		_ = bar.Finish()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		results = append(results, result)
	}
	return results, nil
}
