package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
)

// pingTimeout bounds what a backend may take to count as there.
const pingTimeout = time.Second

// readiness is what /readyz asks. It holds nothing that changes and is safe for
// concurrent use.
type readiness struct {
	scheduler *scheduler.Scheduler
	stores    map[domain.Backend]store.Store
	// needed are the backends without which nothing new can be taken; mailboxes may wait.
	needed map[domain.Backend]bool
	drift  *drift
	log    *slog.Logger
	// stop is closed when the process begins to stop: waits end, and nothing new is taken.
	stop <-chan struct{}
}

func (p *process) readiness(ctx context.Context) *readiness {
	r := &readiness{
		scheduler: p.scheduler, stores: p.backends.stores, needed: map[domain.Backend]bool{},
		drift: p.drift, log: p.log, stop: ctx.Done(),
	}
	for _, backend := range p.homes {
		r.needed[backend] = true
	}
	return r
}

// Ready implements api.Service. Migrations are no part of it: a schema that is not for
// this program is refused at start, and a process that is too old for what comes
// stops by itself.
func (r *readiness) Ready(ctx context.Context) []api.Problem {
	var problems []api.Problem
	if r.isStopping() {
		problems = append(problems, api.Problem{Component: "process", Message: "is stopping: it takes nothing new and lets running tasks end"})
	}
	problems = append(problems, r.pingAll(ctx)...)
	for _, backlog := range r.scheduler.OutboxBacklog() {
		if backlog.Err != nil {
			problems = append(problems, api.Problem{
				Component: "outbox " + string(backlog.Backend), Degraded: true,
				Message: fmt.Sprintf("%d outcomes or more wait for a mailbox in another backend since %s; they are delivered when it answers", backlog.Messages, backlog.Since.UTC().Format(time.RFC3339)),
			})
		}
	}
	return append(problems, r.drift.problems()...)
}

// isStopping reports whether the process has begun to stop.
func (r *readiness) isStopping() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

func (r *readiness) pingAll(ctx context.Context) []api.Problem {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()

	backends := sortedBackends(r.stores)
	errs := make([]error, len(backends))
	var group sync.WaitGroup
	for i, backend := range backends {
		group.Go(func() { errs[i] = r.stores[backend].Ping(ctx) })
	}
	group.Wait()

	var problems []api.Problem
	for i, err := range errs {
		if err == nil {
			continue
		}
		// The cause may tell addresses and roles: it is for the log.
		r.log.WarnContext(ctx, "backend does not answer", "backend", string(backends[i]), "error", err)
		p := api.Problem{Component: string(backends[i]), Message: "does not answer; submissions get 503 until it does, running tasks are settled then"}
		if !r.needed[backends[i]] {
			p.Degraded = true
			p.Message = "does not answer; it keeps mailboxes only: tasks are taken and run, outcomes wait for it, and reading mailboxes gets 503"
		}
		problems = append(problems, p)
	}
	return problems
}
