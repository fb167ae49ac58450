package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/workers"
)

// actorConfig is who the audit trail names for changes that a configuration made.
const actorConfig = "configuration"

// newRegistry adds the configuration's executors to a copy of the program's own.
func newRegistry(cfg *config.Config, own *workers.Registry) (*workers.Registry, error) {
	registry := own.Clone()
	var faults []error
	for i := range cfg.Pools {
		pool := &cfg.Pools[i]
		for _, name := range slices.Sorted(maps.Keys(pool.Executors)) {
			if err := registry.RegisterFor(pool.PoolID, name, newExecutor(pool.Executors[name], cfg.Limits)); err != nil {
				faults = append(faults, fmt.Errorf("pools[%d].executors.%s: %w", i, name, err))
			}
		}
		if pool.RuntimeAdapter != string(domain.RuntimeWeb) && len(registry.Names(pool.PoolID)) == 0 {
			faults = append(faults, fmt.Errorf("pools[%d].executors: pool %q has no executor: configure one, or register one in the program", i, pool.PoolID))
		}
	}
	return registry, errors.Join(faults...)
}

func newExecutor(e config.Executor, limits config.Limits) workers.Executor {
	switch e.Type {
	case "http":
		return workers.HTTP(workers.HTTPConfig{URL: e.URL, Method: e.Method, Headers: e.Headers, MaxBody: int(limits.MaxResultBytes)})
	case "command":
		return workers.Command(workers.CommandConfig{Argv: e.Argv, Env: e.Env, Dir: e.Workdir, MaxOutput: int(limits.MaxResultBytes)})
	default:
		return workers.Sleep()
	}
}

// wantedPools returns the pools of a configuration as they should be stored.
func wantedPools(cfg *config.Config, registry *workers.Registry) []domain.Pool {
	pools := make([]domain.Pool, len(cfg.Pools))
	for i := range cfg.Pools {
		pools[i] = cfg.Pools[i].Domain()
		if pools[i].Runtime != domain.RuntimeWeb { // there every name is taken: the remote workers know what it means
			pools[i].Executors = registry.Names(cfg.Pools[i].PoolID)
		}
	}
	return pools
}

// storePools stores the pools that are new and returns all as they are stored.
// It refuses a pool that is on another backend already: its stream of events and
// messages would have two beginnings.
func storePools(ctx context.Context, stores map[domain.Backend]store.Store, wanted []domain.Pool, log *slog.Logger) ([]domain.Pool, error) {
	stored := make([]domain.Pool, len(wanted))
	var faults []error
	for i := range wanted {
		pool := &wanted[i]
		for _, other := range sortedBackends(stores) {
			if other == pool.QueueBackend {
				continue
			}
			if _, err := stores[other].Pool(ctx, pool.PoolID); err == nil {
				faults = append(faults, fmt.Errorf("pool %q is already on the %s backend and cannot move to %s: give it another pool_id, or its old queue_backend", pool.PoolID, other, pool.QueueBackend))
			} else if !errors.Is(err, store.ErrNotFound) {
				return nil, fmt.Errorf("look for pool %q on the %s backend: %w", pool.PoolID, other, err)
			}
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	for i := range wanted {
		var err error
		if stored[i], err = stores[wanted[i].QueueBackend].CreatePool(ctx, wanted[i], time.Time{}); err != nil {
			return nil, fmt.Errorf("store pool %q: %w", wanted[i].PoolID, err)
		}
	}
	warnOfOthers(ctx, stores, wanted, log)
	return stored, nil
}

// warnOfOthers tells of stored pools with tasks that this process does not serve.
func warnOfOthers(ctx context.Context, stores map[domain.Backend]store.Store, wanted []domain.Pool, log *slog.Logger) {
	for backend, st := range stores {
		views, err := st.ListPools(ctx)
		if err != nil {
			continue // only a warning is lost
		}
		for i := range views {
			v := &views[i]
			served := slices.ContainsFunc(wanted, func(p domain.Pool) bool { return p.PoolID == v.PoolID })
			if !served && v.Running+v.Queued+v.Waiting > 0 {
				log.WarnContext(ctx, "a stored pool has tasks and is not in the configuration: nobody here serves it",
					"pool", string(v.PoolID), "backend", string(backend), "running", v.Running, "queued", v.Queued, "waiting", v.Waiting)
			}
		}
	}
}

// pushPolicies changes stored pools to what the configuration says, each in a turn
// of its own. The state that an operator has given a pool stays.
func pushPolicies(ctx context.Context, s *scheduler.Scheduler, stores map[domain.Backend]store.Store, wanted, stored []domain.Pool, log *slog.Logger) error {
	for i := range wanted {
		want, have := &wanted[i], &stored[i]
		changes := policyChanges(have, want)
		if len(changes) == 0 {
			continue
		}
		if want.MailboxBackend != have.MailboxBackend {
			if err := outboxEmpty(ctx, stores[have.QueueBackend], have); err != nil {
				return err
			}
		}
		err := pushPolicy(ctx, s, *want)
		if domain.CodeOf(err) == domain.CodeConflict && want.Policy != have.Policy {
			log.WarnContext(ctx, "the order of a pool cannot change while tasks are queued: going on with the stored one; restart when the queue is empty",
				"pool", string(want.PoolID), "stored", string(have.Policy), "wanted", string(want.Policy))
			kept := *want
			kept.Policy = have.Policy
			changes = policyChanges(have, &kept)
			err = pushPolicy(ctx, s, kept)
		}
		if err != nil {
			return fmt.Errorf("change pool %q to the configuration (%s): %w", want.PoolID, strings.Join(changes, ", "), err)
		}
		log.InfoContext(ctx, "pool changed to its configuration", "pool", string(want.PoolID), "changes", strings.Join(changes, ", "))
	}
	return nil
}

func pushPolicy(ctx context.Context, s *scheduler.Scheduler, want domain.Pool) error {
	answer, err := s.Change(ctx, want.PoolID, plan.PoolChange{
		MaxUnits: &want.MaxUnits, MaxQueueDepth: &want.MaxQueueDepth, Policy: &want, Actor: actorConfig,
	})
	if err == nil && answer.Err != nil {
		return answer.Err
	}
	return err
}

// outboxEmpty refuses to move a mailbox while messages are on their way to it: later
// ones would overtake them, and cursors pass over them.
func outboxEmpty(ctx context.Context, queue store.Store, pool *domain.Pool) error {
	const look = 10_000
	messages, err := queue.Outbox(ctx, look)
	if err != nil {
		return fmt.Errorf("look for undelivered messages of pool %q: %w", pool.PoolID, err)
	}
	if slices.ContainsFunc(messages, func(m domain.Message) bool { return m.PoolID == pool.PoolID }) {
		return fmt.Errorf("the mailbox of pool %q cannot leave the %s backend while messages are on their way to it: run with the old mailbox_backend until they are delivered", pool.PoolID, pool.MailboxBackend)
	}
	return nil
}

// policyChanges says, for the log, in what the stored pool differs from the wanted
// one.
func policyChanges(have, want *domain.Pool) []string {
	var changes []string
	note := func(key string, have, want any, differ bool) {
		if differ {
			changes = append(changes, fmt.Sprintf("%s %v → %v", key, have, want))
		}
	}
	note("name", have.Name, want.Name, have.Name != want.Name)
	note("max_units", have.MaxUnits, want.MaxUnits, have.MaxUnits != want.MaxUnits)
	note("max_queue_depth", have.MaxQueueDepth, want.MaxQueueDepth, have.MaxQueueDepth != want.MaxQueueDepth)
	note("default_timeout", have.DefaultTimeout, want.DefaultTimeout, have.DefaultTimeout != want.DefaultTimeout)
	note("mailbox_backend", have.MailboxBackend, want.MailboxBackend, have.MailboxBackend != want.MailboxBackend)
	note("runtime_adapter", have.Runtime, want.Runtime, have.Runtime != want.Runtime)
	note("priority_policy", have.Policy, want.Policy, have.Policy != want.Policy)
	note("resource_kind", have.ResourceKind, want.ResourceKind, have.ResourceKind != want.ResourceKind)
	note("max_overtakes", have.MaxOvertakes, want.MaxOvertakes, have.MaxOvertakes != want.MaxOvertakes)
	note("max_attempts", have.MaxAttempts, want.MaxAttempts, have.MaxAttempts != want.MaxAttempts)
	note("retry", have.RetryBackoff, want.RetryBackoff, have.RetryBackoff != want.RetryBackoff)
	note("tenants", len(have.Tenants), len(want.Tenants), !maps.Equal(have.Tenants, want.Tenants))
	note("executors", have.Executors, want.Executors, !slices.Equal(have.Executors, want.Executors))
	return changes
}
