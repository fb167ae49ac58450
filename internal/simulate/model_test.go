package simulate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDrawIsReproducible(t *testing.T) {
	t.Parallel()
	m := Model{Seed: 7, Drivers: 2000, Gates: 4, Span: 48 * time.Hour, Stay: 2 * time.Hour}
	drivers := m.Draw()
	require.Equal(t, drivers, m.Draw())
	other := m
	other.Seed = 8
	require.NotEqual(t, drivers, other.Draw())

	plates, sizes := map[string]bool{}, map[string]int{}
	for i, d := range drivers {
		plates[d.Plate] = true
		sizes[d.Size]++
		require.GreaterOrEqual(t, d.Stays, time.Minute)
		require.Less(t, d.Gate, m.Gates)
		if i > 0 {
			require.GreaterOrEqual(t, d.Arrives, drivers[i-1].Arrives)
		}
	}
	require.Len(t, plates, m.Drivers)
	require.Len(t, sizes, 3)
	require.InDelta(t, m.Span.Hours(), drivers[len(drivers)-1].Arrives.Hours(), 12)
}
