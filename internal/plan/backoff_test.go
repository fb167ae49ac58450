package plan

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parkinglot/parkinglot/internal/domain"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := domain.Backoff{
			Base: time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "base")),
			Max:  time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "max")),
		}
		if rapid.Bool().Draw(t, "usual") {
			b.Base, b.Max = b.Base%time.Minute, b.Max%time.Hour
		}
		ref := domain.Ref{
			PoolID: "p", JobID: domain.JobID(rapid.Int64().Draw(t, "job")),
			Attempt: rapid.IntRange(1, math.MaxInt).Draw(t, "attempt"),
		}
		delay := backoff(b, ref)
		require.Equal(t, delay, backoff(b, ref))
		require.Zero(t, delay%time.Microsecond)
		if b.Base == 0 {
			require.Zero(t, delay)
			return
		}
		limit := maxBackoff
		if b.Max > 0 {
			limit = min(limit, b.Max)
		}
		want := min(float64(limit), float64(b.Base)*math.Pow(2, float64(ref.Attempt-1)))
		require.LessOrEqual(t, float64(delay), want)
		require.GreaterOrEqual(t, float64(delay), want*3/4-float64(2*time.Microsecond))
	})
}

func TestSpreadIsEven(t *testing.T) {
	t.Parallel()
	var buckets [10]int
	for job := range 10_000 {
		buckets[int(spread(domain.Ref{PoolID: "p", JobID: domain.JobID(job), Attempt: 1})*10)]++
	}
	for _, n := range buckets {
		require.InDelta(t, 1000, n, 150)
	}
}

func TestTagsSaturate(t *testing.T) {
	t.Parallel()
	turn := &turn{ledger: newLedger(&Snapshot{Pool: domain.Pool{Policy: domain.PolicyFair}}, 0, 0)}
	for _, rank := range []int64{0, math.MaxInt64 - 1, math.MaxInt64} {
		finish := turn.finish(&domain.Task{Units: domain.MaxPoolUnits, Rank: rank})
		require.GreaterOrEqual(t, finish, rank)
	}
	turn.pool.Tenants = map[domain.Tenant]domain.TenantPolicy{"a": {Weight: math.MaxInt64}}
	require.Equal(t, int64(8), turn.finish(&domain.Task{Tenant: "a", Units: 1, Rank: 7}), "a tag always moves")
}
