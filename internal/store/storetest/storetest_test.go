package storetest_test

import (
	"testing"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/storetest"
)

// TestModel runs the suite over the reference model, so that whoever differs from
// the model in the differential test differs from what the suite promises.
func TestModel(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) (store.Store, *storetest.Clock) {
		clock := storetest.NewClock()
		return storetest.NewModel(domain.BackendMemory, clock.Now), clock
	})
}
