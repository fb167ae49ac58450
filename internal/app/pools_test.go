package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
	"github.com/parkinglot/parkinglot/workers"
)

func demoConfig(t *testing.T) *config.Config {
	t.Helper()
	cfg, err := config.Load(config.Source{})
	require.NoError(t, err)
	return cfg
}

func noop(context.Context, workers.Task) (json.RawMessage, error) { return nil, nil }

func TestRegistryHoldsBoth(t *testing.T) {
	t.Parallel()
	own := workers.NewRegistry()
	require.NoError(t, own.Register("mine", workers.ExecutorFunc(noop)))
	cfg := demoConfig(t)
	registry, err := newRegistry(cfg, own)
	require.NoError(t, err)
	require.Equal(t, []string{"default", "mine"}, registry.Names("llm"))
	require.Equal(t, []string{"default", "mine"}, wantedPools(cfg, registry)[0].Executors)
	require.Equal(t, []string{"mine"}, own.Names("llm"), "the program's own is left as it was")
}

func TestPoolWithoutExecutorIsRefused(t *testing.T) {
	t.Parallel()
	cfg := demoConfig(t)
	cfg.Pools[1].Executors = nil
	_, err := newRegistry(cfg, workers.NewRegistry())
	require.ErrorContains(t, err, `pools[1].executors: pool "llm" has no executor`)
}

func TestSameExecutorTwiceIsRefused(t *testing.T) {
	t.Parallel()
	own := workers.NewRegistry()
	require.NoError(t, own.RegisterFor("llm", "default", workers.ExecutorFunc(noop)))
	_, err := newRegistry(demoConfig(t), own)
	require.ErrorContains(t, err, "pools[1].executors.default")
}

func TestPolicyChangesNameEveryField(t *testing.T) {
	t.Parallel()
	cfg := demoConfig(t)
	pool := cfg.Pools[1].Domain()
	require.Empty(t, policyChanges(&pool, &pool))

	other := domain.Pool{Tenants: map[domain.Tenant]domain.TenantPolicy{"x": {}}, RetryBackoff: domain.Backoff{Base: time.Hour}}
	changes := policyChanges(&pool, &other)
	require.Len(t, changes, 13, "%v", changes)

	draining := pool
	draining.State, draining.Version = domain.PoolDraining, 7
	require.Empty(t, policyChanges(&draining, &pool), "an operator's state is no difference")
}

// TestPoolsDoNotMove: a pool that is on one backend is refused on another.
func TestPoolsDoNotMove(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	memory, err := sqlite.Open(ctx, sqlite.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, memory.Close()) })
	file, err := sqlite.Open(ctx, sqlite.Options{Path: t.TempDir() + "/p.db"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })
	stores := map[domain.Backend]store.Store{domain.BackendMemory: memory, domain.BackendFile: file}

	cfg := demoConfig(t)
	pools := []domain.Pool{cfg.Pools[0].Domain(), cfg.Pools[1].Domain()}
	log := slog.New(slog.DiscardHandler)
	_, err = storePools(ctx, stores, pools, log)
	require.NoError(t, err)
	stored, err := storePools(ctx, stores, pools, log)
	require.NoError(t, err, "storing again is nothing")
	require.EqualValues(t, 1, stored[0].Version)

	pools[1].QueueBackend = domain.BackendMemory
	_, err = storePools(ctx, stores, pools, log)
	require.ErrorContains(t, err, `pool "llm" is already on the file backend and cannot move to memory`)
}

func TestOnlyWorkerPools(t *testing.T) {
	t.Parallel()
	cfg := demoConfig(t)
	_, err := onlyWorkerPools(cfg, nil)
	require.ErrorContains(t, err, "has no worker pool")
	_, err = onlyWorkerPools(cfg, []domain.PoolID{"llm", "none"})
	require.ErrorContains(t, err, `pool "llm" has runtime native`)
	require.ErrorContains(t, err, `has no pool "none"`)

	cfg.Pools[1].RuntimeAdapter = "worker"
	narrowed, err := onlyWorkerPools(cfg, nil)
	require.NoError(t, err)
	require.Len(t, narrowed.Pools, 1)
	require.Equal(t, "llm", narrowed.Pools[0].PoolID)
	require.Len(t, cfg.Pools, 2, "the given one is left as it was")
}
