// Package host runs Parking Lot inside a program of your own, with executors of
// your own: Serve is what "parkinglot serve" does, Work what "parkinglot work"
// does. It names no internal type.
//
// A process of this kind is a full member of the fleet: it can run beside
// processes of the parkinglot binary on the same Postgres. Every process that runs
// tasks of a pool must know the executors that those tasks name; one that does not
// hands them back for a while, and then fails their attempts retryably, with code
// executor_unknown.
//
// Limits: everything that a configuration file can say is said there (or in
// PARKINGLOT_… variables), not here.
package host

import (
	"context"
	"log/slog"
	"maps"
	"os"

	"github.com/parkinglot/parkinglot/internal/app"
	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/workers"
)

// Options are what Serve and Work need. The zero value serves the built-in demo.
type Options struct {
	// ConfigFile is the configuration, JSON or YAML; empty: the built-in demo.
	ConfigFile string
	// Settings are single values over those of the file, by their path in it, as
	// "database.url" or "limits.grace_secs".
	Settings map[string]string
	// Environ is what $VAR and PARKINGLOT_… are looked up in; nil: os.Environ().
	Environ []string
	// Registry has the program's own executors, beside those of the configuration. The
	// same name for the same pool in both is an error. It is copied: register first.
	Registry *workers.Registry
	// Listen is the address of the API; port 0 takes a free one, see Ready. Empty:
	// 127.0.0.1:8080. Serve only.
	Listen string
	// Pools are the worker pools to work on; empty: all of the configuration. Work only.
	Pools []string
	// Migrate lets the process bring a Postgres that is behind up to date first.
	Migrate bool
	// Log receives what happens; nil: slog.Default().
	Log *slog.Logger
	// Ready is called once, when the process takes work. It must not block.
	Ready func(Running)
}

// Running describes a process that has started.
type Running struct {
	URL   string // of the API, as http://127.0.0.1:8080; empty for Work
	Pools []string
}

// Serve runs API, scheduler and runtimes until ctx ends, then lets running tasks
// end within limits.grace_secs, hands back the rest, and returns nil. End ctx on
// SIGTERM (signal.NotifyContext). An error says what to do about it; one of the
// configuration lists every fault.
func Serve(ctx context.Context, options Options) error {
	cfg, opts, err := options.internal()
	if err != nil {
		return err
	}
	return app.Serve(ctx, cfg, opts)
}

// Work runs the tasks of worker pools until ctx ends, and ends as Serve does. It
// keeps no state: run as many processes as there is work for.
func Work(ctx context.Context, options Options) error {
	cfg, opts, err := options.internal()
	if err != nil {
		return err
	}
	return app.Work(ctx, cfg, opts)
}

func (o Options) internal() (*config.Config, app.Options, error) {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	cfg, err := config.Load(config.Source{Path: o.ConfigFile, Environ: o.Environ, Flags: maps.Clone(o.Settings)})
	if err != nil {
		return nil, app.Options{}, err
	}
	opts := app.Options{Listen: o.Listen, Registry: o.Registry, Migrate: o.Migrate, Log: o.Log}
	for _, pool := range o.Pools {
		opts.Pools = append(opts.Pools, domain.PoolID(pool))
	}
	if o.Ready != nil {
		opts.Ready = func(r app.Running) {
			running := Running{}
			if r.Addr != "" {
				running.URL = "http://" + r.Addr
			}
			for _, pool := range r.Pools {
				running.Pools = append(running.Pools, string(pool))
			}
			o.Ready(running)
		}
	}
	return cfg, opts, nil
}
