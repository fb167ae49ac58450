package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/fleet"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/scheduler"
)

// Connections are cut at whatever moment: before a turn, between its statements,
// during COMMIT, under the heartbeat and LISTEN. Every submission is repeated until
// it is answered, as a client would.
func TestPostgresConnectionsCutAtAnyMoment(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	st := connection(t, db)
	create(t, st, newPool(domain.BackendPostgres))
	p, err := fleet.NewProxy(db.URL, "127.0.0.1")
	require.NoError(t, err)
	t.Cleanup(p.Close)
	behind := db
	behind.URL = p.URL
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
				p.Drop()
				return
			case <-time.After(time.Duration(5+random.IntN(120)) * time.Millisecond):
				if random.IntN(4) == 0 {
					p.Cut()
				} else {
					p.Drop()
				}
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

func (*outcomes) Swept(domain.Backend, string, int64)   {}
func (*outcomes) OldestAudit(domain.Backend, time.Time) {}
