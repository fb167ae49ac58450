package postgres_test

import (
	"testing"

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
