package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
	"github.com/parkinglot/parkinglot/internal/store/storetest"
)

func TestConformanceMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) (store.Store, *storetest.Clock) { return open(t, "") })
}

func TestConformanceFile(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) (store.Store, *storetest.Clock) {
		return open(t, filepath.Join(t.TempDir(), "data dir", "ümläut?&#%.db"))
	})
}

// open opens a store that is closed when the test ends.
func open(t *testing.T, path string) (*sqlite.Store, *storetest.Clock) {
	t.Helper()
	clock := storetest.NewClock()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Now: clock.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, clock
}
