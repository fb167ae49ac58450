package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
	"github.com/parkinglot/parkinglot/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) (store.Store, *storetest.Clock) {
		clock := storetest.NewClock()
		return open(t, dbtest.Postgres(t), postgres.Options{Now: clock.Now}), clock
	}, storetest.Fleet, storetest.ParallelPools)
}

// open opens a store on a test's database.
func open(t *testing.T, db dbtest.DB, opts postgres.Options) *postgres.Store {
	t.Helper()
	opts.URL, opts.Schema = db.URL, db.Schema
	s, err := postgres.Open(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}
