package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/dbtest"
)

// listener is a stream of a server's mailbox of all of tenant acme.
type listener struct {
	t      *testing.T
	lastID string

	mu    sync.Mutex
	tasks []string
	ended chan struct{} // of the connection there is
}

// listen follows a server's mailbox from the last id on.
func (l *listener) listen(ctx context.Context, s *server) {
	l.t.Helper()
	events, err := client.Events(s.api.FollowMailbox(ctx, "acme", client.TenantMailbox,
		&client.FollowMailboxParams{LastEventID: l.lastID}))
	require.NoError(l.t, err)
	l.ended = make(chan struct{})
	go func() {
		defer close(l.ended)
		defer func() { _ = events.Close() }()
		for {
			event, err := events.Next()
			if err != nil {
				return
			}
			var m client.Message
			if json.Unmarshal(event.Data, &m) != nil {
				return
			}
			l.mu.Lock()
			l.tasks, l.lastID = append(l.tasks, m.TaskID), event.ID
			l.mu.Unlock()
		}
	}()
}

// has waits until as many messages came, and checks that each came once.
func (l *listener) has(want int) {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.tasks) >= want
	}, 30*time.Second, 5*time.Millisecond)
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := make(map[string]bool)
	for _, task := range l.tasks {
		require.False(l.t, seen[task], "task %s came twice", task)
		seen[task] = true
	}
	require.Len(l.t, l.tasks, want)
}

// TestStreamAcrossServers: what one server settles reaches the streams of the other,
// also after its LISTEN connection was killed, and a stream goes on elsewhere when its
// server stops.
func TestStreamAcrossServers(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	dir := t.TempDir()
	args := []string{"--config", write(t, dir, "c.yaml", fmt.Sprintf(postgresConfig, db.URL, db.Schema, 1200))}
	one, two := serve(t, dir, args...), serve(t, dir, args...)
	l := &listener{t: t}
	l.listen(t.Context(), one)
	posted := 0
	post := func(s *server, n int) {
		for range n {
			s.submit("native", fmt.Sprintf("t%d", posted), 1, time.Millisecond)
			posted++
		}
	}
	post(two, 10)
	l.has(posted)
	post(one, 10)
	post(two, 10)
	l.has(posted)

	conn, err := pgx.Connect(t.Context(), db.URL)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	killed, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a
		WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.query LIKE 'LISTEN%'`)
	require.NoError(t, err)
	require.Positive(t, killed.RowsAffected())
	post(two, 10)
	l.has(posted)
	_, err = conn.Exec(t.Context(), `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a
		WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()`)
	require.NoError(t, err)
	for range 20 { // every connection is gone: asked again, a task is taken once
		require.Eventually(t, func() bool {
			_, err := two.trySubmit("native", fmt.Sprintf("t%d", posted), 1, time.Millisecond)
			return err == nil
		}, 20*time.Second, 50*time.Millisecond)
		posted++
	}
	l.has(posted)

	one.signal(syscall.SIGTERM)
	select {
	case <-l.ended:
	case <-time.After(20 * time.Second):
		require.Fail(t, "the stream outlives its server")
	}
	require.Equal(t, 0, one.exit())
	post(two, 10)
	l.listen(t.Context(), two)
	post(two, 10)
	l.has(posted)
}

// TestLongPollsAndStreamsOfAFile: the same on the embedded backend, where the file's
// server stops and starts again.
func TestLongPollsAndStreamsOfAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := []string{"--config", write(t, dir, "c.yaml", "pools: [{pool_id: native, max_units: 8, executors: {default: {type: sleep}}}]")}
	s := serve(t, dir, config...)
	l := &listener{t: t}
	l.listen(t.Context(), s)
	polled := make(chan *http.Response, 1)
	go func() {
		res, err := s.api.ReadMailbox(context.WithoutCancel(t.Context()), "acme", client.TenantMailbox, &client.ReadMailboxParams{Wait: new("20s")})
		if err == nil {
			polled <- res
		}
	}()
	time.Sleep(100 * time.Millisecond) // the poll is under way, most likely; either way it is answered
	for i := range 10 {
		s.submit("native", fmt.Sprintf("t%d", i), 1, time.Millisecond)
	}
	l.has(10)
	page, err := client.Read[client.MailboxPage](<-polled, nil)
	require.NoError(t, err)
	require.NotEmpty(t, page.Messages)
	s.signal(syscall.SIGTERM)
	<-l.ended
	require.Equal(t, 0, s.exit())
	s = serve(t, dir, config...)
	l.listen(t.Context(), s)
	for i := range 10 {
		s.submit("native", fmt.Sprintf("u%d", i), 1, time.Millisecond)
	}
	l.has(20)
}
