package domain_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
)

func TestLeaseIDsNameTheirAttempt(t *testing.T) {
	t.Parallel()
	for _, ref := range []domain.Ref{
		{PoolID: "p", JobID: 1, Attempt: 1}, {PoolID: "a.b:c-d_e.7", JobID: 1 << 40, Attempt: 100},
	} {
		got, ok := domain.NewLeaseID(ref, "t0k-en_").Ref()
		require.True(t, ok)
		require.Equal(t, ref, got)
	}
	for _, id := range []domain.LeaseID{
		"", ".", "...", "p", "p.1.1", "p.1.1.", ".1.1.x", "p.0.1.x", "p.-1.1.x", "p.1.0.x", "p.x.1.x", "p.1.x.x",
		"p.1.99999999999.x", "p.99999999999999999999.1.x",
	} {
		_, ok := id.Ref()
		require.False(t, ok, id)
	}
}

func TestHoldersThatAreLeases(t *testing.T) {
	t.Parallel()
	require.True(t, domain.LeaseHolder("w").Leased())
	require.False(t, domain.WorkerID("7b1c0f2e").Leased())
	require.False(t, domain.WorkerID("").Leased())
}
