package garage_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

func TestEntry(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(3)
		ctx := t.Context()
		first := w.park("B 1")
		require.Equal(t, []string{"r-1"}, first.SpotIDs)
		require.Equal(t, parking.TicketOpen, first.Status)
		require.Equal(t, w.clock.Now(), first.EntryTime)
		require.Equal(t, new(int64(0)), first.EntryOccupancyBP, "measured before the entry")
		require.Equal(t, 1, first.StrategyVersion)

		entered, err := w.Enter(ctx, city, parking.NewEntry{Vehicle: bus("B 2")}, actor)
		require.NoError(t, err)
		require.Equal(t, []string{"r-2", "r-3"}, entered.Ticket.SpotIDs)
		require.Equal(t, new(int64(3333)), entered.Ticket.EntryOccupancyBP)
		require.Equal(t, map[string]parking.SpotState{"r-1": "occupied", "r-2": "occupied", "r-3": "occupied"}, w.states())

		stored, err := w.Ticket(ctx, first.TicketID)
		require.NoError(t, err)
		require.Equal(t, first.Ticket, stored.Ticket)
		listed, err := w.Tickets(ctx, store.TicketFilter{Facility: city, Status: parking.TicketOpen, Limit: 10})
		require.NoError(t, err)
		require.Len(t, listed, 2)
		require.Equal(t, []domain.EventKind{parking.EventEntry}, w.events("ticket:"+first.TicketID))
	})
}

func TestEntryRefused(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(2)
		ctx := t.Context()
		enter := func(request parking.NewEntry) error {
			_, err := w.Enter(ctx, city, request, actor)
			return err
		}
		parked := w.park("B 1")
		refusedFor(t, domain.CodeAlreadyParked, enter(parking.NewEntry{VehicleID: parked.VehicleID}))
		refusedFor(t, domain.CodeFull, enter(parking.NewEntry{Vehicle: bus("B 2")}))
		refusedFor(t, domain.CodeNoFitEver, enter(parking.NewEntry{Vehicle: car("B 3"), Features: []string{"ev"}}))
		w.park("B 3")
		refusedFor(t, domain.CodeFull, enter(parking.NewEntry{Vehicle: car("B 4")}))
		refusedFor(t, domain.CodeAlreadyParked, enter(parking.NewEntry{VehicleID: parked.VehicleID}))
		refusedFor(t, domain.CodeUnknownVehicle, enter(parking.NewEntry{VehicleID: "nobody"}))
		refusedFor(t, domain.CodePlateExists, enter(parking.NewEntry{Vehicle: bus("B 1")}))
		refusedFor(t, domain.CodeUnknownReservation, enter(parking.NewEntry{Vehicle: car("B 4"), ReservationID: "none"}))
		_, err := w.Enter(ctx, "nowhere", parking.NewEntry{Vehicle: car("B 4")}, actor)
		refusedFor(t, domain.CodeUnknownFacility, err)

		faultsAt(t, enter(parking.NewEntry{}), "body.vehicleId")
		faultsAt(t, enter(parking.NewEntry{
			Vehicle: car("?"), VehicleID: "v", Features: []string{"a b"}, Call: parking.Call{Given: true, Sequence: -1},
		}), "body.vehicleId", "body.features[0]", "body.gateId", "body.sequence")
		faultsAt(t, enter(parking.NewEntry{Vehicle: car("?")}), "body.vehicle.plate")
		faultsAt(t, enter(parking.NewEntry{Vehicle: car("B 4"), At: new(w.clock.Now().Add(6 * time.Second))}), "body.at")
		faultsAt(t, enter(parking.NewEntry{Vehicle: car("B 4"), At: new(w.clock.Now().AddDate(-11, 0, 0))}), "body.at")
		f, err := w.Facility(ctx, city)
		require.NoError(t, err)
		require.Equal(t, parking.Counts{Total: 2, InService: 2, Occupied: 2}, f.Counts)
	})
}

func TestVehicleParksInOneFacility(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(1)
		ctx := t.Context()
		_, err := w.CreateFacility(ctx, parking.NewFacility{FacilityID: "north", Name: "N", TimeZone: "UTC", Currency: "EUR", StrategyID: tariff}, actor)
		require.NoError(t, err)
		_, err = w.ImportSpots(ctx, "north", []parking.Spot{{SpotID: "r-1", Kind: parking.KindRegular}}, actor)
		require.NoError(t, err)
		w.park("B 1")
		_, err = w.Enter(ctx, "north", parking.NewEntry{Vehicle: car("b1")}, actor)
		refusedFor(t, domain.CodeAlreadyParked, err)
		f, err := w.Facility(ctx, "north")
		require.NoError(t, err)
		require.Zero(t, f.Counts.Occupied)
	})
}

func TestExitAndPayments(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(1)
		ctx := t.Context()
		ticket := w.park("B 1")
		w.clock.Advance(minutes(50))
		_, err := w.Exit(ctx, ticket.TicketID, parking.NewExit{}, actor)
		require.Equal(t, new(int64(200)), refusedFor(t, domain.CodePaymentRequired, err).Due)

		_, err = w.Pay(ctx, ticket.TicketID, parking.NewPayment{PaymentID: "p1", Amount: 201}, actor)
		refusedFor(t, domain.CodeOverpaid, err)
		w.pay(ticket.TicketID, "p1", 150)
		again := w.pay(ticket.TicketID, "p1", 150)
		require.Len(t, again.Payments, 1)
		require.Nil(t, again.WindowOpenedAt)
		_, err = w.Pay(ctx, ticket.TicketID, parking.NewPayment{PaymentID: "p1", Amount: 50, Method: "card"}, actor)
		refusedFor(t, domain.CodeExists, err)
		paid := w.pay(ticket.TicketID, "p2", 50)
		require.Equal(t, w.clock.Now(), *paid.WindowOpenedAt)
		paidAt := w.clock.Now()

		quote, err := w.Quote(ctx, ticket.TicketID, new(paidAt.Add(minutes(15))))
		require.NoError(t, err)
		require.Equal(t, parking.Money(200), quote.Price.Total)
		require.Zero(t, quote.Due)
		require.Equal(t, paidAt.Add(minutes(15)), *quote.FreeUntil)
		quote, err = w.Quote(ctx, ticket.TicketID, new(paidAt.Add(minutes(16))))
		require.NoError(t, err)
		require.Equal(t, parking.Money(200), quote.Due)
		require.Nil(t, quote.FreeUntil)
		_, err = w.Pay(ctx, ticket.TicketID, parking.NewPayment{PaymentID: "p3", Amount: 1}, actor)
		refusedFor(t, domain.CodeOverpaid, err)

		w.clock.Advance(minutes(16))
		_, err = w.Exit(ctx, ticket.TicketID, parking.NewExit{}, actor)
		require.Equal(t, new(int64(200)), refusedFor(t, domain.CodePaymentRequired, err).Due)
		w.pay(ticket.TicketID, "p3", 200)
		covered := w.clock.Now()
		w.clock.Advance(minutes(10))
		left, err := w.Exit(ctx, ticket.TicketID, parking.NewExit{}, actor)
		require.NoError(t, err)
		require.Equal(t, parking.TicketClosed, left.Status)
		require.Equal(t, new(parking.Money(400)), left.Amount)
		require.Equal(t, covered, *left.PricedUntil)
		require.Equal(t, w.clock.Now(), *left.ExitTime)
		require.Len(t, left.Lines, 2)
		require.Equal(t, map[string]parking.SpotState{"r-1": "free"}, w.states())

		stored, err := w.Ticket(ctx, ticket.TicketID)
		require.NoError(t, err)
		require.Equal(t, left, stored)
		quote, err = w.Quote(ctx, ticket.TicketID, nil)
		require.NoError(t, err)
		require.Equal(t, parking.Money(400), quote.Price.Total)
		require.Zero(t, quote.Due)

		_, err = w.Exit(ctx, ticket.TicketID, parking.NewExit{}, actor)
		refusedFor(t, domain.CodeTicketClosed, err)
		_, err = w.Pay(ctx, ticket.TicketID, parking.NewPayment{PaymentID: "p4", Amount: 1}, actor)
		refusedFor(t, domain.CodeTicketClosed, err)
		require.Len(t, w.pay(ticket.TicketID, "p3", 200).Payments, 3, "a known payment is known for ever")
		_, err = w.Adjust(ctx, ticket.TicketID, parking.NewAdjustment{
			AdjustmentID: "a1", Adjustment: parking.Adjustment{Kind: parking.AdjustFixed, Amount: 1},
		}, actor)
		refusedFor(t, domain.CodeTicketClosed, err)
		_, err = w.ReportLost(ctx, ticket.TicketID, nil, actor)
		refusedFor(t, domain.CodeTicketClosed, err)
		require.Equal(t, []domain.EventKind{
			parking.EventEntry, parking.EventPayment, parking.EventPayment, parking.EventPayment, parking.EventExit,
		}, w.events("ticket:"+ticket.TicketID))
		w.park("B 1")
	})
}

func TestPaymentFaults(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(1)
		ctx := t.Context()
		ticket := w.park("B 1").TicketID
		w.clock.Advance(minutes(30))
		_, err := w.Pay(ctx, ticket, parking.NewPayment{Amount: 0, Method: "\x00"}, actor)
		faultsAt(t, err, "body.paymentId", "body.amount", "body.method")
		_, err = w.Pay(ctx, ticket, parking.NewPayment{PaymentID: "p", Amount: 1, PaidAt: new(w.clock.Now().Add(minutes(-31)))}, actor)
		faultsAt(t, err, "body.paidAt")
		_, err = w.Pay(ctx, ticket, parking.NewPayment{PaymentID: "p", Amount: 1, PaidAt: new(w.clock.Now().Add(minutes(1)))}, actor)
		faultsAt(t, err, "body.paidAt")
		_, err = w.Exit(ctx, ticket, parking.NewExit{At: new(w.clock.Now().Add(minutes(-31)))}, actor)
		faultsAt(t, err, "body.at")
		_, err = w.Adjust(ctx, ticket, parking.NewAdjustment{Adjustment: parking.Adjustment{Kind: parking.AdjustPercent, BP: 10001}}, actor)
		faultsAt(t, err, "body.adjustmentId", "body.bp")
		_, err = w.Void(ctx, ticket, "", actor)
		faultsAt(t, err, "body.reason")
		_, err = w.Quote(ctx, ticket, new(w.clock.Now().AddDate(11, 0, 0)))
		faultsAt(t, err, "query.until")
		for _, err := range []error{
			second(w.Ticket(ctx, "none")), second(w.Quote(ctx, "none", nil)), second(w.Exit(ctx, "none", parking.NewExit{}, actor)),
			second(w.Pay(ctx, "none", parking.NewPayment{PaymentID: "p", Amount: 1}, actor)), second(w.Void(ctx, "none", "why", actor)),
			second(w.ReportLost(ctx, "none", nil, actor)),
		} {
			refusedFor(t, domain.CodeUnknownTicket, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestAdjustments(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(1)
		ctx := t.Context()
		ticket := w.park("B 1").TicketID
		w.clock.Advance(minutes(150))
		free := parking.NewAdjustment{
			AdjustmentID: "shop", Adjustment: parking.Adjustment{Kind: parking.AdjustFreeMinutes, Minutes: 60}, Reason: "bought bread",
		}
		for range 2 {
			adjusted, err := w.Adjust(ctx, ticket, free, actor)
			require.NoError(t, err)
			require.Len(t, adjusted.Adjustments, 1)
		}
		free.Minutes = 120
		_, err := w.Adjust(ctx, ticket, free, actor)
		refusedFor(t, domain.CodeExists, err)
		w.pay(ticket, "p1", 300)
		adjusted, err := w.Adjust(ctx, ticket, parking.NewAdjustment{
			AdjustmentID: "cinema", Adjustment: parking.Adjustment{Kind: parking.AdjustPercent, BP: 2500},
		}, actor)
		require.NoError(t, err)
		require.Equal(t, w.clock.Now(), *adjusted.WindowOpenedAt, "what was paid covers the price now")
		left, err := w.Exit(ctx, ticket, parking.NewExit{}, actor)
		require.NoError(t, err)
		require.Equal(t, new(parking.Money(300)), left.Amount)
	})
}

func TestLost(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(1)
		ctx := t.Context()
		ticket := w.park("B 1").TicketID
		w.clock.Advance(minutes(50))
		w.pay(ticket, "p1", 200)
		for range 2 {
			lost, err := w.ReportLost(ctx, ticket, nil, actor)
			require.NoError(t, err)
			require.True(t, lost.Lost)
			require.Nil(t, lost.WindowOpenedAt, "the fee is not paid")
		}
		_, err := w.Exit(ctx, ticket, parking.NewExit{}, actor)
		require.Equal(t, new(int64(4800)), refusedFor(t, domain.CodePaymentRequired, err).Due)
		w.pay(ticket, "p2", 4800)
		left, err := w.Exit(ctx, ticket, parking.NewExit{}, actor)
		require.NoError(t, err)
		require.Equal(t, new(parking.Money(5000)), left.Amount)
		require.Equal(t, parking.LineLost, left.Lines[len(left.Lines)-1].Kind)
		require.Equal(t, []domain.EventKind{
			parking.EventEntry, parking.EventPayment, parking.EventLost, parking.EventPayment, parking.EventExit,
		}, w.events("ticket:"+ticket))
	})
}

func TestVoid(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(1)
		ctx := t.Context()
		ticket := w.park("B 1").TicketID
		w.clock.Advance(minutes(50))
		w.pay(ticket, "p1", 150)
		void, err := w.Void(ctx, ticket, "barrier fault", actor)
		require.NoError(t, err)
		require.Equal(t, parking.TicketVoid, void.Status)
		require.Equal(t, parking.Money(150), void.Payments[0].Refunded)
		require.Nil(t, void.Amount)
		require.Equal(t, map[string]parking.SpotState{"r-1": "free"}, w.states())
		w.clock.Advance(minutes(1))
		again, err := w.Void(ctx, ticket, "another reason", actor)
		require.NoError(t, err)
		require.Equal(t, void, again)
		_, err = w.Exit(ctx, ticket, parking.NewExit{}, actor)
		refusedFor(t, domain.CodeTicketClosed, err)
		quote, err := w.Quote(ctx, ticket, nil)
		require.NoError(t, err)
		require.Zero(t, quote.Due)

		// A dispute afterwards: the spot belongs to somebody else by then.
		disputed := w.park("B 2").TicketID
		w.clock.Advance(minutes(50))
		w.pay(disputed, "p1", 200)
		_, err = w.Exit(ctx, disputed, parking.NewExit{}, actor)
		require.NoError(t, err)
		w.park("B 3")
		void, err = w.Void(ctx, disputed, "paid at the wrong machine", actor)
		require.NoError(t, err)
		require.Equal(t, parking.Money(200), void.Payments[0].Refunded)
		require.Equal(t, map[string]parking.SpotState{"r-1": "occupied"}, w.states())
	})
}
