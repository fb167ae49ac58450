package main

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/telemetry"
)

// processFlags are what serve, work and migrate have in common.
type processFlags struct {
	config      string
	databaseURL string
	dataDir     string
	logLevel    string
	grace       time.Duration
	concurrency int
	profile     string
}

func (f *processFlags) common(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "configuration file, JSON or YAML (default: the built-in demo)")
	cmd.Flags().StringVar(&f.databaseURL, "database-url", "", "Postgres DSN; goes before database.url of the configuration")
	cmd.Flags().StringVar(&f.logLevel, "log-level", "info", "least level that is logged: debug, info, warn, error")
}

func (f *processFlags) running(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.grace, "grace", 0, "time that running tasks get to end on SIGTERM (default: limits.grace_secs)")
	cmd.Flags().IntVar(&f.concurrency, "concurrency", 0, "tasks of each worker pool run at once (default: limits.worker_concurrency)")
	cmd.Flags().StringVar(&f.profile, "cpu-profile", "", "file for a CPU profile of the process's whole life, to be read with go tool pprof (default: none)")
}

// load reads the configuration with the flags laid over it.
func (f *processFlags) load(cmd *cobra.Command) (*config.Config, error) {
	given := map[string]string{}
	if f.databaseURL != "" {
		given["database.url"] = f.databaseURL
	}
	if f.dataDir != "" {
		given["data_dir"] = f.dataDir
	}
	if cmd.Flags().Changed("grace") {
		given["limits.grace_secs"] = strconv.FormatInt(int64((f.grace+time.Second-1)/time.Second), 10)
	}
	if cmd.Flags().Changed("concurrency") {
		given["limits.worker_concurrency"] = strconv.Itoa(f.concurrency)
	}
	cfg, err := config.Load(config.Source{Path: f.config, Environ: os.Environ(), Flags: given})
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file and every fault
	}
	return cfg, nil
}

// logger makes the process's logger, and the default one for packages that log on
// their own.
func (f *processFlags) logger() (*slog.Logger, error) {
	log, err := telemetry.NewLogger(os.Stderr, f.logLevel)
	if err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	slog.SetDefault(log)
	return log, nil
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}

// finish gives a command's flags their variables in the help, and makes mistakes in
// them usage errors.
func finish(cmd *cobra.Command) *cobra.Command {
	describeEnvironment(cmd.Flags())
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &statusError{status: exitUsage, err: err} })
	return cmd
}
