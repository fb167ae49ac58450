package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

var sweepTests = map[string]func(*testing.T, *bundle){
	"tasks that ended long ago":    testSweepTasks,
	"an id that comes again":       testSweptIDComesAgain,
	"messages by their retentions": testSweepMessages,
	"whole days of the trail":      testSweepAudit,
}

// sweepTasks goes through all tasks of a pool.
func (b *bundle) sweepTasks(t *testing.T, pool domain.PoolID, keep time.Duration) (deleted int64) {
	t.Helper()
	var place domain.JobID
	for {
		swept, err := b.SweepTasks(t.Context(), pool, keep, place)
		require.NoError(t, err)
		deleted += swept.Deleted
		if swept.Next == 0 {
			return deleted
		}
		require.Greater(t, swept.Next, place)
		place = swept.Next
	}
}

func testSweepTasks(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.pool(t, "q")
	d := b.submit(t, "p", many("old", 1500, units(10))...) // one starts, the others wait
	require.Len(t, d.Started, 1)
	first := d.Started[0].TaskID
	for i := range 3 {
		b.clock.Advance(time.Hour)
		d = b.complete(t, "p", d.Started...)
		require.Len(t, d.Started, 1, "after %d", i)
	}
	other := b.submit(t, "q", task("other"))
	b.complete(t, "q", other.Started...)
	require.Zero(t, b.sweepTasks(t, "p", 24*time.Hour))
	b.clock.Advance(90 * time.Minute)
	require.Equal(t, int64(2), b.sweepTasks(t, "p", 2*time.Hour), "those that ended 3.5 and 2.5 hours ago")
	require.Zero(t, b.sweepTasks(t, "p", 2*time.Hour))
	_, err := b.Task(t.Context(), "p", first)
	require.ErrorIs(t, err, store.ErrNotFound)
	view, err := b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, int64(1500-4), view.Queued, "what lives stays, however old")
	diffs, err := b.Reconcile(t.Context(), "p")
	require.NoError(t, err)
	require.Empty(t, diffs)
	_, err = b.Task(t.Context(), "q", "other")
	require.NoError(t, err, "another pool's")
	require.NotEmpty(t, b.events(t, store.EventFilter{TaskID: first}), "the trail has a retention of its own")
}

// testSweptIDComesAgain: once its row has gone, an id is as good as new, and its outcome
// is a message of its own although the first one's is still there.
func testSweptIDComesAgain(t *testing.T, b *bundle) {
	b.pool(t, "p")
	for range 2 {
		d := b.submit(t, "p", task("again", mailbox(domain.MailboxKey{Tenant: "acme", UserID: "u"})))
		require.Len(t, d.Started, 1)
		b.complete(t, "p", d.Started...)
		b.clock.Advance(time.Hour)
		require.Equal(t, int64(1), b.sweepTasks(t, "p", time.Minute))
	}
	require.Len(t, b.messages(t, store.MailboxFilter{Tenant: "acme", AllUsers: true, Limit: 10}), 2)
}

func testSweepMessages(t *testing.T, b *bundle) {
	b.pool(t, "p")
	sweep := func() int64 {
		n, err := b.SweepMessages(t.Context(), 24*time.Hour, time.Hour)
		require.NoError(t, err)
		return n
	}
	post := func(prefix string) {
		d := b.submit(t, "p", many(prefix, 3, mailbox(domain.MailboxKey{Tenant: "acme", UserID: "u"}))...)
		b.complete(t, "p", d.Started...)
	}
	post("a")
	all := store.MailboxFilter{Tenant: "acme", AllUsers: true, Limit: 100}
	first := b.messages(t, all)
	require.Len(t, first, 3)
	_, err := b.Acknowledge(t.Context(), all, domain.Cursor{"p": first[1].Seq}, time.Time{})
	require.NoError(t, err)
	b.clock.Advance(59 * time.Minute)
	require.Zero(t, sweep())
	b.clock.Advance(2 * time.Minute)
	require.Equal(t, int64(2), sweep(), "acknowledged an hour ago")
	require.Equal(t, first[2:], b.messages(t, all))
	post("b")
	b.clock.Advance(23 * time.Hour)
	require.Equal(t, int64(1), sweep(), "unread for a day")
	require.Len(t, b.messages(t, all), 3)
	require.Zero(t, sweep())
}

func testSweepAudit(t *testing.T, b *bundle) {
	b.pool(t, "p")
	for _, id := range []domain.TaskID{"a", "b", "c", "d"} {
		b.submit(t, "p", task(id))
		require.NoError(t, b.EnsureAudit(t.Context(), b.clock.Advance(24*time.Hour)))
	}
	const keep = 48 * time.Hour
	for {
		n, err := b.SweepAudit(t.Context(), keep)
		require.NoError(t, err)
		if n == 0 {
			break
		}
	}
	kept := b.clock.Now().Add(-keep).Truncate(24 * time.Hour)
	events := b.events(t, store.EventFilter{})
	require.NotEmpty(t, events)
	for i := range events {
		require.False(t, events[i].At.Before(kept))
	}
	require.Empty(t, b.events(t, store.EventFilter{TaskID: "a"}))
	require.NotEmpty(t, b.events(t, store.EventFilter{TaskID: "c"}), "of the day that has not been over for so long")
	require.NotEmpty(t, b.events(t, store.EventFilter{Tenant: events[0].Tenant}))
	oldest, err := b.OldestAudit(t.Context())
	require.NoError(t, err)
	require.False(t, !oldest.IsZero() && oldest.Before(kept))
	b.submit(t, "p", task("e"))
	require.NotEmpty(t, b.events(t, store.EventFilter{TaskID: "e"}))
}
