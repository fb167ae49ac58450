package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

var vehicleTests = map[string]func(*testing.T, *house){
	"come back as written":    testVehicleRoundTrip,
	"an id and a plate, once": testVehicleTaken,
	"tariffs have versions":   testStrategies,
	"events in one register":  testRegister,
}

func testVehicleRoundTrip(t *testing.T, h *house) {
	v := parking.Vehicle{
		VehicleID: "v", BodyHash: hashOf("v"), Plate: "ÄB123", Jurisdiction: "AT", Size: parking.SizeLarge, Type: "truck",
		Permits: []string{"resident", "ev, \"fast\""}, CreatedAt: h.clock.Now(),
	}
	require.NoError(t, h.CreateVehicle(t.Context(), v))
	got, err := h.Vehicle(t.Context(), "v")
	require.NoError(t, err)
	require.Equal(t, v, got)
	got, err = h.VehicleByPlate(t.Context(), "ÄB123", "AT")
	require.NoError(t, err)
	require.Equal(t, v, got)
	for _, miss := range [][2]string{{"ÄB123", "DE"}, {"äB123", "AT"}} {
		_, err = h.VehicleByPlate(t.Context(), miss[0], miss[1])
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	_, err = h.Vehicle(t.Context(), "V")
	require.ErrorIs(t, err, store.ErrNotFound)

	require.NoError(t, h.SetPermits(t.Context(), "v", []string{"staff"}))
	got, err = h.Vehicle(t.Context(), "v")
	require.NoError(t, err)
	v.Permits = []string{"staff"}
	require.Equal(t, v, got)
	require.NoError(t, h.SetPermits(t.Context(), "v", nil))
	got, err = h.Vehicle(t.Context(), "v")
	require.NoError(t, err)
	require.Empty(t, got.Permits)
	require.ErrorIs(t, h.SetPermits(t.Context(), "none", []string{"staff"}, *event("parking.vehicle")), store.ErrNotFound)
}

func testVehicleTaken(t *testing.T, h *house) {
	h.vehicle(t, "v", parking.SizeSmall)
	same := vehicleOf("v", parking.SizeLarge, h.clock.Now())
	require.ErrorIs(t, h.CreateVehicle(t.Context(), same), store.ErrExists, "the same plate as well")
	same.Plate = "other"
	require.ErrorIs(t, h.CreateVehicle(t.Context(), same), store.ErrExists)
	other := vehicleOf("w", parking.SizeLarge, h.clock.Now())
	other.Plate = "v"
	require.ErrorIs(t, h.CreateVehicle(t.Context(), other, *event("parking.vehicle")), store.ErrConflict)
	other.Jurisdiction = "FR"
	require.NoError(t, h.CreateVehicle(t.Context(), other))
	got, err := h.Vehicle(t.Context(), "v")
	require.NoError(t, err)
	require.Equal(t, parking.SizeSmall, got.Size)
	bad := vehicleOf("x", "huge", h.clock.Now())
	require.ErrorIs(t, h.CreateVehicle(t.Context(), bad), store.ErrData)
}

func testStrategies(t *testing.T, h *house) {
	row := func(version int, spec string) parking.StrategyRow {
		return parking.StrategyRow{StrategyID: "s", Version: version, BodyHash: hashOf(spec), Spec: []byte(spec), CreatedAt: h.clock.Now()}
	}
	one, two := row(1, `{"name" : "é", "b":1, "a":2}`), row(2, `{}`)
	require.NoError(t, h.CreateStrategy(t.Context(), one))
	require.ErrorIs(t, h.CreateStrategy(t.Context(), row(1, `{}`)), store.ErrExists)
	h.clock.Advance(time.Minute)
	require.NoError(t, h.CreateStrategy(t.Context(), two))
	for version, want := range map[int]parking.StrategyRow{0: two, 1: one, 2: {StrategyID: "s", Version: 2, BodyHash: two.BodyHash, Spec: two.Spec, CreatedAt: two.CreatedAt}} {
		got, err := h.StrategyVersion(t.Context(), "s", version)
		require.NoError(t, err)
		require.Equal(t, want.Version, got.Version)
		require.Equal(t, string(want.Spec), string(got.Spec), "as it was written")
		require.Equal(t, want.BodyHash, got.BodyHash)
	}
	_, err := h.StrategyVersion(t.Context(), "s", 3)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = h.StrategyVersion(t.Context(), "none", 0)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorIs(t, h.CreateStrategy(t.Context(), row(0, `{}`)), store.ErrData)
}

// testRegister numbers the events of what belongs to no facility in one source.
func testRegister(t *testing.T, h *house) {
	v := vehicleOf("v", parking.SizeSmall, h.clock.Now())
	require.NoError(t, h.CreateVehicle(t.Context(), v, *event("parking.vehicle", "vehicle:v"), *event("parking.vehicle", "vehicle:v")))
	require.ErrorIs(t, h.CreateVehicle(t.Context(), v, *event("parking.vehicle", "vehicle:v")), store.ErrExists)
	h.clock.Advance(-time.Second)
	require.NoError(t, h.SetPermits(t.Context(), "v", []string{"x"}, *event("parking.vehicle", "vehicle:v")))
	require.NoError(t, h.CreateStrategy(t.Context(), parking.StrategyRow{
		StrategyID: "s", Version: 1, BodyHash: hashOf("s"), Spec: []byte("{}"), CreatedAt: h.clock.Now(),
	}, *event("parking.strategy", "strategy:s")))
	events, err := h.Events(t.Context(), store.EventFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, events, 4)
	for i := range events {
		require.Equal(t, parking.RegisterSource, events[i].Source)
		require.Equal(t, int64(i+1), events[i].Seq)
		require.Equal(t, events[0].At, events[i].At, "time never goes back")
	}
}
