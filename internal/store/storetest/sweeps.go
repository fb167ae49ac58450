package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

var sweepTests = map[string]func(*testing.T, *bundle){
	"tasks that ended long ago":     testSweepTasks,
	"an id that comes again":        testSweptIDComesAgain,
	"messages by their retentions":  testSweepMessages,
	"whole days of the trail":       testSweepAudit,
	"what is kept begins somewhere": testOrigin,
	"what messages went":            testOriginOfMessages,
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

func (b *bundle) origin(t *testing.T, pool domain.PoolID) store.Origin {
	t.Helper()
	origin, err := b.Origin(t.Context(), pool)
	require.NoError(t, err)
	return origin
}

// testOrigin: the turn before the first day of the trail that is left is its checkpoint,
// and outlives the other old turns.
func testOrigin(t *testing.T, b *bundle) {
	b.pool(t, "p")
	require.Equal(t, store.Origin{Home: true}, b.origin(t, "p"))
	var last []domain.Counters // of each day
	for _, id := range []string{"a", "b", "c", "d"} {
		b.complete(t, "p", b.submit(t, "p", task(domain.TaskID(id+"1"))).Started...)
		b.submit(t, "p", task(domain.TaskID(id+"2")))
		view, err := b.Pool(t.Context(), "p")
		require.NoError(t, err)
		last = append(last, view.Counters)
		require.NoError(t, b.EnsureAudit(t.Context(), b.clock.Advance(24*time.Hour)))
	}
	b.submit(t, "p", task("e1"))
	pruned, err := b.PruneTurns(t.Context(), "p", 1)
	require.NoError(t, err)
	require.Equal(t, int64(9), pruned, "of 14, four are the last of their day and one the newest")
	require.Nil(t, b.origin(t, "p").Checkpoint, "nothing of the trail is gone")

	const keep = 48 * time.Hour
	for n := int64(1); n > 0; {
		n, err = b.SweepAudit(t.Context(), keep)
		require.NoError(t, err)
	}
	b.pool(t, "young")
	origin := b.origin(t, "p")
	require.Equal(t, b.clock.Now().Add(-keep).Truncate(24*time.Hour), origin.Audit)
	require.NotNil(t, origin.Checkpoint)
	require.Equal(t, last[1], *origin.Checkpoint)
	first := b.events(t, store.EventFilter{Pool: "p", Limit: 1})
	require.Equal(t, origin.Checkpoint.EventSeq+1, first[0].Seq)
	require.Nil(t, b.origin(t, "young").Checkpoint, "its trail begins later")
	require.Equal(t, store.Origin{Audit: origin.Audit}, b.origin(t, "elsewhere"))

	pruned, err = b.PruneTurns(t.Context(), "p", 1)
	require.NoError(t, err)
	require.Equal(t, int64(1), pruned, "the balance of the day that is gone")
	require.Equal(t, last[1], *b.origin(t, "p").Checkpoint)

	b.clock.Advance(time.Hour)
	require.Positive(t, b.sweepTasks(t, "p", keep))
	require.Equal(t, b.clock.Now().Add(-keep), b.origin(t, "p").Tasks)
}

func testOriginOfMessages(t *testing.T, b *bundle) {
	b.pool(t, "p")
	d := b.submit(t, "p", many("a", 3, mailbox(domain.MailboxKey{Tenant: "acme", UserID: "u"}))...)
	b.complete(t, "p", d.Started...)
	all := store.MailboxFilter{Tenant: "acme", AllUsers: true, Limit: 100}
	_, err := b.Acknowledge(t.Context(), all, domain.Cursor{"p": b.messages(t, all)[1].Seq}, time.Time{})
	require.NoError(t, err)
	b.clock.Advance(2 * time.Hour)
	_, err = b.SweepMessages(t.Context(), 24*time.Hour, time.Hour)
	require.NoError(t, err)
	read := b.clock.Now().Add(-time.Hour)
	require.Equal(t, store.Origin{Home: true, Acknowledged: read, AcknowledgedDeleted: 2}, b.origin(t, "p"))
	b.clock.Advance(24 * time.Hour)
	_, err = b.SweepMessages(t.Context(), 24*time.Hour, time.Hour)
	require.NoError(t, err)
	require.Equal(t, store.Origin{
		Home: true, Acknowledged: read, AcknowledgedDeleted: 2, Unread: b.clock.Now().Add(-24 * time.Hour),
	}, b.origin(t, "p"))
}
