package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/workers"
)

// drift knows in what the stored pools differ from this process's configuration. The
// stored ones count; a process pushes its own once, when it starts to serve. Safe for
// concurrent use.
type drift struct {
	wanted   []domain.Pool
	registry *workers.Registry
	// serves: the whole policy of wanted is compared, not only what this process needs to
	// run the pools' tasks.
	serves bool

	mu      sync.Mutex
	differs map[domain.PoolID][]string
}

func newDrift(wanted []domain.Pool, registry *workers.Registry, serves bool) *drift {
	return &drift{wanted: wanted, registry: registry, serves: serves, differs: map[domain.PoolID][]string{}}
}

// runs reports whether this process has all these executors of a pool.
func (d *drift) runs(pool domain.PoolID, executors []string) bool {
	return len(d.lacks(pool, executors)) == 0
}

func (d *drift) lacks(pool domain.PoolID, executors []string) []string {
	var lacking []string
	for _, name := range executors {
		if _, has := d.registry.Lookup(string(pool), name); !has {
			lacking = append(lacking, name)
		}
	}
	return lacking
}

// compare returns in what the stored pool differs, and whether that is news.
func (d *drift) compare(want, have *domain.Pool) (differs []string, news bool) {
	if d.serves {
		differs = policyChanges(have, want)
	}
	if lacking := d.lacks(have.PoolID, have.Executors); len(lacking) > 0 {
		effect := "its tasks are handed back here, for processes that have it"
		if have.Runtime == domain.RuntimeNative {
			effect = "this process starts none of its tasks"
		}
		differs = append(differs, fmt.Sprintf("executor %s is missing here: %s", strings.Join(lacking, ", "), effect))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	news = !slices.Equal(d.differs[have.PoolID], differs)
	d.differs[have.PoolID] = differs
	return differs, news
}

// problems tells operators.
func (d *drift) problems() []api.Problem {
	d.mu.Lock()
	defer d.mu.Unlock()
	var problems []api.Problem
	for _, pool := range slices.Sorted(maps.Keys(d.differs)) {
		if differs := d.differs[pool]; len(differs) > 0 {
			problems = append(problems, api.Problem{
				Component: "pool " + string(pool), Degraded: true,
				Message: "the stored pool counts and differs from this process's configuration (stored → configured): " + strings.Join(differs, "; "),
			})
		}
	}
	return problems
}

// watchDrift compares stored pools with the configuration from time to time, until
// ctx ends.
func (p *process) watchDrift(ctx context.Context) {
	ticker := time.NewTicker(p.cfg.Limits.Reconcile())
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C: // at first, what this process is about to push differs
		}
		for i := range p.drift.wanted {
			p.compareConfig(ctx, &p.drift.wanted[i])
		}
	}
}

func (p *process) compareConfig(ctx context.Context, want *domain.Pool) {
	have, err := p.backends.stores[want.QueueBackend].Pool(ctx, want.PoolID)
	if err != nil {
		return // only a warning is lost, and the next round may have it
	}
	differs, news := p.drift.compare(want, &have.Pool)
	p.metrics.Drifted(want.PoolID, len(differs))
	switch {
	case news && len(differs) > 0:
		p.log.WarnContext(ctx, "the stored pool, which counts, differs from this process's configuration: another process has changed it, or an operator",
			"pool", string(want.PoolID), "stored → configured", strings.Join(differs, "; "))
	case news:
		p.log.InfoContext(ctx, "the stored pool is as this process's configuration has it again", "pool", string(want.PoolID))
	}
}
