package check_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/garage/check"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
)

const (
	facility parking.FacilityID = "centre"
	tariff   string             = `{"name":"Day","timeZone":"Europe/Berlin","currency":"EUR","tiers":[{"fromMinute":0,"toMinute":null,"incrementMinutes":60,"value":200}],"period":"none","exitWindowMinutes":15}`
)

type fixture struct {
	*sqlite.Store
	t   *testing.T
	now time.Time
}

// setup is a facility of six spots in a row, with a vehicle standing on the first, a
// bus on the next two, the fourth offered to somebody, and one who has left.
func setup(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, now: time.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC)}
	var err error
	f.Store, err = sqlite.Open(t.Context(), sqlite.Options{Now: func() time.Time { return f.now }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	require.NoError(t, f.CreateStrategy(t.Context(), parking.StrategyRow{StrategyID: "day", Version: 1, Spec: []byte(tariff), CreatedAt: f.now}))
	f.facility(facility)
	for id, size := range map[string]parking.VehicleSize{"car": parking.SizeSmall, "bus": parking.SizeLarge, "gone": parking.SizeSmall, "waits": parking.SizeMedium} {
		require.NoError(t, f.CreateVehicle(t.Context(), parking.Vehicle{VehicleID: id, Plate: id, Jurisdiction: "DE", Size: size, Type: "car", CreatedAt: f.now}))
	}
	f.in(func(ctx context.Context, tx store.FacilityTx) error { return enter(ctx, tx, "t-car", "car", "s1") })
	f.in(func(ctx context.Context, tx store.FacilityTx) error {
		return enter(ctx, tx, "t-bus", "bus", "s2", "s3")
	})
	f.in(func(ctx context.Context, tx store.FacilityTx) error { return enter(ctx, tx, "t-gone", "gone", "s5") })
	f.now = f.now.Add(90 * time.Minute)
	f.in(func(ctx context.Context, tx store.FacilityTx) error { return leave(ctx, tx, "t-gone", 400) })
	f.in(func(ctx context.Context, tx store.FacilityTx) error {
		expires := tx.Now().Add(time.Hour)
		if err := tx.Hold(ctx, []string{"s4"}, "offer:w"); err != nil {
			return err
		}
		return tx.InsertWaiting(ctx, &parking.Waiting{
			WaitingID: "w", FacilityID: facility, VehicleID: "waits", Priority: domain.PriorityNormal, Deadline: expires,
			Status: parking.WaitingOffered, OfferSpotIDs: []string{"s4"}, OfferExpiresAt: &expires, CreatedAt: tx.Now(),
		})
	})
	return f
}

func (f *fixture) facility(id parking.FacilityID) {
	require.NoError(f.t, f.CreateFacility(f.t.Context(), parking.Facility{
		FacilityID: id, Name: "Centre", TimeZone: "Europe/Berlin", Currency: "EUR", StrategyID: "day", OfferHold: time.Minute,
		Rules: parking.Rules{Allocation: parking.FirstAvailable, WindowRule: parking.WindowNoneFree},
	}, f.now, domain.Event{Kind: parking.EventFacility}))
	require.NoError(f.t, f.InFacility(f.t.Context(), id, func(ctx context.Context, tx store.FacilityTx) error {
		var spots []parking.Spot
		for i, spot := range []string{"s1", "s2", "s3", "s4", "s5", "s6"} {
			spots = append(spots, parking.Spot{SpotID: spot, Kind: parking.KindRegular, Position: int64(i)})
		}
		if _, _, err := tx.PutSpots(ctx, spots); err != nil {
			return err
		}
		return tx.Record(ctx, &domain.Event{Kind: parking.EventSpots})
	}))
}

func (f *fixture) in(change func(context.Context, store.FacilityTx) error) {
	f.t.Helper()
	require.NoError(f.t, f.InFacility(f.t.Context(), facility, change))
}

func enter(ctx context.Context, tx store.FacilityTx, ticket, vehicle string, spots ...string) error {
	if err := tx.InsertTicket(ctx, &parking.Ticket{
		TicketID: ticket, FacilityID: tx.Facility().FacilityID, VehicleID: vehicle, SpotIDs: spots, Status: parking.TicketOpen,
		EntryTime: tx.Now(), StrategyID: "day", StrategyVersion: 1,
	}); err != nil {
		return err
	}
	if err := tx.Occupy(ctx, spots, ticket, vehicle, ""); err != nil {
		return err
	}
	return tx.Record(ctx, &domain.Event{Kind: parking.EventEntry, Subjects: subjects(ticket, vehicle, spots)})
}

func leave(ctx context.Context, tx store.FacilityTx, ticket string, amount parking.Money) error {
	t, err := tx.Ticket(ctx, ticket)
	if err != nil {
		return err
	}
	now := tx.Now()
	if err := tx.InsertPayment(ctx, ticket, &parking.Payment{PaymentID: "p", Amount: amount, PaidAt: now}); err != nil {
		return err
	}
	t.Status, t.ExitTime, t.PricedUntil, t.Amount = parking.TicketClosed, &now, &now, &amount
	if err := tx.SetTicket(ctx, &t); err != nil {
		return err
	}
	if err := tx.Free(ctx, t.SpotIDs); err != nil {
		return err
	}
	return tx.Record(ctx, &domain.Event{Kind: parking.EventExit, Subjects: subjects(ticket, t.VehicleID, t.SpotIDs)})
}

func subjects(ticket, vehicle string, spots []string) []string {
	return append([]string{parking.TicketSubject(ticket), parking.VehicleSubject(vehicle)}, parking.SpotSubjects(spots...)...)
}

func TestKeptPromises(t *testing.T) {
	t.Parallel()
	f := setup(t)
	report, err := check.Run(t.Context(), f, check.Options{Keep: 10})
	require.NoError(t, err)
	require.Equal(t, check.Report{Facilities: []check.FacilityReport{
		{Facility: facility, Events: 6, Tickets: 3, Spots: 6, PeakTaken: 4, Compared: true},
	}}, report)
}

func TestBrokenPromises(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		promise check.Promise
		breaks  func(ctx context.Context, tx store.FacilityTx) error
	}{
		"a spot freed under its ticket": {check.PromiseSpots, func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Free(ctx, []string{"s1"})
		}},
		"a spot occupied by nobody": {check.PromiseSpots, func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Occupy(ctx, []string{"s6"}, "ghost", "car", "")
		}},
		"a spot held for nobody": {check.PromiseSpots, func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Hold(ctx, []string{"s6"}, "offer:nobody")
		}},
		"an offer of a spot that is not held": {check.PromiseSpots, func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Free(ctx, []string{"s4"})
		}},
		"an entry to a spot that is taken, by the trail": {check.PromiseSpots, func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Record(ctx, &domain.Event{Kind: parking.EventEntry, Subjects: subjects("t-twice", "other", []string{"s1"})})
		}},
		"a vehicle that enters twice, by the trail": {check.PromiseVehicles, func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Record(ctx, &domain.Event{Kind: parking.EventEntry, Subjects: subjects("t-twice", "car", []string{"s6"})})
		}},
		"a window with a gap": {check.PromiseWindows, func(ctx context.Context, tx store.FacilityTx) error {
			if err := tx.Free(ctx, []string{"s4"}); err != nil {
				return err
			}
			return enter(ctx, tx, "t-gap", "gone", "s4", "s6")
		}},
		"another price": {check.PromisePrice, func(ctx context.Context, tx store.FacilityTx) error {
			k, err := tx.Ticket(ctx, "t-gone")
			if err != nil {
				return err
			}
			less := parking.Money(200)
			k.Amount = &less
			return tx.SetTicket(ctx, &k)
		}},
		"money that was not paid": {check.PromiseMoney, func(ctx context.Context, tx store.FacilityTx) error {
			return tx.RefundPayments(ctx, "t-gone", tx.Now())
		}},
		"counts of another facility": {check.PromiseCounts, func(_ context.Context, tx store.FacilityTx) error {
			tx.Facility().Counts.Occupied--
			return tx.SetFacility(context.Background())
		}},
		"numbers that were not used": {check.PromiseSequence, func(_ context.Context, tx store.FacilityTx) error {
			tx.Facility().Sequences.Event += 3
			return tx.SetFacility(context.Background())
		}},
		"numbers left out": {check.PromiseSequence, func(ctx context.Context, tx store.FacilityTx) error {
			tx.Facility().Sequences.Event += 3
			return tx.Record(ctx, &domain.Event{Kind: parking.EventFacility})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.in(test.breaks)
			report, err := check.Run(t.Context(), f, check.Options{Keep: 100})
			require.NoError(t, err)
			require.NotZero(t, report.Violations)
			var promises []check.Promise
			for _, v := range report.First {
				promises = append(promises, v.Promise)
				require.Contains(t, v.String(), string(v.Promise)+": facility centre")
			}
			require.Contains(t, promises, test.promise)
		})
	}
}

func TestMissingFacility(t *testing.T) {
	t.Parallel()
	_, err := check.Run(t.Context(), setup(t), check.Options{Facilities: []parking.FacilityID{"nowhere"}})
	require.ErrorIs(t, err, store.ErrNotFound)
}
