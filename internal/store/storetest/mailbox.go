package storetest

import (
	"context"
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

var mailboxTests = map[string]func(*testing.T, *bundle){
	"who sees what":                   testMailboxKeys,
	"since and limit":                 testMailboxSince,
	"pages without a gap":             testMailboxPages,
	"a late commit is not passed":     testMailboxLateCommit,
	"a message of an earlier time":    testMailboxEarlierTime,
	"one message per outcome":         testMailboxOnce,
	"the outbox":                      testOutbox,
	"delivery from another backend":   testMailboxPut,
	"delivery is refused as a whole":  testMailboxPutRefused,
	"a mailbox backend that changes":  testOutboxChange,
	"messages are not of other pools": testMailboxPools,
}

func (b *bundle) messages(t *testing.T, f store.MailboxFilter) []domain.Message {
	t.Helper()
	if f.Limit == 0 {
		f.Limit = 500
	}
	messages, err := b.Messages(t.Context(), f)
	require.NoError(t, err)
	return messages
}

// outcomes runs tasks to their end, each with a mailbox key.
func (b *bundle) outcomes(t *testing.T, pool domain.PoolID, prefix string, keys ...domain.MailboxKey) {
	t.Helper()
	tasks := many(prefix, len(keys))
	for i := range keys {
		tasks[i].Mailbox, tasks[i].Tenant = &keys[i], keys[i].Tenant
	}
	d := b.submit(t, pool, tasks...)
	require.Len(t, d.Started, len(keys))
	b.complete(t, pool, d.Started...)
}

// about returns the tasks that messages are about.
func about(messages []domain.Message) []domain.TaskID {
	list := make([]domain.TaskID, len(messages))
	for i := range messages {
		list[i] = messages[i].TaskID
	}
	return list
}

func testMailboxKeys(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.outcomes(t, "p", "m",
		domain.MailboxKey{Tenant: "acme"},
		domain.MailboxKey{Tenant: "acme", UserID: "u"},
		domain.MailboxKey{Tenant: "acme", UserID: "u", SessionID: "s1"},
		domain.MailboxKey{Tenant: "acme", UserID: "u", SessionID: "s2"},
		domain.MailboxKey{Tenant: "acme", UserID: "_"},
		domain.MailboxKey{Tenant: "other", UserID: "u", SessionID: "s1"})
	session := func(s string) *string { return &s }
	for name, c := range map[string]struct {
		filter store.MailboxFilter
		want   []domain.TaskID
	}{
		"all of a tenant":  {store.MailboxFilter{Tenant: "acme", AllUsers: true}, []domain.TaskID{"m-0000", "m-0001", "m-0002", "m-0003", "m-0004"}},
		"a user":           {store.MailboxFilter{Tenant: "acme", UserID: "u"}, []domain.TaskID{"m-0001", "m-0002", "m-0003"}},
		"a session":        {store.MailboxFilter{Tenant: "acme", UserID: "u", SessionID: session("s1")}, []domain.TaskID{"m-0002"}},
		"no session":       {store.MailboxFilter{Tenant: "acme", UserID: "u", SessionID: session("")}, []domain.TaskID{"m-0001"}},
		"a user called _":  {store.MailboxFilter{Tenant: "acme", UserID: "_"}, []domain.TaskID{"m-0004"}},
		"nobody":           {store.MailboxFilter{Tenant: "acme", UserID: "v"}, []domain.TaskID{}},
		"no user":          {store.MailboxFilter{Tenant: "acme"}, []domain.TaskID{}},
		"another tenant":   {store.MailboxFilter{Tenant: "other", UserID: "u"}, []domain.TaskID{"m-0005"}},
		"an absent tenant": {store.MailboxFilter{Tenant: "acm", AllUsers: true}, []domain.TaskID{}},
	} {
		require.Equal(t, c.want, about(b.messages(t, c.filter)), name)
	}
	got := b.messages(t, store.MailboxFilter{Tenant: "acme", UserID: "u", SessionID: session("s1")})[0]
	require.Equal(t, domain.Message{
		Source: "p", Seq: 3, Mailbox: domain.MailboxKey{Tenant: "acme", UserID: "u", SessionID: "s1"}, PoolID: "p", TaskID: "m-0002",
		JobID: 3, Submission: 1, Status: domain.StatusCompleted, Payload: []byte(`{"ok":true}`), CreatedAt: b.clock.Now(),
	}, got)
}

func testMailboxSince(t *testing.T, b *bundle) {
	b.pool(t, "p")
	key := domain.MailboxKey{Tenant: "acme", UserID: "u"}
	b.outcomes(t, "p", "a", key)
	middle := b.clock.Advance(time.Minute)
	b.outcomes(t, "p", "b", key)
	b.clock.Advance(time.Minute)
	b.outcomes(t, "p", "c", key, key)
	for _, f := range []store.MailboxFilter{{Tenant: "acme", AllUsers: true}, {Tenant: "acme", UserID: "u"}} {
		f.Since = middle
		require.Equal(t, []domain.TaskID{"b-0000", "c-0000", "c-0001"}, about(b.messages(t, f)), "since is inclusive")
		f.Since = middle.Add(time.Microsecond)
		require.Equal(t, []domain.TaskID{"c-0000", "c-0001"}, about(b.messages(t, f)))
		f.Limit = 1
		require.Equal(t, []domain.TaskID{"c-0000"}, about(b.messages(t, f)))
		f.Cursor = domain.Cursor{"p": 3}
		require.Equal(t, []domain.TaskID{"c-0001"}, about(b.messages(t, f)))
	}
}

func testMailboxPages(t *testing.T, b *bundle) {
	pools := []domain.PoolID{"p", "q", "r"}
	for _, id := range pools {
		b.pool(t, id)
	}
	cursor := domain.Cursor{}
	seen := make(map[domain.Source]int64)
	read := func(limit int) int {
		page := b.messages(t, store.MailboxFilter{Tenant: "acme", UserID: "u", Cursor: maps.Clone(cursor), Limit: limit})
		require.LessOrEqual(t, len(page), limit)
		for _, m := range page {
			seen[m.Source]++
			require.Equal(t, seen[m.Source], m.Seq, "no gap and nothing twice")
			cursor[m.Source] = m.Seq
		}
		return len(page)
	}
	for i := range 10 {
		b.outcomes(t, pools[i*i%3], fmt.Sprint("t", i), slices.Repeat([]domain.MailboxKey{{Tenant: "acme", UserID: "u"}}, 1+i%4)...)
		b.clock.Advance(time.Duration(i%2) * time.Second)
		read(1 + i%3)
	}
	for read(4) > 0 {
	}
	for _, id := range pools {
		view, err := b.Pool(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, view.MessageSeq, seen[domain.Source(id)])
	}
}

// testMailboxLateCommit holds the turn of one pool open after it took its numbers
// and its time, while another pool's turn commits and a reader passes by.
func testMailboxLateCommit(t *testing.T, b *bundle) {
	b.pool(t, "late")
	b.pool(t, "quick")
	key := domain.MailboxKey{Tenant: "acme", UserID: "u"}
	late := b.submit(t, "late", task("l", mailbox(key))).Started[0]
	quick := b.submit(t, "quick", task("q", mailbox(key))).Started[0]
	settle := func(task domain.Task) plan.Requests {
		return plan.Requests{TurnID: string(task.TaskID), Worker: me, Settles: []plan.Settle{{Ref: task.Ref(), Units: 1, Verdict: plan.VerdictCompleted}}}
	}

	decided, release := make(chan struct{}), make(chan struct{})
	lateDone, quickDone := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := b.decide(context.WithoutCancel(t.Context()), "late", settle(late), func(s plan.Snapshot, rq *plan.Requests) plan.Decisions {
			d := plan.Turn(s, rq)
			close(decided)
			<-release
			return d
		})
		lateDone <- err
	}()
	<-decided
	b.clock.Advance(time.Second)
	go func() {
		_, err := b.try(context.WithoutCancel(t.Context()), "quick", settle(quick))
		quickDone <- err
	}()
	cursor := domain.Cursor{}
	if slices.Contains(b.traits, ParallelPools) {
		require.NoError(t, <-quickDone)
		page := b.messages(t, store.MailboxFilter{Tenant: "acme", UserID: "u"})
		require.Equal(t, []domain.TaskID{"q"}, about(page))
		cursor[page[0].Source] = page[0].Seq
		close(release)
		require.NoError(t, <-lateDone)
	} else {
		select {
		case err := <-quickDone:
			require.FailNow(t, "declare the trait ParallelPools", "the turns of two pools overlapped: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		close(release)
		require.NoError(t, <-lateDone)
		require.NoError(t, <-quickDone)
		cursor["quick"] = 1
	}
	page := b.messages(t, store.MailboxFilter{Tenant: "acme", UserID: "u", Cursor: cursor})
	require.Equal(t, []domain.TaskID{"l"}, about(page), "behind a cursor that was handed out before it was there")
	page = b.messages(t, store.MailboxFilter{Tenant: "acme", UserID: "u"})
	require.Equal(t, []domain.TaskID{"l", "q"}, about(page), "who begins anew reads by time")
}

func testMailboxEarlierTime(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.pool(t, "q")
	key := domain.MailboxKey{Tenant: "acme", UserID: "u"}
	b.clock.Advance(time.Hour)
	b.outcomes(t, "p", "new", key)
	cursor := domain.Cursor{"p": 1}
	b.clock.Advance(-30 * time.Minute)
	b.outcomes(t, "q", "old", key)
	require.Equal(t, []domain.TaskID{"old-0000"}, about(b.messages(t, store.MailboxFilter{Tenant: "acme", UserID: "u", Cursor: cursor})))
	require.Equal(t, []domain.TaskID{"old-0000", "new-0000"}, about(b.messages(t, store.MailboxFilter{Tenant: "acme", UserID: "u"})))
}

func testMailboxOnce(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.outcomes(t, "p", "a", domain.MailboxKey{Tenant: "acme"})
	before := b.state(t, "p")
	for name, second := range map[string]domain.Message{
		"the same number":  {Source: "p", Seq: 1, TaskID: "b", JobID: 2, Submission: 1},
		"the same outcome": {Source: "p", Seq: 2, TaskID: "a-0000", JobID: 1, Submission: 1},
	} {
		second.PoolID, second.Status, second.CreatedAt = "p", domain.StatusCompleted, b.clock.Now()
		second.Mailbox = domain.MailboxKey{Tenant: "acme"}
		_, err := b.decide(t.Context(), "p", plan.Requests{Submits: []plan.Submit{task("c")}}, tamper(func(d *plan.Decisions) {
			d.Messages = []domain.Message{second}
		}))
		require.ErrorIs(t, err, store.ErrGuard, name)
		require.Equal(t, before, b.state(t, "p"), name)
	}
}

// elsewhere is a backend that is not the one under test.
func (b *bundle) elsewhere() domain.Backend {
	if b.Backend() == domain.BackendPostgres {
		return domain.BackendFile
	}
	return domain.BackendPostgres
}

func testOutbox(t *testing.T, b *bundle) {
	for _, id := range []domain.PoolID{"q", "p"} {
		b.pool(t, id, func(p *domain.Pool) { p.MailboxBackend = b.elsewhere() })
		b.outcomes(t, id, string(id), domain.MailboxKey{Tenant: "acme", UserID: "u"}, domain.MailboxKey{Tenant: "acme"})
		b.outcomes(t, id, string(id)+"2", domain.MailboxKey{Tenant: "acme", UserID: "u", SessionID: "s"})
	}
	require.Empty(t, b.messages(t, store.MailboxFilter{Tenant: "acme", AllUsers: true}))
	waiting, err := b.Outbox(t.Context(), 100)
	require.NoError(t, err)
	require.Equal(t, []domain.TaskID{"p-0000", "p-0001", "p2-0000", "q-0000", "q-0001", "q2-0000"}, about(waiting))
	require.Equal(t, domain.Message{
		Source: "p", Seq: 3, Mailbox: domain.MailboxKey{Tenant: "acme", UserID: "u", SessionID: "s"}, PoolID: "p", TaskID: "p2-0000",
		JobID: 3, Submission: 1, Status: domain.StatusCompleted, Payload: []byte(`{"ok":true}`), CreatedAt: b.clock.Now(),
	}, waiting[2])
	two, err := b.Outbox(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, waiting[:2], two)
	require.NoError(t, b.OutboxDone(t.Context(), two))
	require.NoError(t, b.OutboxDone(t.Context(), two))
	require.NoError(t, b.OutboxDone(t.Context(), nil))
	left, err := b.Outbox(t.Context(), 100)
	require.NoError(t, err)
	require.Equal(t, waiting[2:], left)
}

func testOutboxChange(t *testing.T, b *bundle) {
	p := b.pool(t, "p")
	b.outcomes(t, "p", "here", domain.MailboxKey{Tenant: "acme"})
	p.MailboxBackend = b.elsewhere()
	b.turn(t, "p", plan.Requests{Changes: []plan.PoolChange{{Policy: &p, Actor: "ops"}}})
	b.outcomes(t, "p", "there", domain.MailboxKey{Tenant: "acme"})
	require.Equal(t, []domain.TaskID{"here-0000"}, about(b.messages(t, store.MailboxFilter{Tenant: "acme", AllUsers: true})))
	waiting, err := b.Outbox(t.Context(), 100)
	require.NoError(t, err)
	require.Equal(t, []domain.TaskID{"there-0000"}, about(waiting))
	require.Equal(t, int64(2), waiting[0].Seq, "the sequence is the pool's, wherever its messages go")
}

func testMailboxPut(t *testing.T, b *bundle) {
	b.pool(t, "local")
	b.outcomes(t, "local", "l", domain.MailboxKey{Tenant: "acme", UserID: "u"})
	foreign := func(source domain.Source, seq int64, text string) domain.Message {
		return domain.Message{
			Source: source, Seq: seq, Mailbox: domain.MailboxKey{Tenant: "acme", UserID: "u"}, PoolID: domain.PoolID(source),
			TaskID: domain.TaskID(fmt.Sprint("f", seq)), JobID: domain.JobID(seq), Submission: 1, Status: domain.StatusFailed,
			Reason:  domain.Reason{Code: domain.ReasonExecutorFailed, Message: text},
			Payload: []byte(`{"n":1}`), CreatedAt: b.clock.Now().Add(time.Duration(seq) * time.Second),
		}
	}
	first := []domain.Message{foreign("far", 1, "one"), foreign("far", 2, "two"), foreign("further", 1, "other")}
	require.NoError(t, b.PutMessages(t.Context(), first))
	// At least once: again, with one more, and with a text that must not win.
	again := []domain.Message{foreign("far", 1, "changed"), foreign("far", 3, "three")}
	require.NoError(t, b.PutMessages(t.Context(), again))
	require.NoError(t, b.PutMessages(t.Context(), nil))

	got := b.messages(t, store.MailboxFilter{Tenant: "acme", UserID: "u"})
	require.Equal(t, []domain.TaskID{"l-0000", "f1", "f1", "f2", "f3"}, about(got))
	require.Equal(t, first[0], got[1])
	require.Equal(t, first[2], got[2])
	require.Equal(t, again[1], got[4])
	got = b.messages(t, store.MailboxFilter{Tenant: "acme", UserID: "u", Cursor: domain.Cursor{"far": 2, "local": 1}})
	require.Equal(t, []domain.Message{first[2], again[1]}, got)
}

func testMailboxPutRefused(t *testing.T, b *bundle) {
	message := func(seq int64, text string) domain.Message {
		return domain.Message{
			Source: "far", Seq: seq, Mailbox: domain.MailboxKey{Tenant: "acme"}, PoolID: "far", TaskID: domain.TaskID(fmt.Sprint("f", seq)),
			Submission: 1, Status: domain.StatusFailed, Reason: domain.Reason{Message: text}, CreatedAt: b.clock.Now(),
		}
	}
	err := b.PutMessages(t.Context(), []domain.Message{message(1, "fine"), message(2, "\x00")})
	require.ErrorIs(t, err, store.ErrData)
	require.Empty(t, b.messages(t, store.MailboxFilter{Tenant: "acme", AllUsers: true}))
}

func testMailboxPools(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.pool(t, "q")
	key := domain.MailboxKey{Tenant: "acme", UserID: "u"}
	b.outcomes(t, "p", "same", key)
	b.outcomes(t, "q", "same", key) // the same task id, submission and sequence in another pool
	got := b.messages(t, store.MailboxFilter{Tenant: "acme", UserID: "u"})
	require.Len(t, got, 2)
	require.Equal(t, []domain.PoolID{"p", "q"}, []domain.PoolID{got[0].PoolID, got[1].PoolID})
}
