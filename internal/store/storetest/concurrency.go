package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

var concurrencyTests = map[string]func(*testing.T, *bundle){
	"one pool, many turns":     testConcurrentPool,
	"many pools, many turns":   testConcurrentPools,
	"readers see whole turns":  testConcurrentReaders,
	"the same task from many":  testConcurrentSame,
	"one attempt, one outcome": testConcurrentSettle,
	"one pool made by many":    testConcurrentCreate,
}

// again takes a turn until it is not refused for somebody else's sake.
func (b *bundle) again(ctx context.Context, pool domain.PoolID, name string, rq plan.Requests) (plan.Decisions, error) {
	for n := 0; ; n++ {
		rq.TurnID = fmt.Sprintf("%s-%d", name, n)
		d, err := b.try(ctx, pool, rq)
		if !errors.Is(err, store.ErrGuard) || n == 100 {
			return d, err
		}
	}
}

// work runs one client: it submits tasks one at a time, and settles whatever its
// turns start.
func (b *bundle) work(ctx context.Context, pool domain.PoolID, client, tasks int, units func(i int) domain.Units) error {
	settles := []plan.Settle(nil)
	for i := 0; i < tasks || len(settles) > 0; i++ {
		rq := plan.Requests{Settles: settles}
		if i < tasks {
			s := task(domain.TaskID(fmt.Sprintf("c%d-%d", client, i)), tenant(domain.Tenant(fmt.Sprint("t", client%3))))
			s.Units = units(i)
			rq.Submits = []plan.Submit{s}
		}
		d, err := b.again(ctx, pool, fmt.Sprintf("%s-c%d-%d", pool, client, i), rq)
		if err != nil {
			return err
		}
		settles = nil
		for j := range d.Started {
			settles = append(settles, plan.Settle{Ref: d.Started[j].Ref(), Units: d.Started[j].Units, Verdict: plan.VerdictCompleted})
		}
	}
	return nil
}

// proveUse adds up the units of the trail: never above the limit at any event.
func (b *bundle) proveUse(t *testing.T, pool domain.PoolID, limit domain.Units) {
	t.Helper()
	var use domain.Units
	var last int64
	cursor := domain.Cursor{}
	for {
		page := b.events(t, store.EventFilter{Pool: pool, Cursor: cursor, Limit: 5000})
		if len(page) == 0 {
			break
		}
		for i := range page {
			e := &page[i]
			require.Equal(t, last+1, e.Seq)
			last = e.Seq
			cursor[e.Source] = e.Seq
			switch e.Kind {
			case domain.EventStart:
				use += e.Units
			case domain.EventComplete, domain.EventFail, domain.EventExpire, domain.EventRetry, domain.EventLost:
				use -= e.Units
			}
			require.LessOrEqual(t, use, limit)
			require.GreaterOrEqual(t, use, domain.Units(0))
		}
	}
	view, err := b.Pool(t.Context(), pool)
	require.NoError(t, err)
	require.Equal(t, view.ActiveUnits, use)
	require.Equal(t, view.EventSeq, last)
}

func testConcurrentPool(t *testing.T, b *bundle) {
	const clients, tasks = 8, 12
	b.pool(t, "p")
	g, ctx := errgroup.WithContext(t.Context())
	for c := range clients {
		g.Go(func() error {
			return b.work(ctx, "p", c, tasks, func(i int) domain.Units { return domain.Units(1 + (c+i)%7) })
		})
	}
	require.NoError(t, g.Wait())
	b.agrees(t, "p")
	b.proveUse(t, "p", 10)
	view, err := b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, int64(clients*tasks), view.JobSeq)
	require.Zero(t, view.Queued, "whoever could start has started")
	require.Zero(t, view.Running)
	done, err := b.ListTasks(t.Context(), store.TaskFilter{Pool: "p", Status: domain.StatusCompleted, Limit: 1000})
	require.NoError(t, err)
	require.Len(t, done, clients*tasks)
}

func testConcurrentPools(t *testing.T, b *bundle) {
	const pools, clients, tasks = 4, 2, 8
	g, ctx := errgroup.WithContext(t.Context())
	for n := range pools {
		id := domain.PoolID(fmt.Sprint("p", n))
		b.pool(t, id)
		for c := range clients {
			g.Go(func() error {
				return b.work(ctx, id, c, tasks, func(i int) domain.Units { return domain.Units(1 + i%9) })
			})
		}
	}
	require.NoError(t, g.Wait())
	for n := range pools {
		id := domain.PoolID(fmt.Sprint("p", n))
		b.agrees(t, id)
		b.proveUse(t, id, 10)
	}
}

// testConcurrentReaders looks from outside while turns are written: whoever reads
// sees all of a turn or nothing.
func testConcurrentReaders(t *testing.T, b *bundle) {
	b.pool(t, "p")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g, gctx := errgroup.WithContext(ctx)
	for range 3 {
		g.Go(func() error {
			for gctx.Err() == nil {
				diffs, err := b.Reconcile(gctx, "p")
				if err != nil && gctx.Err() == nil {
					return err
				}
				if len(diffs) > 0 {
					return fmt.Errorf("half a turn was seen: %v", diffs)
				}
			}
			return nil
		})
	}
	err := b.work(gctx, "p", 1, 60, func(i int) domain.Units { return domain.Units(1 + i%5) })
	cancel()
	require.NoError(t, g.Wait())
	require.NoError(t, err)
}

func testConcurrentSame(t *testing.T, b *bundle) {
	const clients = 10
	b.pool(t, "p")
	var mu sync.Mutex
	known := 0
	g, ctx := errgroup.WithContext(t.Context())
	for c := range clients {
		g.Go(func() error {
			d, err := b.again(ctx, "p", fmt.Sprint("c", c), plan.Requests{Submits: []plan.Submit{task("same")}})
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if d.Answers.Submits[0].Known {
				known++
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	require.Equal(t, clients-1, known)
	list, err := b.ListTasks(t.Context(), store.TaskFilter{Pool: "p", Limit: 100})
	require.NoError(t, err)
	require.Len(t, list, 1)
}

func testConcurrentSettle(t *testing.T, b *bundle) {
	const clients = 10
	b.pool(t, "p")
	ref := b.submit(t, "p", task("a", mailbox(domain.MailboxKey{Tenant: "acme"}))).Started[0].Ref()
	g, ctx := errgroup.WithContext(t.Context())
	for c := range clients {
		g.Go(func() error {
			rq := plan.Requests{Settles: []plan.Settle{{Ref: ref, Units: 1, Verdict: plan.VerdictCompleted}}}
			if c%2 == 0 {
				rq = plan.Requests{Losts: []plan.Lost{{Ref: ref, Holder: me}}}
			}
			_, err := b.again(ctx, "p", fmt.Sprint("c", c), rq)
			return err
		})
	}
	require.NoError(t, g.Wait())
	require.Len(t, b.messages(t, store.MailboxFilter{Tenant: "acme", AllUsers: true}), 1)
	b.proveUse(t, "p", 10)
	b.agrees(t, "p")
}

func testConcurrentCreate(t *testing.T, b *bundle) {
	g, ctx := errgroup.WithContext(t.Context())
	for c := range 8 {
		g.Go(func() error {
			p := poolOf(b.Backend(), "p")
			p.MaxUnits = domain.Units(c + 1)
			stored, err := b.CreatePool(ctx, p, b.clock.Now())
			if err == nil && stored.Version != 1 {
				err = fmt.Errorf("version %d", stored.Version)
			}
			return err
		})
	}
	require.NoError(t, g.Wait())
	view, err := b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, view.MaxUnits, view.Ceiling)
}
