package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// ParkingStore is what the parking suite needs of a dialect: store.Parking, and the
// streams that it writes to.
type ParkingStore interface {
	store.Store
	store.Parking
}

// OpenParking returns the stores that processes have open on one empty backend of the
// test's own, one a process, and the clock that they read. It closes them when the
// test ends. A dialect that only one process may open returns one.
type OpenParking func(t *testing.T) ([]ParkingStore, *Clock)

// RunParking proves what store.Parking promises of the stores that open returns.
func RunParking(t *testing.T, open OpenParking) {
	t.Helper()
	for _, noun := range []struct {
		name  string
		tests map[string]func(*testing.T, *house)
	}{
		{"Facilities", facilityTests},
		{"Spots", spotTests},
		{"Allocation", allocationTests},
		{"Vehicles", vehicleTests},
		{"Tickets", ticketTests},
		{"Reservations", reservationTests},
		{"Waiting", waitingTests},
		{"Streams", streamTests},
		{"Races", raceTests},
	} {
		t.Run(noun.name, func(t *testing.T) {
			t.Parallel()
			for name, test := range noun.tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					stores, clock := open(t)
					require.NoError(t, stores[0].EnsureAudit(t.Context(), clock.Now()))
					test(t, &house{ParkingStore: stores[0], stores: stores, clock: clock})
				})
			}
		})
	}
}

// house is a store under test with what a test needs around it.
type house struct {
	ParkingStore
	stores []ParkingStore
	clock  *Clock
}

// garage is the facility that most tests use.
const garage parking.FacilityID = "garage"

func hashOf(body string) []byte {
	sum := sha256.Sum256([]byte(body))
	return sum[:]
}

// facility creates a facility with its tariff, changed by with, and puts spots into it.
func (h *house) facility(t *testing.T, id parking.FacilityID, spots []parking.Spot, with ...func(*parking.Facility)) parking.Facility {
	t.Helper()
	f := parking.Facility{
		FacilityID: id, BodyHash: hashOf(string(id)), Name: "Garage " + string(id), TimeZone: "Europe/Berlin", Currency: "EUR",
		Rules: parking.Rules{
			Allocation: parking.FirstAvailable, WindowRule: parking.WindowNoneFree,
			WindowSizes: map[parking.SpotKind]int64{parking.KindRegular: 2, parking.KindCompact: 3},
		},
		StrategyID: "tariff", MaxOvertakes: 16, OfferHold: 2 * time.Minute,
	}
	for _, change := range with {
		change(&f)
	}
	if _, err := h.StrategyVersion(t.Context(), "tariff", 1); err != nil {
		require.ErrorIs(t, err, store.ErrNotFound)
		require.NoError(t, h.CreateStrategy(t.Context(), parking.StrategyRow{
			StrategyID: "tariff", Version: 1, BodyHash: hashOf("tariff"), Spec: []byte(`{"name":"Tariff"}`), CreatedAt: h.clock.Now(),
		}))
	}
	require.NoError(t, h.CreateFacility(t.Context(), f, h.clock.Now()))
	if len(spots) > 0 {
		h.in(t, id, func(ctx context.Context, tx store.FacilityTx) error {
			_, _, err := tx.PutSpots(ctx, spots)
			return firstOf(err, tx.Record(ctx, event("parking.spots")))
		})
	}
	stored, err := h.Facility(t.Context(), id)
	require.NoError(t, err)
	return stored
}

// in makes a change that must succeed.
func (h *house) in(t *testing.T, id parking.FacilityID, change func(context.Context, store.FacilityTx) error) {
	t.Helper()
	require.NoError(t, h.InFacility(t.Context(), id, change))
}

// vehicle creates a vehicle; its plate is its id.
func (h *house) vehicle(t *testing.T, id string, size parking.VehicleSize) {
	t.Helper()
	require.NoError(t, h.CreateVehicle(t.Context(), vehicleOf(id, size, h.clock.Now())))
}

func vehicleOf(id string, size parking.VehicleSize, now time.Time) parking.Vehicle {
	return parking.Vehicle{
		VehicleID: id, BodyHash: hashOf(id), Plate: id, Jurisdiction: "DE", Size: size, Type: "car", CreatedAt: now,
	}
}

// enter parks a vehicle on spots: what an entry writes.
func (h *house) enter(t *testing.T, id parking.FacilityID, ticket, vehicle string, spots ...string) parking.Ticket {
	t.Helper()
	var k parking.Ticket
	h.in(t, id, func(ctx context.Context, tx store.FacilityTx) (err error) {
		k, err = park(ctx, tx, ticket, vehicle, "", spots...)
		return err
	})
	return k
}

// park writes an entry in a change under way.
func park(ctx context.Context, tx store.FacilityTx, ticket, vehicle, heldBy string, spots ...string) (parking.Ticket, error) {
	k := parking.Ticket{
		TicketID: ticket, FacilityID: tx.Facility().FacilityID, VehicleID: vehicle, SpotIDs: spots, Status: parking.TicketOpen,
		EntryTime: tx.Now(), StrategyID: "tariff", StrategyVersion: 1, EntryOccupancyBP: tx.Facility().Counts.OccupancyBP(),
	}
	e := event("parking.entry", "ticket:"+ticket, "vehicle:"+vehicle)
	if err := tx.Record(ctx, e); err != nil {
		return k, err
	}
	k.Seq = e.Seq
	if err := tx.Occupy(ctx, spots, ticket, vehicle, heldBy); err != nil {
		return k, err
	}
	return k, tx.InsertTicket(ctx, &k)
}

// leave closes a ticket: what an exit writes.
func leave(ctx context.Context, tx store.FacilityTx, ticket string) error {
	k, err := tx.Ticket(ctx, ticket)
	if err != nil {
		return err
	}
	now, amount := tx.Now(), parking.Money(0)
	k.Status, k.ExitTime, k.PricedUntil, k.Amount = parking.TicketClosed, &now, &now, &amount
	return firstOf(tx.SetTicket(ctx, &k), tx.Free(ctx, k.SpotIDs), tx.Record(ctx, event("parking.exit", "ticket:"+ticket)))
}

func event(kind domain.EventKind, subjects ...string) *domain.Event {
	return &domain.Event{Kind: kind, Subjects: subjects}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// row returns n spots of a kind next to each other, ids from prefix and position.
func row(prefix string, kind parking.SpotKind, level, rowNo int64, n int) []parking.Spot {
	spots := make([]parking.Spot, n)
	for i := range spots {
		spots[i] = parking.Spot{
			SpotID: fmt.Sprintf("%s%02d", prefix, i+1), Kind: kind, Level: level, Row: rowNo, Position: int64(i + 1), State: parking.SpotFree,
		}
	}
	return spots
}

// all reads every spot of a facility, by id.
func (h *house) all(t *testing.T, id parking.FacilityID) map[string]parking.PlacedSpot {
	t.Helper()
	spots, err := h.Spots(t.Context(), store.SpotFilter{Facility: id})
	require.NoError(t, err)
	byID := map[string]parking.PlacedSpot{}
	for _, s := range spots {
		byID[s.SpotID] = s
	}
	require.Len(t, byID, len(spots))
	return byID
}

// agrees proves that counts equal spots, that what stands on a spot is what live tickets
// say, and that the newest row of the history is the state now.
func (h *house) agrees(t *testing.T, id parking.FacilityID) {
	t.Helper()
	f, err := h.Facility(t.Context(), id)
	require.NoError(t, err)
	spots := h.all(t, id)
	var want parking.Counts
	standing := map[string][]string{}
	for _, s := range spots {
		want.Total++
		if s.State == parking.SpotOccupied {
			standing[s.TicketID] = append(standing[s.TicketID], s.SpotID)
		}
		if s.OutOfService {
			continue
		}
		want.InService++
		switch s.State {
		case parking.SpotOccupied:
			want.Occupied++
		case parking.SpotReserved:
			want.Reserved++
		case parking.SpotFree:
		}
	}
	require.Equal(t, want, f.Counts, "counts equal spots")

	open, err := h.Tickets(t.Context(), store.TicketFilter{Facility: id, Status: parking.TicketOpen})
	require.NoError(t, err)
	require.Len(t, open, len(standing), "one ticket for whoever stands here")
	for _, k := range open {
		require.ElementsMatch(t, k.SpotIDs, standing[k.TicketID], k.TicketID)
		for _, s := range k.SpotIDs {
			require.Equal(t, k.VehicleID, spots[s].VehicleID)
		}
	}

	rows, err := h.OccupancyNow(t.Context(), id)
	require.NoError(t, err)
	var sum parking.Counts
	for _, r := range rows {
		sum.Total, sum.InService = sum.Total+r.Total, sum.InService+r.InService
		sum.Occupied, sum.Reserved = sum.Occupied+r.Occupied, sum.Reserved+r.Reserved
	}
	require.Equal(t, want, sum)
	if want.Total > 0 {
		at := f.Sequences.At
		samples, err := h.OccupancyAt(t.Context(), id, []time.Time{at})
		require.NoError(t, err)
		require.Equal(t, []parking.OccupancySample{{At: at, InService: want.InService, Occupied: want.Occupied, Reserved: want.Reserved}}, samples)
	}
}

func spotIDs(spots []parking.Spot) []string {
	var ids []string
	for i := range spots {
		ids = append(ids, spots[i].SpotID)
	}
	return ids
}

// sortedIDs are the ids of spots in the order of bytes.
func sortedIDs(byID map[string]parking.PlacedSpot) []string {
	var ids []string
	for id := range byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
