package scheduler_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
)

// BenchmarkLifecycle runs tasks that do nothing from submission to settlement,
// mailbox and audit included, with submitters that wait for each answer. It reports
// lifecycles and turns a second.
func BenchmarkLifecycle(b *testing.B) {
	backends := map[string]func(b *testing.B) store.Store{
		"memory":   func(b *testing.B) store.Store { b.Helper(); return file(b, "") },
		"postgres": func(b *testing.B) store.Store { b.Helper(); return connection(b, dbtest.Postgres(b)) },
		"file":     func(b *testing.B) store.Store { b.Helper(); return file(b, filepath.Join(b.TempDir(), "q.db")) },
	}
	for name, open := range backends {
		for _, submitters := range []int{1, 32, 256, 1024} {
			b.Run(fmt.Sprintf("%s/submitters=%d", name, submitters), func(b *testing.B) {
				benchLifecycle(b, open(b), submitters)
			})
		}
	}
}

func benchLifecycle(b *testing.B, st store.Store, submitters int) {
	b.Helper()
	_, err := st.CreatePool(b.Context(), newPool(st.Backend(), func(p *domain.Pool) { p.MaxUnits = 1_000_000 }), now())
	require.NoError(b, err)
	var ended atomic.Int64
	all := make(chan struct{})
	n := int64(b.N)
	run := newRunner(nil)
	counted := &counting{}
	opts := benchOptions(st)
	opts.Metrics = counted
	p := launch(b, opts, run)
	settle := run.settle
	run.settle = func(ctx context.Context, s plan.Settle) (plan.Answer, error) {
		a, err := settle(ctx, s)
		if ended.Add(1) == n {
			close(all)
		}
		return a, err
	}
	mailbox := domain.MailboxKey{Tenant: "acme", UserID: "ann"}
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range submitters {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > n {
					return
				}
				one := submit(strconv.FormatInt(i, 10), func(s *plan.Submit) { s.Mailbox = &mailbox })
				if err := answerOr(p.Submit(context.Background(), poolID, []plan.Submit{one})); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	<-all
	b.StopTimer()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "lifecycles/s")
	b.ReportMetric(float64(counted.turns.Load())/b.Elapsed().Seconds(), "turns/s")
}

func benchOptions(st store.Store) scheduler.Options {
	o := options(st)
	return scheduler.Options{Worker: o.Worker, Stores: o.Stores, Pools: o.Pools}
}

// counting counts turns that wrote.
type counting struct{ turns, idle atomic.Int64 }

func (c *counting) Turn(r scheduler.TurnReport) {
	switch r.Outcome {
	case scheduler.OutcomeCommitted:
		c.turns.Add(1)
	case scheduler.OutcomeIdle:
		c.idle.Add(1)
	}
}

func (*counting) BackendUp(domain.Backend, bool) {}

func (*counting) Swept(domain.Backend, string, int64)   {}
func (*counting) OldestAudit(domain.Backend, time.Time) {}
