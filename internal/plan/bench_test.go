package plan_test

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/plan/plantest"
)

// BenchmarkTurn measures the planner alone, in nanoseconds a task: submitted,
// looked at, settled or started.
func BenchmarkTurn(b *testing.B) {
	// What a process that serves holds as well, so that its collector runs as rarely.
	const ballast = 32 << 20
	defer runtime.KeepAlive(make([]byte, ballast))
	pool := func(units domain.Units, policy domain.PriorityPolicy) domain.Pool {
		return domain.Pool{
			PoolID: "llm", State: domain.PoolActive, MaxUnits: units, MaxQueueDepth: 1 << 30, DefaultTimeout: time.Minute,
			Runtime: domain.RuntimeNative, Policy: policy, ResourceKind: domain.KindCPU,
			MaxOvertakes: 1 << 20, MaxAttempts: 1, Executors: []string{"default"}, Version: 1,
		}
	}
	submits := func(n int, units domain.Units, tenants int) []plan.Submit {
		out := make([]plan.Submit, n)
		for i := range out {
			out[i] = task(domain.TaskID(fmt.Sprintf("task-%06d", i)), units, of(domain.Tenant(fmt.Sprintf("tenant-%d", i%tenants))), mailed)
		}
		return out
	}
	b.Run("submit and start", func(b *testing.B) {
		measure(b, 1000, plantest.New(pool(1000, domain.PolicyFIFO)), plan.Requests{Submits: submits(1000, 1, 1)})
	})
	b.Run("submit and queue", func(b *testing.B) {
		m := plantest.New(pool(1000, domain.PolicyFIFO))
		must(m.Turn(epoch, &plan.Requests{Submits: []plan.Submit{task("run", 1000)}}))
		measure(b, 1000, m, plan.Requests{Submits: submits(1000, 1, 1)})
	})
	b.Run("look at candidates that do not fit", func(b *testing.B) {
		m := plantest.New(pool(1000, domain.PolicyFIFO))
		must(m.Turn(epoch, &plan.Requests{Submits: []plan.Submit{task("run", 999)}}))
		must(m.Turn(epoch, &plan.Requests{Submits: submits(1000, 2, 1)}))
		measure(b, 256, m, plan.Requests{})
	})
	for _, policy := range []domain.PriorityPolicy{domain.PolicyFIFO, domain.PolicyFair} {
		for _, tenants := range []int{1, 1000} {
			b.Run(fmt.Sprintf("settle and start the next, %s, %d tenants", policy, tenants), func(b *testing.B) {
				m := plantest.New(pool(250, policy))
				must(m.Turn(epoch, &plan.Requests{Submits: submits(5000, 1, tenants)}))
				var settles []plan.Settle
				for i := range m.Tasks {
					if t := &m.Tasks[i]; t.Status == domain.StatusRunning {
						settles = append(settles, plan.Settle{Ref: t.Ref(), Verdict: plan.VerdictCompleted, Result: []byte("1")})
					}
				}
				measure(b, 2*len(settles), m, plan.Requests{Settles: settles})
			})
		}
	}
}

func must(d plan.Decisions, err error) plan.Decisions {
	if err != nil {
		panic(err)
	}
	return d
}

// measure decides the same turn again and again. A turn may change its snapshot, so
// each gets a copy, outside the clock.
func measure(b *testing.B, tasks int, m *plantest.Model, req plan.Requests) {
	b.Helper()
	snap := m.Snapshot(epoch.Add(time.Second), &req)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		c := snap
		c.Candidates, c.Tenants, c.Held = slices.Clone(c.Candidates), maps.Clone(c.Tenants), maps.Clone(c.Held)
		b.StartTimer()
		plan.Turn(c, &req)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(tasks), "ns/task")
}
