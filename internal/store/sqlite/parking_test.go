package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/parkinglot/parkinglot/internal/store/storetest"
)

func TestParkingMemory(t *testing.T) {
	t.Parallel()
	storetest.RunParking(t, func(t *testing.T) ([]storetest.ParkingStore, *storetest.Clock) {
		s, clock := open(t, "")
		return []storetest.ParkingStore{s}, clock
	})
}

func TestParkingFile(t *testing.T) {
	t.Parallel()
	storetest.RunParking(t, func(t *testing.T) ([]storetest.ParkingStore, *storetest.Clock) {
		s, clock := open(t, filepath.Join(t.TempDir(), "parking.db"))
		return []storetest.ParkingStore{s}, clock
	})
}
