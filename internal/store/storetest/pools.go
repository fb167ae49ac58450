package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

var poolTests = map[string]func(*testing.T, *bundle){
	"create once":     testPoolCreate,
	"refused":         testPoolRefused,
	"view":            testPoolView,
	"list":            testPoolList,
	"tenant usages":   testPoolTenants,
	"recent counters": testPoolRecentCounters,
	"backend answers": testPoolBackend,
}

func testPoolCreate(t *testing.T, b *bundle) {
	want := domain.Pool{
		PoolID: "A.b:c-d_9", Name: "A pool", State: domain.PoolDraining, MaxUnits: 0, MaxQueueDepth: 0,
		DefaultTimeout: 1500 * time.Millisecond, QueueBackend: b.Backend(), MailboxBackend: domain.BackendPostgres,
		Runtime: domain.RuntimeWeb, Policy: domain.PolicyDeadline, ResourceKind: domain.KindMixed, MaxOvertakes: 0, MaxAttempts: 9,
		RetryBackoff: domain.Backoff{Base: 0, Max: time.Hour},
		Tenants:      map[domain.Tenant]domain.TenantPolicy{"Zoë <1>": {Weight: 3, MaxUnits: 4, MaxQueueDepth: 5}, "b": {}},
		Executors:    []string{"a", "b c"},
	}
	got, err := b.CreatePool(t.Context(), want, b.clock.Now())
	require.NoError(t, err)
	want.Version = 1
	require.Equal(t, want, got)

	other := want
	other.Name, other.MaxUnits, other.Version = "Another", 99, 7
	got, err = b.CreatePool(t.Context(), other, b.clock.Advance(time.Hour))
	require.NoError(t, err)
	require.Equal(t, want, got, "what is there stays")

	view, err := b.Pool(t.Context(), want.PoolID)
	require.NoError(t, err)
	require.Equal(t, want, view.Pool)
	require.Equal(t, domain.Counters{At: b.clock.Now().Add(-time.Hour)}, view.Counters)
	b.agrees(t, want.PoolID)
}

func testPoolRefused(t *testing.T, b *bundle) {
	for name, wrong := range map[string]func(*domain.Pool){
		"units":    func(p *domain.Pool) { p.MaxUnits = -1 },
		"depth":    func(p *domain.Pool) { p.MaxQueueDepth = -1 },
		"timeout":  func(p *domain.Pool) { p.DefaultTimeout = 0 },
		"attempts": func(p *domain.Pool) { p.MaxAttempts = 0 },
		"state":    func(p *domain.Pool) { p.State = "" },
		"policy":   func(p *domain.Pool) { p.Policy = "" },
		"NUL":      func(p *domain.Pool) { p.Name = "a\x00" },
	} {
		p := poolOf(b.Backend(), "p")
		wrong(&p)
		_, err := b.CreatePool(t.Context(), p, b.clock.Now())
		require.ErrorIs(t, err, store.ErrData, name)
		_, err = b.Pool(t.Context(), "p")
		require.ErrorIs(t, err, store.ErrNotFound, name)
	}
}

func testPoolView(t *testing.T, b *bundle) {
	b.pool(t, "p", func(p *domain.Pool) { p.MaxAttempts = 2 })
	view, err := b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Nil(t, view.OldestQueuedAt)

	d := b.submit(t, "p", task("runs", units(10)))
	b.clock.Advance(time.Second)
	first := b.clock.Now()
	b.submit(t, "p", task("low", class(domain.PriorityLow)))
	b.clock.Advance(time.Second)
	last := b.submit(t, "p", task("high", class(domain.PriorityHigh)))
	view, err = b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, first, *view.OldestQueuedAt, "the oldest, not the next")
	require.Equal(t, last.Counters, view.Counters)

	// A retry in its backoff is queued as well, and is the oldest of all.
	b.turn(t, "p", plan.Requests{NoStart: true, Settles: []plan.Settle{{Ref: d.Started[0].Ref(), Verdict: plan.VerdictFailed, Retryable: true}}})
	view, err = b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, int64(1), view.Waiting)
	require.Equal(t, first.Add(-time.Second), *view.OldestQueuedAt)

	_, err = b.Pool(t.Context(), "q")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func testPoolRecentCounters(t *testing.T, b *bundle) {
	recent := func(limit int) (turns, drained []int64) {
		list, err := b.RecentCounters(t.Context(), "p", limit)
		require.NoError(t, err)
		for _, c := range list {
			turns, drained = append(turns, c.TurnNo), append(drained, c.Drained)
		}
		return turns, drained
	}
	turns, _ := recent(10)
	require.Empty(t, turns)
	b.pool(t, "p")
	d := b.submit(t, "p", task("runs", units(10)), task("next", units(10)), task("last", units(10)))
	b.complete(t, "p", d.Started...)
	b.turn(t, "p", plan.Requests{Cancels: []plan.Cancel{{TaskID: "last"}}})
	turns, drained := recent(10)
	require.Equal(t, []int64{0, 1, 2, 3}, turns)
	require.Equal(t, []int64{0, 0, 1, 2}, drained, "one was started and one dropped; the first never waited")
	turns, _ = recent(2)
	require.Equal(t, []int64{2, 3}, turns)
}

func testPoolList(t *testing.T, b *bundle) {
	list, err := b.ListPools(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	for _, id := range []domain.PoolID{"b", "a", "C", "a.1", "a-1"} {
		b.pool(t, id)
		b.submit(t, id, task("t"), task("u", units(10)))
	}
	list, err = b.ListPools(t.Context())
	require.NoError(t, err)
	var got []domain.PoolID
	for _, v := range list {
		got = append(got, v.PoolID)
		one, err := b.Pool(t.Context(), v.PoolID)
		require.NoError(t, err)
		require.Equal(t, one, v)
	}
	require.Equal(t, []domain.PoolID{"C", "a", "a-1", "a.1", "b"}, got, "in the order of the bytes, whatever the locale")
}

func testPoolTenants(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.pool(t, "q")
	b.submit(t, "p", task("a", tenant("z"), units(4)), task("b", tenant("a"), units(3)), task("c", tenant("a"), units(9)), task("d", tenant("M")))
	b.submit(t, "q", task("a", tenant("elsewhere")))
	usages, err := b.TenantUsages(t.Context(), "p")
	require.NoError(t, err)
	require.Len(t, usages, 3)
	require.Equal(t, domain.TenantUsage{Tenant: "M", ActiveUnits: usages[0].ActiveUnits, Queued: usages[0].Queued}, usages[0])
	require.Equal(t, domain.TenantUsage{Tenant: "a", ActiveUnits: 3, Queued: 1}, usages[1])
	require.Equal(t, domain.TenantUsage{Tenant: "z", ActiveUnits: 4}, usages[2])
	usages, err = b.TenantUsages(t.Context(), "nowhere")
	require.NoError(t, err)
	require.Empty(t, usages)
}

func testPoolBackend(t *testing.T, b *bundle) {
	require.NoError(t, b.Ping(t.Context()))
	require.Contains(t, []domain.Backend{domain.BackendMemory, domain.BackendFile, domain.BackendPostgres}, b.Backend())
}
