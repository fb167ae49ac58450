package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDraw(t *testing.T) {
	t.Parallel()
	places := Places{
		Kill: {"a", "b", "c"}, Freeze: {"a", "b", "c"}, FreezeLong: {"a", "b"}, CrashPostgres: {""}, Drop: {"b"}, DiskFull: nil,
	}
	const duration, every, ttl = 5 * time.Minute, 2 * time.Second, 3 * time.Second
	for seed := range uint64(50) {
		faults := Draw(seed, duration, every, ttl, places)
		require.Equal(t, faults, Draw(seed, duration, every, ttl, places), "the same seed")
		require.NotEqual(t, faults, Draw(seed+1, duration, every, ttl, places), "another seed")
		count, free := map[Kind]int{}, map[string]time.Duration{}
		for _, f := range faults {
			count[f.Kind]++
			require.Contains(t, places[f.Kind], f.Target)
			require.GreaterOrEqual(t, f.At, free[f.Target], "one at a time on %q", f.Target)
			require.LessOrEqual(t, f.At+f.For, duration)
			free[f.Target] = f.At + f.For
			switch f.Kind {
			case FreezeLong:
				require.Greater(t, f.For, ttl)
			case Freeze:
				require.Less(t, f.For, ttl)
			}
		}
		require.Len(t, count, 5, "every kind that has a place")
		for kind, n := range count {
			require.InDelta(t, len(faults)/5, n, 1, "as many of each: %s", kind)
		}
	}
}
