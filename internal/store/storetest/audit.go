package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

var auditTests = map[string]func(*testing.T, *bundle){
	"events come back as written": testAuditRoundTrip,
	"filters":                     testAuditFilters,
	"pages without a gap":         testAuditPages,
	"sources are merged":          testAuditMerge,
	"days to come":                testAuditDays,
}

// events reads the trail.
func (b *bundle) events(t *testing.T, f store.EventFilter) []domain.Event {
	t.Helper()
	if f.Limit == 0 {
		f.Limit = 10_000
	}
	events, err := b.Events(t.Context(), f)
	require.NoError(t, err)
	return events
}

func testAuditRoundTrip(t *testing.T, b *bundle) {
	b.pool(t, "p")
	full := domain.Event{
		Source: "p", Seq: 1, At: b.clock.Now(), Kind: domain.EventRetry, PoolID: "p", TaskID: "t", JobID: 3, Submission: 2,
		Tenant: "Zoë", Attempt: 4, Units: 5, Status: domain.StatusQueued,
		Reason: domain.Reason{Code: domain.ReasonTimeout, Message: "too \"slow\""}, Actor: "öps",
		Subjects: []string{"task:t", "tenant:Zoë <1>"}, Detail: []byte(`{"a" : [1, "é"]}`),
	}
	bare := domain.Event{Source: "p", Seq: 2, At: b.clock.Now(), Kind: domain.EventPoolChange}
	_, err := b.decide(t.Context(), "p", plan.Requests{}, func(s plan.Snapshot, rq *plan.Requests) plan.Decisions {
		c := s.Counters
		c.TurnNo, c.TurnID, c.At, c.EventSeq = 1, rq.TurnID, s.Now, 2
		return plan.Decisions{Now: s.Now, Events: []domain.Event{full, bare}, Counters: c}
	})
	require.NoError(t, err)
	got := b.events(t, store.EventFilter{})
	require.Len(t, got, 2)
	require.Equal(t, full, got[0])
	require.Empty(t, got[1].Subjects)
	got[1].Subjects = nil
	require.Equal(t, bare, got[1])
}

func testAuditFilters(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.pool(t, "q")
	from := b.clock.Now()
	p := b.submit(t, "p", task("a", tenant("one")), task("b", tenant("two"), units(10)))
	middle := b.clock.Advance(time.Minute)
	b.submit(t, "q", task("a", tenant("two")), task("c", tenant("one")))
	to := b.clock.Advance(time.Minute)
	b.complete(t, "p", p.Started...)

	all := b.events(t, store.EventFilter{})
	require.Greater(t, len(all), 8)
	for name, c := range map[string]struct {
		filter store.EventFilter
		want   func(*domain.Event) bool
	}{
		"pool":            {store.EventFilter{Pool: "p"}, func(e *domain.Event) bool { return e.PoolID == "p" }},
		"no such pool":    {store.EventFilter{Pool: "x"}, func(*domain.Event) bool { return false }},
		"task":            {store.EventFilter{TaskID: "a"}, func(e *domain.Event) bool { return e.TaskID == "a" }},
		"task in a pool":  {store.EventFilter{TaskID: "a", Pool: "q"}, func(e *domain.Event) bool { return e.TaskID == "a" && e.PoolID == "q" }},
		"tenant":          {store.EventFilter{Tenant: "two"}, func(e *domain.Event) bool { return e.Tenant == "two" }},
		"task and tenant": {store.EventFilter{TaskID: "a", Tenant: "two"}, func(e *domain.Event) bool { return e.TaskID == "a" && e.Tenant == "two" }},
		"kind":            {store.EventFilter{Kind: domain.EventStart}, func(e *domain.Event) bool { return e.Kind == domain.EventStart }},
		"kind of a task":  {store.EventFilter{Kind: domain.EventStart, TaskID: "b"}, func(e *domain.Event) bool { return e.Kind == domain.EventStart && e.TaskID == "b" }},
		"subject":         {store.EventFilter{Subject: "task:c"}, func(e *domain.Event) bool { return slices.Contains(e.Subjects, "task:c") }},
		"from":            {store.EventFilter{From: middle}, func(e *domain.Event) bool { return !e.At.Before(middle) }},
		"to":              {store.EventFilter{To: middle}, func(e *domain.Event) bool { return e.At.Before(middle) }},
		"a span":          {store.EventFilter{From: middle, To: to, Tenant: "one"}, func(e *domain.Event) bool { return e.At.Equal(middle) && e.Tenant == "one" }},
		"an empty span":   {store.EventFilter{From: from, To: from}, func(*domain.Event) bool { return false }},
	} {
		var want []domain.Event
		for i := range all {
			if c.want(&all[i]) {
				want = append(want, all[i])
			}
		}
		got := b.events(t, c.filter)
		require.Len(t, got, len(want), name)
		for i := range got {
			require.Equal(t, want[i], got[i], name)
		}
	}
}

// testAuditPages reads a trail in pages of every size while it grows.
func testAuditPages(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.pool(t, "q")
	b.pool(t, "r")
	seen := make(map[domain.Source]int64)
	cursor := domain.Cursor{}
	for i := range 12 {
		for j, pool := range []domain.PoolID{"p", "q", "r"} {
			if (i+j)%3 != 0 {
				b.submit(t, pool, many(fmt.Sprint(i), 1+j, units(10))...)
			}
		}
		b.clock.Advance(time.Duration(i%3) * time.Second)
		page := b.events(t, store.EventFilter{Cursor: maps.Clone(cursor), Limit: 1 + i})
		require.LessOrEqual(t, len(page), 1+i)
		for _, e := range page {
			seen[e.Source]++
			require.Equal(t, seen[e.Source], e.Seq, "no gap and nothing twice")
			cursor[e.Source] = e.Seq
		}
	}
	for {
		page := b.events(t, store.EventFilter{Cursor: cursor, Limit: 7})
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			seen[e.Source]++
			require.Equal(t, seen[e.Source], e.Seq)
			cursor[e.Source] = e.Seq
		}
	}
	for _, pool := range []domain.PoolID{"p", "q", "r"} {
		view, err := b.Pool(t.Context(), pool)
		require.NoError(t, err)
		require.Equal(t, view.EventSeq, seen[domain.Source(pool)])
	}
}

func testAuditMerge(t *testing.T, b *bundle) {
	b.pool(t, "b")
	b.pool(t, "a")
	b.submit(t, "b", task("1", units(10)))
	b.submit(t, "a", task("1", units(10)))
	b.clock.Advance(time.Second)
	b.submit(t, "b", task("2"))
	b.clock.Advance(-time.Second) // a process whose clock lags
	b.submit(t, "a", task("2"))
	events := b.events(t, store.EventFilter{})
	require.True(t, slices.IsSortedFunc(events, func(x, y domain.Event) int {
		if c := x.At.Compare(y.At); c != 0 {
			return c
		}
		if x.Source != y.Source {
			return map[bool]int{true: -1, false: 1}[x.Source < y.Source]
		}
		return int(x.Seq - y.Seq)
	}))
	require.Equal(t, domain.Source("a"), events[0].Source)
	require.Equal(t, domain.Source("b"), events[len(events)-1].Source)
}

func testAuditDays(t *testing.T, b *bundle) {
	b.pool(t, "p")
	for range 5 {
		now := b.clock.Advance(26 * time.Hour)
		require.NoError(t, b.EnsureAudit(t.Context(), now))
		require.NoError(t, b.EnsureAudit(t.Context(), now))
		b.turns++
		b.submit(t, "p", task(domain.TaskID(fmt.Sprint("t", b.turns))))
	}
	b.clock.Advance(6 * 24 * time.Hour) // a week ahead is there
	b.submit(t, "p", task("late"))
	require.NotEmpty(t, b.events(t, store.EventFilter{TaskID: "late"}))
}
