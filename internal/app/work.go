package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/domain"
)

// Work runs a worker process until ctx ends: it fetches admitted tasks of worker
// pools through River, runs them, and settles them in turns of its own. It keeps
// no state; run as many as there is work for. Pools that are not stored yet are
// stored; stored ones are left as they are, because policy is a server's to
// change. Errors say what to do about them.
func Work(ctx context.Context, cfg *config.Config, opts Options) (err error) {
	opts.complete()
	cfg, err = onlyWorkerPools(cfg, opts.Pools)
	if err != nil {
		return err
	}
	if cfg.Limits.WorkerConcurrency == 0 {
		return errors.New("worker_concurrency is 0: a worker process that runs nothing is of no use; set --concurrency")
	}
	registry, err := newRegistry(cfg, opts.Registry)
	if err != nil {
		return err
	}
	var listener net.Listener
	if opts.Listen != "" {
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", opts.Listen); err != nil {
			return fmt.Errorf("listen on %s: %w", opts.Listen, err)
		}
		defer listener.Close() //nolint:errcheck // the server closes it first when all goes well
	}
	// The mailboxes of worker pools may be elsewhere, but those are delivered to by the
	// processes that have them open.
	b, err := openBackends(ctx, cfg, []domain.Backend{domain.BackendPostgres}, opts.Migrate, opts.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()

	wanted := wantedPools(cfg, registry)
	stored, err := storePools(ctx, b.stores, wanted, opts.Log)
	if err != nil {
		return err
	}
	for i := range stored {
		if stored[i].Runtime != domain.RuntimeWorker {
			return fmt.Errorf("pool %q is stored with runtime %s: let serve change it to worker first", stored[i].PoolID, stored[i].Runtime)
		}
	}
	p, err := newProcess(ctx, cfg, "work", b, stored, wanted, registry, int(cfg.Limits.WorkerConcurrency), opts.Log)
	if err != nil {
		return err
	}
	p.watch = p.watchDrift
	return p.run(ctx, func(ctx context.Context) (func(), error) {
		if err := p.river.Start(ctx); err != nil {
			return nil, fmt.Errorf("start working: %w", err)
		}
		running, down := Running{Pools: poolIDs(stored)}, func() {}
		if listener != nil {
			running.Addr = listener.Addr().String()
			down = p.listen(ctx, listener, api.NewHealth(p.readiness(ctx).Ready, p.metrics.Handler()))
		}
		opts.Ready(running)
		return down, nil
	})
}

// onlyWorkerPools returns the configuration with the pools that are to be worked
// on: those named, or all worker pools.
func onlyWorkerPools(cfg *config.Config, named []domain.PoolID) (*config.Config, error) {
	narrowed := *cfg
	narrowed.Pools = nil
	var faults []error
	for _, id := range sortedIDs(named) {
		if !slices.ContainsFunc(cfg.Pools, func(p config.Pool) bool { return p.PoolID == string(id) }) {
			faults = append(faults, fmt.Errorf("%s has no pool %q", cfg.Origin(), id))
		}
	}
	for i := range cfg.Pools {
		pool := cfg.Pools[i]
		isWorker := pool.RuntimeAdapter == string(domain.RuntimeWorker)
		switch asked := slices.Contains(named, domain.PoolID(pool.PoolID)); {
		case asked && !isWorker:
			faults = append(faults, fmt.Errorf("pool %q has runtime %s: only worker pools can be worked on", pool.PoolID, pool.RuntimeAdapter))
		case asked || isWorker && len(named) == 0:
			narrowed.Pools = append(narrowed.Pools, pool)
		}
	}
	if len(faults) == 0 && len(narrowed.Pools) == 0 {
		faults = append(faults, fmt.Errorf("%s has no worker pool: set runtime_adapter to worker", cfg.Origin()))
	}
	return &narrowed, errors.Join(faults...)
}
