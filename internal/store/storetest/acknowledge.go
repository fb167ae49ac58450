package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

var acknowledgeTests = map[string]func(*testing.T, *bundle){
	"keys that overlap":              testAckKeys,
	"up to a cursor and from a time": testAckBounds,
	"what is posted later":           testAckLater,
	"many, and at once":              testAckMany,
	"everything that was posted":     testPosted,
	"posted by pages":                testPostedPages,
}

func (b *bundle) ack(t *testing.T, f store.MailboxFilter, upTo domain.Cursor) int64 {
	t.Helper()
	n, err := b.Acknowledge(t.Context(), f, upTo, time.Time{})
	require.NoError(t, err)
	return n
}

func (b *bundle) posted(t *testing.T, f store.PostedFilter) []store.Posted {
	t.Helper()
	if f.Limit == 0 {
		f.Limit = 500
	}
	posted, err := b.PostedMessages(t.Context(), f)
	require.NoError(t, err)
	return posted
}

var (
	ofTenant  = store.MailboxFilter{Tenant: "acme", AllUsers: true}
	ofUser    = store.MailboxFilter{Tenant: "acme", UserID: "u"}
	ofSession = store.MailboxFilter{Tenant: "acme", UserID: "u", SessionID: new("s1")}
)

func testAckKeys(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.outcomes(t, "p", "m",
		domain.MailboxKey{Tenant: "acme"},
		domain.MailboxKey{Tenant: "acme", UserID: "u"},
		domain.MailboxKey{Tenant: "acme", UserID: "u", SessionID: "s1"},
		domain.MailboxKey{Tenant: "acme", UserID: "u", SessionID: "s2"},
		domain.MailboxKey{Tenant: "acme", UserID: "v"},
		domain.MailboxKey{Tenant: "other", UserID: "u", SessionID: "s1"})
	all := domain.Cursor{"p": 100}
	left := func(want ...domain.TaskID) {
		t.Helper()
		require.Equal(t, want, about(b.messages(t, ofTenant)))
	}
	require.Zero(t, b.ack(t, store.MailboxFilter{Tenant: "acme", UserID: "nobody"}, all))
	require.Zero(t, b.ack(t, store.MailboxFilter{Tenant: "acme"}, all), "no user is no mailbox")
	require.Zero(t, b.ack(t, ofTenant, nil))
	require.Zero(t, b.ack(t, ofTenant, domain.Cursor{"q": 100}))

	at := b.clock.Now()
	require.Equal(t, int64(1), b.ack(t, ofSession, all))
	left("m-0000", "m-0001", "m-0003", "m-0004")
	require.Empty(t, b.messages(t, ofSession))
	require.Equal(t, []domain.TaskID{"m-0001", "m-0003"}, about(b.messages(t, ofUser)))

	b.clock.Advance(time.Minute)
	require.Equal(t, int64(2), b.ack(t, ofUser, all), "what the session's key acknowledged is so already")
	left("m-0000", "m-0004")
	require.Equal(t, int64(2), b.ack(t, ofTenant, all))
	require.Empty(t, b.messages(t, ofTenant))
	for _, f := range []store.MailboxFilter{ofTenant, ofUser, ofSession} {
		require.Zero(t, b.ack(t, f, all), "again")
	}
	require.Len(t, b.messages(t, store.MailboxFilter{Tenant: "other", AllUsers: true}), 1)

	posted := b.posted(t, store.PostedFilter{})
	require.Len(t, posted, 6, "they are there until retention")
	for i, want := range []*time.Time{new(at.Add(time.Minute)), new(at.Add(time.Minute)), &at, new(at.Add(time.Minute)), new(at.Add(time.Minute)), nil} {
		require.Equal(t, want, posted[i].AckedAt, i)
	}
}

func testAckBounds(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.pool(t, "q")
	key := domain.MailboxKey{Tenant: "acme", UserID: "u", SessionID: "s1"}
	for _, id := range []domain.PoolID{"p", "q"} {
		b.outcomes(t, id, string(id)+"-a", key, key)
	}
	middle := b.clock.Advance(time.Minute)
	for _, id := range []domain.PoolID{"p", "q"} {
		b.outcomes(t, id, string(id)+"-b", key, key)
	}
	for i, f := range []store.MailboxFilter{ofSession, ofUser, ofTenant} {
		f.Since, f.Limit = middle, 1
		upTo := domain.Cursor{"p": 3}
		if i > 0 {
			upTo = domain.Cursor{"q": int64(2 + i)}
		}
		require.Equal(t, int64(1), b.ack(t, f, upTo), "inclusive at both ends, whatever the limit")
	}
	require.Equal(t, []domain.TaskID{"p-a-0000", "p-a-0001", "q-a-0000", "q-a-0001", "p-b-0001"}, about(b.messages(t, ofTenant)))
	require.Equal(t, int64(3), b.ack(t, ofUser, domain.Cursor{"p": 2, "q": 1}))
	require.Equal(t, []domain.TaskID{"q-a-0001", "p-b-0001"}, about(b.messages(t, ofTenant)))
}

func testAckLater(t *testing.T, b *bundle) {
	b.pool(t, "p")
	key := domain.MailboxKey{Tenant: "acme", UserID: "u", SessionID: "s1"}
	b.outcomes(t, "p", "a", key, key)
	require.Equal(t, int64(2), b.ack(t, ofUser, domain.Cursor{"p": 2}))
	b.outcomes(t, "p", "b", key)
	require.Equal(t, []domain.TaskID{"b-0000"}, about(b.messages(t, ofUser)))

	// Delivered again by an outbox, what is acknowledged stays so.
	posted := b.posted(t, store.PostedFilter{MaxPayload: 1000, Limit: 2})
	again := []domain.Message{posted[0].Message, posted[1].Message}
	again[0].AckedAt, again[1].AckedAt = nil, nil
	require.NoError(t, b.PutMessages(t.Context(), again))
	require.Equal(t, []domain.TaskID{"b-0000"}, about(b.messages(t, ofUser)))
}

// testAckMany acknowledges more than one statement takes, by keys that overlap, at once.
func testAckMany(t *testing.T, b *bundle) {
	const n = 12_000
	batch := make([]domain.Message, 0, n)
	for i := range n {
		source := domain.Source(fmt.Sprint("far", i%2))
		batch = append(batch, domain.Message{
			Source: source, Seq: int64(1 + i/2), PoolID: domain.PoolID(source), TaskID: domain.TaskID(fmt.Sprint(i)), Submission: 1,
			Mailbox: domain.MailboxKey{Tenant: "acme", UserID: "u", SessionID: fmt.Sprint("s", i%3)},
			Status:  domain.StatusCompleted, CreatedAt: b.clock.Now(),
		})
	}
	for part := range slices.Chunk(batch, 1000) { // one call has one timeout, whatever the machine
		require.NoError(t, b.PutMessages(t.Context(), part))
	}
	var counts [4]int64
	var errs [4]error
	var all sync.WaitGroup
	for i, f := range []store.MailboxFilter{ofTenant, ofUser, ofSession, ofUser} {
		all.Go(func() {
			counts[i], errs[i] = b.Acknowledge(t.Context(), f, domain.Cursor{"far0": n / 2, "far1": n/2 - 1}, time.Time{})
		})
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, int64(n-1), counts[0]+counts[1]+counts[2]+counts[3], "each once")
	require.Equal(t, []domain.TaskID{batch[n-1].TaskID}, about(b.messages(t, ofTenant)))
}

func testPosted(t *testing.T, b *bundle) {
	heads, err := b.MessageHeads(t.Context())
	require.NoError(t, err)
	require.Empty(t, heads)
	b.pool(t, "p")
	b.pool(t, "silent")
	b.outcomes(t, "p", "a", domain.MailboxKey{Tenant: "acme", UserID: "u"}, domain.MailboxKey{Tenant: "other"})
	require.Equal(t, int64(1), b.ack(t, ofTenant, domain.Cursor{"p": 2}))
	long := domain.Message{
		Source: "far", Seq: 7, PoolID: "far", TaskID: "long", Submission: 1, Status: domain.StatusCompleted,
		Mailbox: domain.MailboxKey{Tenant: "acme", UserID: "u", SessionID: "s1"}, CreatedAt: b.clock.Now().Add(time.Second),
		Payload: []byte(`"` + strings.Repeat("é", 50) + `"`), // 102 bytes
	}
	require.NoError(t, b.PutMessages(t.Context(), []domain.Message{long}))

	posted := b.posted(t, store.PostedFilter{MaxPayload: 101})
	require.Equal(t, []domain.TaskID{"a-0000", "a-0001", "long"}, []domain.TaskID{posted[0].TaskID, posted[1].TaskID, posted[2].TaskID})
	require.JSONEq(t, `{"ok":true}`, string(posted[0].Payload))
	require.NotNil(t, posted[0].AckedAt)
	require.Nil(t, posted[1].AckedAt)
	require.Equal(t, []bool{false, false, true}, []bool{posted[0].Cut, posted[1].Cut, posted[2].Cut})
	require.Nil(t, posted[2].Payload)
	require.Equal(t, long, b.posted(t, store.PostedFilter{MaxPayload: 102, Cursor: domain.Cursor{"p": 2}})[0].Message)

	heads, err = b.MessageHeads(t.Context())
	require.NoError(t, err)
	require.Equal(t, domain.Cursor{"p": 2, "far": 7}, heads)

	heads, err = b.EventHeads(t.Context())
	require.NoError(t, err)
	view, err := b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, domain.Cursor{"p": view.EventSeq}, heads, "far has messages only, and silent nothing yet")
}

func testPostedPages(t *testing.T, b *bundle) {
	pools := []domain.PoolID{"p", "q", "r"}
	for i, id := range pools {
		b.pool(t, id)
		for n := range 3 + i {
			b.outcomes(t, id, fmt.Sprint("t", n), domain.MailboxKey{Tenant: domain.Tenant(fmt.Sprint("t", n)), UserID: "u"})
		}
	}
	cursor, seen := domain.Cursor{}, domain.Cursor{}
	for {
		page := b.posted(t, store.PostedFilter{Cursor: cursor, Limit: 2})
		for _, m := range page {
			seen[m.Source]++
			require.Equal(t, seen[m.Source], m.Seq, "no gap and nothing twice")
			cursor[m.Source] = m.Seq
		}
		if len(page) == 0 {
			break
		}
	}
	require.Equal(t, domain.Cursor{"p": 3, "q": 4, "r": 5}, seen)
	only := b.posted(t, store.PostedFilter{Source: "q", Cursor: domain.Cursor{"q": 1}, Limit: 2})
	require.Len(t, only, 2)
	require.Equal(t, []int64{2, 3}, []int64{only[0].Seq, only[1].Seq})
	require.Equal(t, domain.Source("q"), only[0].Source)
}
