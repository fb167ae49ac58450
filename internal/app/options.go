package app

import (
	"log/slog"
	"os"
	"slices"

	"github.com/google/uuid"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/workers"
)

// Options are what Serve and Work take beside the configuration. The zero value
// is usable.
type Options struct {
	// Listen is the address of the API, host:port; port 0 takes a free one. Empty:
	// 127.0.0.1:8080. Work serves health and metrics there; empty: nowhere.
	Listen string
	// Registry holds executors of the program itself. Those of the configuration are
	// added to a copy; the same name for the same pool in both is an error.
	Registry *workers.Registry
	// Migrate lets the process bring a Postgres that is behind up to date.
	Migrate bool
	// Pools are the worker pools that Work serves; empty: all of the configuration.
	Pools []domain.PoolID
	// Log receives what happens; nil: slog.Default().
	Log *slog.Logger
	// Ready is called once, when the process serves.
	Ready func(Running)
}

// Running describes a process that has started.
type Running struct {
	Addr  string // what it listens on; empty: a worker process without health checks
	Pools []domain.PoolID
	// Service is what the API asks, for callers in this process that need no HTTP; nil
	// in a worker process.
	Service api.Service
}

func (o *Options) complete() {
	if o.Registry == nil {
		o.Registry = workers.NewRegistry()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Ready == nil {
		o.Ready = func(Running) {}
	}
}

// newWorker makes the first incarnation of this process.
func newWorker(role string) store.Worker {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return store.Worker{ID: newWorkerID(), Role: role, Host: host, PID: os.Getpid()}
}

func newWorkerID() domain.WorkerID { return domain.WorkerID(uuid.NewString()) }

func sortedIDs(ids []domain.PoolID) []domain.PoolID {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}
