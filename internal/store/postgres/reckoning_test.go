package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Two clocks: the database's is an hour ahead, and runs as fast.
var (
	here0  = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	offset = time.Hour
)

// reads has a reading that is taken at and arrives a while later.
func (r *reckoning) reads(at time.Time, way time.Duration) {
	r.saw(at.Add(offset), at, at.Add(way))
}

// A reckoning begins with a quick reading, is never ahead, and behind by the way of a quick reading and
// the drift since at most, however many slow ones come.
func TestAReckoningLagsByAQuickReadingAtMost(t *testing.T) {
	t.Parallel()
	var r reckoning
	r.reads(here0, mostLag+1)
	_, known := r.now(here0.Add(time.Second))
	require.False(t, known, "a slow reading begins none")

	at := here0
	for i := range 100 { // slow readings, and now and then a quick one
		at = at.Add(time.Second)
		way := 40 * time.Millisecond
		if i%50 == 0 {
			way = mostLag
		}
		r.reads(at, way)
		arrived := at.Add(way)
		now, known := r.now(arrived)
		require.True(t, known)
		lag := arrived.Add(offset).Sub(now)
		require.GreaterOrEqual(t, lag, time.Duration(0))
		require.LessOrEqual(t, lag, mostLag+reckonFor/drift+time.Microsecond)
	}
}

// With slow readings alone it ends, instead of drifting further away.
func TestAReckoningEndsWithoutQuickReadings(t *testing.T) {
	t.Parallel()
	var r reckoning
	r.reads(here0, time.Millisecond)
	at := here0
	for at.Before(here0.Add(reckonFor)) {
		_, known := r.now(at)
		require.True(t, known)
		r.reads(at, 100*time.Millisecond)
		at = at.Add(time.Second)
	}
	_, known := r.now(at.Add(time.Second))
	require.False(t, known)
	r.reads(at.Add(2*time.Second), time.Millisecond)
	_, known = r.now(at.Add(3 * time.Second))
	require.True(t, known, "the next quick one begins it anew")

	r.forget()
	_, known = r.now(at.Add(3 * time.Second))
	require.False(t, known)
}
