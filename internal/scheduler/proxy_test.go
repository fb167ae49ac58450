package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/scheduler"
)

// proxy carries connections to Postgres and cuts them when it is told to.
type proxy struct {
	target string
	ln     net.Listener

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

// throughProxy returns the database as it is reached through a new proxy.
func throughProxy(t *testing.T, db dbtest.DB) (dbtest.DB, *proxy) {
	t.Helper()
	u, err := url.Parse(db.URL)
	require.NoError(t, err)
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{target: u.Host, ln: ln, conns: make(map[net.Conn]struct{})}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		require.NoError(t, ln.Close())
		p.cut(true)
		p.wg.Wait()
	})
	u.Host = ln.Addr().String()
	db.URL = u.String()
	return db, p
}

func (p *proxy) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.carry(c) })
	}
}

func (p *proxy) carry(client net.Conn) {
	defer client.Close()
	var d net.Dialer
	server, err := d.DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	if p.down {
		p.mu.Unlock()
		return
	}
	p.conns[client], p.conns[server] = struct{}{}, struct{}{}
	p.mu.Unlock()

	var both sync.WaitGroup
	pump := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // ends with the connection
		_ = to.Close()
		_ = from.Close()
	}
	both.Go(func() { pump(server, client) })
	both.Go(func() { pump(client, server) })
	both.Wait()
	p.mu.Lock()
	delete(p.conns, client)
	delete(p.conns, server)
	p.mu.Unlock()
}

// cut ends all connections; while down there are no new ones.
func (p *proxy) cut(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.down = down
	for c := range p.conns {
		_ = c.Close()
	}
}

// Connections are cut at whatever moment: before a turn, between its statements,
// during COMMIT, under the heartbeat and LISTEN. Every submission is repeated until
// it is answered, as a client would.
func TestPostgresConnectionsCutAtAnyMoment(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	st := connection(t, db)
	create(t, st, newPool(domain.BackendPostgres))
	behind, p := throughProxy(t, db)
	opts := postgresOptions(connection(t, behind))
	opts.WorkerTTL = time.Hour // an outage shorter than the TTL leaves running work alone
	opts.Patience = 300 * time.Millisecond
	seen := &outcomes{n: make(map[string]int)}
	opts.Metrics = seen
	proc := launch(t, opts, newRunner(nil))
	require.NoError(t, proc.Registered(t.Context(), domain.BackendPostgres))

	const submitters, each = 8, 12
	stop := make(chan struct{})
	var cuts, work sync.WaitGroup
	cuts.Go(func() {
		random := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				p.cut(false)
				return
			case <-time.After(time.Duration(5+random.IntN(120)) * time.Millisecond):
				p.cut(random.IntN(4) == 0)
			}
		}
	})
	for s := range submitters {
		work.Go(func() {
			for i := range each {
				one := []plan.Submit{submit(fmt.Sprintf("%d-%d", s, i))}
				for end := time.Now().Add(soon); ; time.Sleep(glimpse) {
					err := answerOr(proc.Submit(context.Background(), poolID, one))
					if err == nil {
						break
					}
					var e *domain.Error
					if !errors.As(err, &e) || e.Code != domain.CodeUnavailable || time.Now().After(end) {
						t.Errorf("submit: %v", err)
						return
					}
				}
			}
		})
	}
	time.AfterFunc(3*time.Second, func() { close(stop) })
	work.Wait()
	cuts.Wait()
	for s := range submitters {
		for i := range each {
			task := wantStatus(t, st, domain.TaskID(fmt.Sprintf("%d-%d", s, i)), domain.StatusCompleted)
			require.Equal(t, 1, task.Attempt)
			require.Equal(t, 1, task.Submission)
		}
	}
	starts := proc.run.started()
	require.Len(t, starts, submitters*each)
	for ref, n := range starts {
		require.Equal(t, 1, n, "attempt %v", ref)
	}
	wantBalance(t, st)
	proc.stop()
	t.Log("turns by outcome: ", seen.n)
}

// outcomes counts turns by what became of them.
type outcomes struct {
	mu sync.Mutex
	n  map[string]int
}

func (o *outcomes) Turn(r scheduler.TurnReport) {
	o.mu.Lock()
	defer o.mu.Unlock()

	o.n[r.Outcome]++
}

func (*outcomes) BackendUp(domain.Backend, bool) {}
