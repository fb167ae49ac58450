package storetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
	"github.com/parkinglot/parkinglot/internal/store/storetest"
)

func openPostgres(t *testing.T, clock *storetest.Clock) []*subject {
	t.Helper()
	db := dbtest.Postgres(t)
	s, err := postgres.Open(t.Context(), postgres.Options{URL: db.URL, Schema: db.Schema, Now: clock.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return []*subject{{Store: s, name: "postgres"}}
}
