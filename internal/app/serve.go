package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/telemetry"
)

// Serve runs a serving process until ctx ends: API, scheduler, the native runtime,
// and workers for its worker pools. It stores the configured pools, or changes
// stored ones to what the configuration says. When ctx ends it refuses new
// tasks, lets running ones end within limits.grace_secs, hands back the rest, and
// returns nil. Errors say what to do about them.
func Serve(ctx context.Context, cfg *config.Config, opts Options) (err error) {
	opts.complete()
	registry, err := newRegistry(cfg, opts.Registry)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cmp.Or(opts.Listen, "127.0.0.1:8080"))
	if err != nil {
		return fmt.Errorf("listen on %s: %w", opts.Listen, err)
	}
	defer listener.Close() //nolint:errcheck // the server closes it first when all goes well
	b, err := openBackends(ctx, cfg, cfg.Backends(), opts.Migrate, opts.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()

	wanted := wantedPools(cfg, registry)
	stored, err := storePools(ctx, b.stores, wanted, opts.Log)
	if err != nil {
		return err
	}
	var p *process
	written := func(backend domain.Backend, source domain.Source) { p.scheduler.Announce(backend, source) }
	garage, err := newGarage(ctx, cfg, b, wanted, written, opts.Log)
	if err != nil {
		return err
	}
	p, err = newProcess(ctx, cfg, "serve", b, withRuntimes(stored, wanted), wanted, registry, int(cfg.Limits.WorkerConcurrency), opts.Log)
	if err != nil {
		return err
	}
	p.watch = func(ctx context.Context) {
		var all sync.WaitGroup
		all.Go(func() { p.reconcile(ctx) })
		all.Go(func() { p.watchDrift(ctx) })
		all.Go(func() { garage.Run(ctx) })
		all.Go(func() { p.feeds.run(ctx, p.scheduler) })
		all.Wait()
	}
	return p.run(ctx, func(ctx context.Context) (func(), error) {
		if err := pushPolicies(ctx, p.scheduler, b.stores, wanted, stored, opts.Log); err != nil {
			return nil, err
		}
		if p.river != nil {
			if err := p.river.Start(ctx); err != nil {
				return nil, fmt.Errorf("worker pools: %w", err)
			}
		}
		ready := p.readiness(ctx)
		ready.needed[garage.backend] = true
		edge := &service{
			readiness: ready, scheduler: p.scheduler, stores: p.backends.stores, homes: p.homes, parking: garage, feeds: p.feeds, limits: p.cfg.Limits,
			log: p.log, metrics: p.metrics,
		}
		p.metrics.Register(telemetry.NewPoolCollector(edge))
		down := p.listen(ctx, listener, api.New(edge, api.Options{Parking: garage, Metrics: p.metrics.Handler(), Observe: p.metrics.Request, Log: p.log}))
		opts.Ready(Running{Addr: listener.Addr().String(), Pools: poolIDs(wanted), Service: edge})
		return down, nil
	})
}

// withRuntimes returns the stored pools with the runtimes that the configuration is
// about to give them.
func withRuntimes(stored, wanted []domain.Pool) []domain.Pool {
	pools := make([]domain.Pool, len(stored))
	for i := range stored {
		pools[i] = stored[i]
		pools[i].Runtime = wanted[i].Runtime
	}
	return pools
}

func poolIDs(pools []domain.Pool) []domain.PoolID {
	ids := make([]domain.PoolID, len(pools))
	for i := range pools {
		ids[i] = pools[i].PoolID
	}
	return sortedIDs(ids)
}

// Time limits of the HTTP server. There is no limit on writing: a read may wait
// for news, and bodies have a deadline of their own.
const (
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
	maxHeaderBytes  = 64 << 10
)

// listen serves HTTP until the function it returns is called. From the moment
// ctx ends, nothing new is taken and waiting reads are answered.
func (p *process) listen(ctx context.Context, listener net.Listener, handler http.Handler) (down func()) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.log.ErrorContext(ctx, "the HTTP server has ended", "error", err)
		}
	}()
	return func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if err := server.Shutdown(limited); err != nil {
			p.log.WarnContext(limited, "requests are cut off", "error", err)
			_ = server.Close() // only what Shutdown has reported already
		}
		<-served
	}
}

func now() time.Time { return time.Now().UTC() }
