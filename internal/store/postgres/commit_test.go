package postgres_test

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// The answer to COMMIT is lost. The turn went through, and asking says so.
func TestUnknownCommitThatWentThrough(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	b := &bundle{Store: open(t, db, postgres.Options{}), db: db}
	b.pool(t, "p")
	wire := newWire(t, db.URL)
	cut := open(t, db, postgres.Options{URL: wire.url})
	for _, name := range []string{"a", "b", "c"} { // until all statements are prepared
		_, err := cut.Turn(t.Context(), spec(plan.Requests{Submits: tasks(name, 1)}))
		require.NoError(t, err)
	}
	s := spec(plan.Requests{Submits: tasks("d", 1)})
	s.Decide = func(snap plan.Snapshot, rq *plan.Requests) plan.Decisions {
		wire.muteUntil(func() bool {
			var turns int
			err := db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM pl_pool_turns WHERE pool_id = 'p' AND turn_no > $1",
				snap.Counters.TurnNo).Scan(&turns)
			return err != nil || turns > 0
		})
		return plan.Turn(snap, rq)
	}
	d, err := cut.Turn(t.Context(), s)
	require.ErrorIs(t, err, store.ErrCommitUnknown)
	committed, err := b.TurnCommitted(t.Context(), "p", d.Counters.TurnNo, d.Counters.TurnID)
	require.NoError(t, err)
	require.True(t, committed)
	b.agrees(t)
}

// The backend dies while it commits. The turn did not go through, and asking says so.
func TestUnknownCommitThatDidNot(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	b.exec(t, `CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END $$`)
	b.exec(t, `CREATE CONSTRAINT TRIGGER die AFTER INSERT ON pl_pool_turns DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION die()`)
	d, err := b.Turn(t.Context(), spec(plan.Requests{Submits: tasks("a", 1)}))
	require.ErrorIs(t, err, store.ErrCommitUnknown)
	committed, err := b.TurnCommitted(t.Context(), "p", d.Counters.TurnNo, d.Counters.TurnID)
	require.NoError(t, err)
	require.False(t, committed)

	b.exec(t, "DROP TRIGGER die ON pl_pool_turns")
	b.turn(t, plan.Requests{Submits: tasks("a", 1)})
	b.agrees(t)
}

// A server that goes away is unavailable, not a failure of the request.
func TestServerGoneIsErrUnavailable(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	b := &bundle{Store: open(t, db, postgres.Options{}), db: db}
	b.pool(t, "p")
	wire := newWire(t, db.URL)
	cut := open(t, db, postgres.Options{URL: wire.url})
	wire.close()
	_, err := cut.Turn(t.Context(), spec(plan.Requests{Submits: tasks("a", 1)}))
	require.ErrorIs(t, err, store.ErrUnavailable)
	_, err = cut.Pool(t.Context(), "p")
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorIs(t, cut.Ping(t.Context()), store.ErrUnavailable)
}

// However much a turn carries, it is two round trips; with something to insert into
// River one more for each of the inserter's own.
func TestATurnIsTwoRoundTrips(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	wire := newWire(t, db.URL)
	b := &bundle{Store: open(t, db, postgres.Options{URL: wire.url, MaxConns: 1}), db: db}
	b.pool(t, "p", func(p *domain.Pool) { p.MaxUnits = 1000 })
	far := time.Now().Add(time.Hour)
	settle := []plan.Settle{}
	trips := 0
	// The first turns prepare their statements. All of them together finish too few events to
	// have any summarised beside them.
	for i := range 4 {
		before := wire.tripsSoFar()
		d := b.turn(t, plan.Requests{
			Settles: settle, Cancels: []plan.Cancel{{TaskID: "nobody"}},
			Submits: tasks(fmt.Sprint("t", i), 100, units(12), func(s *plan.Submit) { s.Deadline = &far }),
		})
		settle = settled(d.Started)
		trips = wire.tripsSoFar() - before
	}
	require.Equal(t, 2, trips)
}

// wire stands between a store and its server.
type wire struct {
	url      string
	listener net.Listener

	mu     sync.Mutex
	conns  []net.Conn
	mute   bool
	asking bool // the last bytes went to the server
	trips  int
}

func newWire(t *testing.T, server string) *wire {
	t.Helper()
	u, err := url.Parse(server)
	require.NoError(t, err)
	target := u.Host
	w := &wire{}
	w.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u.Host = w.listener.Addr().String()
	w.url = u.String()
	t.Cleanup(w.close)
	go func() {
		for {
			client, err := w.listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				return
			}
			w.mu.Lock()
			w.conns = append(w.conns, client, upstream)
			w.mu.Unlock()
			go func() { _, _ = io.Copy(upstream, io.TeeReader(client, w)) }()
			go w.answers(client, upstream)
		}
	}()
	return w
}

// Write counts a round trip when the store speaks after the server has.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.asking {
		w.asking = true
		w.trips++
	}
	return len(p), nil
}

func (w *wire) tripsSoFar() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trips
}

func (w *wire) answers(client, upstream net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := upstream.Read(buf)
		w.mu.Lock()
		mute := w.mute
		w.asking = false
		w.mu.Unlock()
		if err != nil {
			return
		}
		if !mute {
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

// muteUntil lets what the store says through and swallows the answers, and cuts once done.
func (w *wire) muteUntil(done func() bool) {
	w.mu.Lock()
	w.mute = true
	w.mu.Unlock()
	go func() {
		for !done() {
			time.Sleep(time.Millisecond)
		}
		w.close()
	}()
}

func (w *wire) close() {
	_ = w.listener.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}
