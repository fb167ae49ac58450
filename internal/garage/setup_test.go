package garage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/garage"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
	"github.com/parkinglot/parkinglot/internal/store/storetest"
)

const (
	city   = parking.FacilityID("city")
	tariff = "hourly"
	actor  = "tester"
)

// world is a garage with a store and a clock of its own.
type world struct {
	*garage.Garage
	*testing.T
	store interface {
		store.Parking
		store.Audit
		store.Mailboxes
	}
	clock *storetest.Clock
}

// backends runs a test on every dialect.
func backends(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		clock := storetest.NewClock()
		s, err := sqlite.Open(t.Context(), sqlite.Options{Now: clock.Now})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		test(t, newWorld(t, s, clock))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		clock, db := storetest.NewClock(), dbtest.Postgres(t)
		s, err := postgres.Open(t.Context(), postgres.Options{URL: db.URL, Schema: db.Schema, Now: clock.Now})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		require.NoError(t, s.EnsureAudit(t.Context(), clock.Now()))
		test(t, newWorld(t, s, clock))
	})
}

func newWorld(t *testing.T, s interface {
	store.Parking
	store.Audit
	store.Mailboxes
}, clock *storetest.Clock,
) *world {
	t.Helper()
	return &world{
		Garage: garage.New(garage.Options{
			Store: s, Now: clock.Now, Pools: func() []domain.PoolID { return []domain.PoolID{"llm"} },
		}),
		T: t, store: s, clock: clock,
	}
}

// hourly is 200 an hour, ten minutes of grace, 15 to leave, 5000 for a lost ticket,
// and half as much again above 50 % occupancy.
func hourly() parking.Spec {
	return parking.Spec{
		StrategyID: tariff, Name: "By the hour", TimeZone: "UTC", Currency: "EUR", GraceMinutes: 10, ExitWindowMinutes: 15,
		Tiers: []parking.TierSpec{{IncrementMinutes: 60, Value: 200}}, LostFee: new(parking.Money(5000)),
		Surge: []parking.SurgeSpec{{AboveBP: 5000, BP: 15000}},
	}
}

// open makes the facility city with the tariff and regular spots r-1, r-2, … in a row.
func (w *world) open(spots int) {
	w.Helper()
	_, err := w.CreateStrategy(w.Context(), hourly(), actor)
	require.NoError(w, err)
	_, err = w.CreateFacility(w.Context(), parking.NewFacility{
		FacilityID: city, Name: "City", TimeZone: "UTC", Currency: "EUR", StrategyID: tariff,
	}, actor)
	require.NoError(w, err)
	row := make([]parking.Spot, spots)
	for i := range row {
		row[i] = parking.Spot{SpotID: fmt.Sprintf("r-%d", i+1), Kind: parking.KindRegular, Position: int64(i + 1)}
	}
	_, err = w.ImportSpots(w.Context(), city, row, actor)
	require.NoError(w, err)
}

// car names a vehicle by its plate.
func car(plate string) *parking.NewVehicle {
	return &parking.NewVehicle{Plate: plate, Jurisdiction: "de", Size: parking.SizeMedium, Type: "car"}
}

func bus(plate string) *parking.NewVehicle {
	return &parking.NewVehicle{Plate: plate, Jurisdiction: "de", Size: parking.SizeLarge, Type: "truck"}
}

// park lets a car in.
func (w *world) park(plate string) parking.TicketView {
	w.Helper()
	entered, err := w.Enter(w.Context(), city, parking.NewEntry{Vehicle: car(plate)}, actor)
	require.NoError(w, err)
	require.NotNil(w, entered.Ticket)
	return *entered.Ticket
}

func (w *world) pay(ticket, id string, amount parking.Money) parking.TicketView {
	w.Helper()
	t, err := w.Pay(w.Context(), ticket, parking.NewPayment{PaymentID: id, Amount: amount, Method: "card"}, actor)
	require.NoError(w, err)
	return t
}

// spots returns the states of the facility's spots by id.
func (w *world) states() map[string]parking.SpotState {
	w.Helper()
	spots, err := w.Spots(w.Context(), store.SpotFilter{Facility: city, Limit: 1000})
	require.NoError(w, err)
	states := map[string]parking.SpotState{}
	for i := range spots {
		states[spots[i].SpotID] = spots[i].State
	}
	return states
}

// events returns the kinds of a subject's events.
func (w *world) events(subject string) []domain.EventKind {
	w.Helper()
	events, err := w.store.Events(w.Context(), store.EventFilter{Subject: subject, Limit: 500})
	require.NoError(w, err)
	var kinds []domain.EventKind
	for i := range events {
		kinds = append(kinds, events[i].Kind)
	}
	return kinds
}

// refusedFor requires an error of a code, and returns it.
func refusedFor(t *testing.T, code domain.Code, err error) *domain.Error {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, domain.CodeOf(err), "%v", err)
	var refusal *domain.Error
	require.ErrorAs(t, err, &refusal)
	require.NotEmpty(t, refusal.Message)
	return refusal
}

// faultsAt requires an invalid request with faults at exactly these places.
func faultsAt(t *testing.T, err error, places ...string) {
	t.Helper()
	var at []string
	for _, f := range refusedFor(t, domain.CodeInvalid, err).Faults {
		at = append(at, f.Location)
	}
	require.ElementsMatch(t, places, at)
}

func minutes(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
