package sqlite_test

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
)

// BenchmarkTurn measures turns that each submit and start some tasks, and settle
// what the turn before has started: a lifecycle is one submission. Behind 10,000
// queued tasks, every start is one from the queue.
func BenchmarkTurn(b *testing.B) {
	for _, backend := range []string{"memory", "file"} {
		for _, size := range []int{1, 10, 100, 1000} {
			for _, queued := range []int{0, 10_000} {
				b.Run(fmt.Sprintf("%s/tasks=%d/queued=%d", backend, size, queued), func(b *testing.B) {
					benchmarkTurn(b, backend, size, queued)
				})
			}
		}
	}
}

func benchmarkTurn(b *testing.B, backend string, size, queued int) {
	path := ""
	if backend == "file" {
		path = filepath.Join(b.TempDir(), "bench.db")
	}
	s, err := sqlite.Open(b.Context(), sqlite.Options{Path: path})
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	_, err = s.CreatePool(b.Context(), domain.Pool{
		PoolID: "p", Name: "p", State: domain.PoolActive, MaxUnits: domain.Units(size), MaxQueueDepth: 1_000_000, DefaultTimeout: 60e9,
		QueueBackend: s.Backend(), MailboxBackend: s.Backend(), Runtime: domain.RuntimeNative, Policy: domain.PolicyFair,
		ResourceKind: domain.KindCPU, MaxAttempts: 1,
	}, time.Now())
	require.NoError(b, err)
	n := 0
	submits := func(count int) []plan.Submit {
		list := make([]plan.Submit, count)
		for i := range list {
			n++
			hash := sha256.Sum256(fmt.Append(nil, n))
			list[i] = plan.Submit{
				TaskID: domain.TaskID(fmt.Sprint("task-", n)), BodyHash: hash[:], Tenant: "acme", Priority: domain.PriorityNormal, Units: 1,
				Executor: "default", Payload: []byte(`{"prompt":"hello"}`), Mailbox: &domain.MailboxKey{Tenant: "acme", UserID: "u"},
			}
		}
		return list
	}
	turn := func(rq plan.Requests) []plan.Settle {
		rq.TurnID, rq.Worker = "t", "w"
		d, err := s.Turn(b.Context(), store.TurnSpec{Pool: "p", Gather: func() *plan.Requests { return &rq }, Decide: plan.Turn})
		require.NoError(b, err)
		settles := make([]plan.Settle, len(d.Started))
		for i := range d.Started {
			settles[i] = plan.Settle{Ref: d.Started[i].Ref(), Units: 1, Verdict: plan.VerdictCompleted, Result: []byte(`{"ok":true}`)}
		}
		return settles
	}
	settles := turn(plan.Requests{Submits: submits(size)})
	for left := queued; left > 0; left -= 1000 {
		turn(plan.Requests{Submits: submits(min(left, 1000))})
	}
	b.ResetTimer()
	for b.Loop() {
		settles = turn(plan.Requests{Settles: settles, Submits: submits(size)})
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "lifecycles/s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "turns/s")
}
