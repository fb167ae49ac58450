package postgres_test

import (
	"fmt"
	"testing"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// BenchmarkTurn measures turns that each submit and start some tasks, and settle
// what the turn before has started: a lifecycle is one submission. Behind 10,000
// queued tasks, every start is one from the queue. The server has fsync off: what
// is measured is the work of both sides, not the disk.
func BenchmarkTurn(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		for _, queued := range []int{0, 10_000} {
			b.Run(fmt.Sprintf("tasks=%d/queued=%d", size, queued), func(b *testing.B) {
				s := setup(b, postgres.Options{}, func(p *domain.Pool) { p.MaxUnits, p.Policy = domain.Units(size), domain.PolicyFair })
				n := 0
				submits := func(count int) []plan.Submit {
					n++
					return tasks(fmt.Sprint("b", n), count)
				}
				d := s.turn(b, plan.Requests{Submits: submits(size)})
				for left := queued; left > 0; left -= 1000 {
					s.turn(b, plan.Requests{Submits: submits(min(left, 1000))})
				}
				for b.Loop() {
					d = s.turn(b, plan.Requests{Settles: settled(d.Started), Submits: submits(size)})
				}
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "lifecycles/s")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "turns/s")
			})
		}
	}
}
