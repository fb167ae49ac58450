package postgres_test

import (
	"testing"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
	"github.com/parkinglot/parkinglot/internal/store/storetest"
)

func TestParkingConformance(t *testing.T) {
	t.Parallel()
	storetest.RunParking(t, func(t *testing.T) ([]storetest.ParkingStore, *storetest.Clock) {
		clock, db := storetest.NewClock(), dbtest.Postgres(t)
		opts := postgres.Options{Now: clock.Now, MaxConns: 4}
		return []storetest.ParkingStore{open(t, db, opts), open(t, db, opts)}, clock
	})
}
