package domain_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// FuzzUnits compares the saturating arithmetic with arithmetic that has no end.
func FuzzUnits(f *testing.F) {
	edges := []int64{0, 1, -1, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1, int64(domain.MaxPoolUnits)}
	for _, u := range edges {
		for _, v := range edges {
			f.Add(u, v)
		}
	}
	f.Fuzz(func(t *testing.T, u, v int64) {
		a, b := big.NewInt(u), big.NewInt(v)
		require.Equal(t, clamp(new(big.Int).Add(a, b)), domain.Units(u).Add(domain.Units(v)))
		require.Equal(t, clamp(new(big.Int).Sub(a, b)), domain.Units(u).Sub(domain.Units(v)))
	})
}

func clamp(n *big.Int) domain.Units {
	switch {
	case n.IsInt64():
		return domain.Units(n.Int64())
	case n.Sign() > 0:
		return math.MaxInt64
	}
	return math.MinInt64
}
