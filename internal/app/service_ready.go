package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/api"
)

// Bounds of what counts as ready.
const (
	pingTimeout  = time.Second
	outboxStalls = 30 * time.Second // delivery that fails for so long is a problem
)

// Ready implements api.Service. Migrations are no part of it: a schema that is
// behind or ahead is refused at start, and one that another process moves ahead
// later must not take the fleet down while it is being replaced.
func (s *service) Ready(ctx context.Context) []api.Problem {
	var problems []api.Problem
	if s.isStopping() {
		problems = append(problems, api.Problem{Component: "process", Message: "is stopping: it takes nothing new and lets running tasks end"})
	}
	problems = append(problems, s.pingAll(ctx)...)
	for _, backlog := range s.scheduler.OutboxBacklog() {
		if backlog.Err != nil && s.now().Sub(backlog.Since) > outboxStalls {
			problems = append(problems, api.Problem{
				Component: "outbox " + string(backlog.Backend),
				Message:   fmt.Sprintf("%d outcomes wait for a mailbox in another backend since %s", backlog.Messages, backlog.Since.UTC().Format(time.RFC3339)),
			})
		}
	}
	return problems
}

func (s *service) pingAll(ctx context.Context) []api.Problem {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()

	backends := sortedBackends(s.stores)
	errs := make([]error, len(backends))
	var group sync.WaitGroup
	for i, backend := range backends {
		group.Go(func() { errs[i] = s.stores[backend].Ping(ctx) })
	}
	group.Wait()

	var problems []api.Problem
	for i, err := range errs {
		if err != nil {
			// The cause may tell addresses and roles: it is for the log.
			s.log.WarnContext(ctx, "backend does not answer", "backend", string(backends[i]), "error", err)
			problems = append(problems, api.Problem{Component: string(backends[i]), Message: "does not answer; submissions get 503 until it does, running tasks are settled then"})
		}
	}
	return problems
}
