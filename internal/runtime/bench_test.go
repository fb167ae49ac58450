package runtime_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/workers"
)

// BenchmarkSubmitToEntry measures, on an otherwise idle pool, how long it takes from
// the call of Submit until the executor is entered.
//
//	go test -run '^$' -bench SubmitToEntry -benchtime 300x ./internal/runtime
func BenchmarkSubmitToEntry(b *testing.B) {
	for name, open := range runtimes() {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			entered := make(chan time.Time, 1)
			p := s.start(b, does(func(context.Context, workers.Task) (string, error) {
				entered <- time.Now()
				return "", nil
			}))
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				id := "t" + strconv.Itoa(i)
				from := time.Now()
				p.submit(b, id)
				took = append(took, (<-entered).Sub(from))
				s.ended(b, domain.TaskID(id))
			}
			slices.Sort(took)
			ms := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
			b.ReportMetric(ms(0.5), "p50-ms")
			b.ReportMetric(ms(0.95), "p95-ms")
			b.ReportMetric(ms(1), "max-ms")
		})
	}
}
