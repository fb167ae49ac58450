package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

var ticketTests = map[string]func(*testing.T, *house){
	"come back as written":           testTicketRoundTrip,
	"an id, a vehicle, a spot, once": testTicketTaken,
	"payments and refunds":           testTicketPayments,
	"adjustments":                    testTicketAdjustments,
	"lists and pages":                testTicketLists,
	"gate calls":                     testGateCalls,
}

func testTicketRoundTrip(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 4))
	h.vehicle(t, "v", parking.SizeLarge)
	bp := int64(1234)
	want := parking.Ticket{
		TicketID: "k", FacilityID: garage, VehicleID: "v", SpotIDs: []string{"a02", "a03"}, Status: parking.TicketOpen,
		EntryTime: h.clock.Now().Add(-time.Minute), StrategyID: "tariff", StrategyVersion: 1, EntryOccupancyBP: &bp, ReservationID: "r",
	}
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		err := firstOf(tx.Occupy(ctx, want.SpotIDs, "k", "v", ""), tx.InsertTicket(ctx, &want))
		require.Equal(t, want.Seq, tx.Facility().Sequences.Event+1, "the number of the next event")
		read, err2 := tx.Ticket(ctx, "k")
		require.Equal(t, want, read)
		return firstOf(err, err2, tx.Record(ctx, event("parking.entry")))
	})
	got, err := h.Ticket(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, want, got)
	h.agrees(t, garage)

	now, amount := h.clock.Advance(time.Hour), parking.Money(1<<62+1)
	want.Status, want.ExitTime, want.Lost, want.Amount = parking.TicketClosed, &now, true, &amount
	want.PricedUntil, want.WindowOpenedAt, want.VoidReason = &now, &now, "mistake"
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		return firstOf(tx.SetTicket(ctx, &want), tx.Free(ctx, want.SpotIDs), tx.Record(ctx, event("parking.exit")))
	})
	got, err = h.Ticket(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, want, got)
	h.agrees(t, garage)

	_, err = h.Ticket(t.Context(), "none")
	require.ErrorIs(t, err, store.ErrNotFound)
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		_, err := tx.Ticket(ctx, "none")
		require.ErrorIs(t, err, store.ErrNotFound)
		none := want
		none.TicketID = "none"
		require.ErrorIs(t, tx.SetTicket(ctx, &none), store.ErrNotFound)
		return nil
	})
}

// testTicketTaken tries what the indexes refuse; the change goes on after each.
func testTicketTaken(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 4))
	h.facility(t, "other", row("a", parking.KindRegular, 1, 1, 4))
	for _, v := range []string{"v", "w", "x"} {
		h.vehicle(t, v, parking.SizeMedium)
	}
	k := h.enter(t, garage, "k", "v", "a01")
	insert := func(id parking.FacilityID, with func(*parking.Ticket)) (err error) {
		h.in(t, id, func(ctx context.Context, tx store.FacilityTx) error {
			other := k
			other.TicketID, other.FacilityID, other.VehicleID, other.SpotIDs, other.Seq = "l", id, "w", []string{"a02"}, 0
			with(&other)
			err = tx.InsertTicket(ctx, &other)
			_, free := tx.FirstFree(ctx, parking.KindRegular, parking.FirstAvailable, nil)
			require.NoError(t, free)
			return tx.Record(ctx, event("parking.entry"))
		})
		return err
	}
	require.ErrorIs(t, insert(garage, func(k *parking.Ticket) { k.TicketID = "k" }), store.ErrExists)
	require.ErrorIs(t, insert("other", func(k *parking.Ticket) { k.TicketID = "k" }), store.ErrExists, "in any facility")
	require.ErrorIs(t, insert(garage, func(k *parking.Ticket) { k.VehicleID = "v" }), store.ErrConflict)
	require.ErrorIs(t, insert("other", func(k *parking.Ticket) { k.VehicleID = "v" }), store.ErrConflict, "one open ticket, anywhere")
	require.ErrorIs(t, insert(garage, func(k *parking.Ticket) { k.SpotIDs = []string{"a02", "a01"} }), store.ErrConflict, "one live ticket a spot")
	_, err := h.Ticket(t.Context(), "l")
	require.ErrorIs(t, err, store.ErrNotFound)
	h.agrees(t, garage)

	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error { return leave(ctx, tx, "k") })
	h.enter(t, "other", "m", "v", "a01")
	h.enter(t, garage, "n", "w", "a01")
	h.agrees(t, garage)
	h.agrees(t, "other")
}

func testTicketPayments(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 2))
	h.vehicle(t, "v", parking.SizeMedium)
	want := h.enter(t, garage, "k", "v", "a01")
	for i, id := range []string{"z", "a", "m"} {
		p := parking.Payment{PaymentID: id, BodyHash: hashOf(id), Amount: parking.Money(100 + i), Method: "cash é", PaidAt: h.clock.Advance(time.Second)}
		want.Payments = append(want.Payments, p)
		h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
			require.NoError(t, tx.InsertPayment(ctx, "k", &p))
			again := p
			again.Amount = 7
			require.ErrorIs(t, tx.InsertPayment(ctx, "k", &again), store.ErrExists)
			read, err := tx.Ticket(ctx, "k")
			require.Equal(t, want, read, "in the order of recording")
			return firstOf(err, tx.Record(ctx, event("parking.payment")))
		})
	}
	got, err := h.Ticket(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, parking.Money(303), got.Paid())

	at := h.clock.Advance(time.Minute)
	for range 2 { // a repeat changes nothing
		h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error { return tx.RefundPayments(ctx, "k", tx.Now()) })
		h.clock.Advance(time.Minute)
	}
	got, err = h.Ticket(t.Context(), "k")
	require.NoError(t, err)
	for i, p := range got.Payments {
		require.Equal(t, want.Payments[i].Amount, p.Refunded)
		require.True(t, at.Equal(*p.RefundedAt))
	}
	for _, bad := range []parking.Money{0, -1} {
		err := h.InFacility(t.Context(), garage, func(ctx context.Context, tx store.FacilityTx) error {
			return tx.InsertPayment(ctx, "k", &parking.Payment{PaymentID: "bad", Amount: bad, PaidAt: tx.Now()})
		})
		require.ErrorIs(t, err, store.ErrData)
	}
}

func testTicketAdjustments(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 2))
	h.vehicle(t, "v", parking.SizeMedium)
	want := h.enter(t, garage, "k", "v", "a01")
	want.Adjustments = []parking.RecordedAdjustment{
		{AdjustmentID: "z", BodyHash: hashOf("z"), Adjustment: parking.Adjustment{Kind: "freeMinutes", Minutes: 30}, Reason: "cinema"},
		{AdjustmentID: "b", BodyHash: hashOf("b"), Adjustment: parking.Adjustment{Kind: "percent", BP: 1000}},
		{AdjustmentID: "a", BodyHash: hashOf("a"), Adjustment: parking.Adjustment{Kind: "fixed", Amount: 250}, Reason: "'x'"},
	}
	for i := range want.Adjustments {
		h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
			require.NoError(t, tx.InsertAdjustment(ctx, "k", &want.Adjustments[i]))
			require.ErrorIs(t, tx.InsertAdjustment(ctx, "k", &want.Adjustments[0]), store.ErrExists)
			return nil
		})
	}
	got, err := h.Ticket(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func testTicketLists(t *testing.T, h *house) {
	start := h.clock.Now()
	var all []parking.Ticket
	for i := range 12 {
		id := []parking.FacilityID{"a", "b", "c"}[i%3]
		if i < 3 {
			h.facility(t, id, row("s", parking.KindRegular, 1, 1, 6))
		}
		vehicle := fmt.Sprint("v", i%4)
		if i < 4 {
			h.vehicle(t, vehicle, parking.SizeMedium)
		}
		h.clock.Advance(time.Minute)
		ticket := fmt.Sprint("k", i)
		h.enter(t, id, ticket, vehicle, fmt.Sprintf("s%02d", i/3+1))
		h.in(t, id, func(ctx context.Context, tx store.FacilityTx) error {
			return tx.InsertPayment(ctx, ticket, &parking.Payment{PaymentID: "p", Amount: 5, PaidAt: tx.Now()})
		})
		if i < 8 { // the vehicle comes again
			h.in(t, id, func(ctx context.Context, tx store.FacilityTx) error { return leave(ctx, tx, ticket) })
		}
		k, err := h.Ticket(t.Context(), ticket)
		require.NoError(t, err)
		require.Len(t, k.Payments, 1)
		all = append(all, k)
	}
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	for name, c := range map[string]struct {
		filter store.TicketFilter
		want   func(*parking.Ticket) bool
	}{
		"all":                  {store.TicketFilter{}, func(*parking.Ticket) bool { return true }},
		"facility":             {store.TicketFilter{Facility: "b"}, func(k *parking.Ticket) bool { return k.FacilityID == "b" }},
		"open of a facility":   {store.TicketFilter{Facility: "b", Status: "open"}, func(k *parking.Ticket) bool { return k.FacilityID == "b" && k.Status == "open" }},
		"closed of a facility": {store.TicketFilter{Facility: "a", Status: "closed"}, func(k *parking.Ticket) bool { return k.FacilityID == "a" && k.Status == "closed" }},
		"status":               {store.TicketFilter{Status: "closed"}, func(k *parking.Ticket) bool { return k.Status == "closed" }},
		"vehicle":              {store.TicketFilter{Vehicle: "v1"}, func(k *parking.Ticket) bool { return k.VehicleID == "v1" }},
		"vehicle in facility":  {store.TicketFilter{Vehicle: "v1", Facility: "b"}, func(k *parking.Ticket) bool { return k.VehicleID == "v1" && k.FacilityID == "b" }},
		"vehicle and status":   {store.TicketFilter{Vehicle: "v1", Status: "open"}, func(k *parking.Ticket) bool { return k.VehicleID == "v1" && k.Status == "open" }},
		"exited": {
			store.TicketFilter{ExitedFrom: minute(2), ExitedTo: minute(5)},
			func(k *parking.Ticket) bool {
				return k.ExitTime != nil && !k.ExitTime.Before(minute(2)) && k.ExitTime.Before(minute(5))
			},
		},
		"exited of a facility": {
			store.TicketFilter{Facility: "a", ExitedFrom: minute(2)},
			func(k *parking.Ticket) bool {
				return k.FacilityID == "a" && k.ExitTime != nil && !k.ExitTime.Before(minute(2))
			},
		},
		"exited of a vehicle": {
			store.TicketFilter{Vehicle: "v1", ExitedTo: minute(3)},
			func(k *parking.Ticket) bool {
				return k.VehicleID == "v1" && k.ExitTime != nil && k.ExitTime.Before(minute(3))
			},
		},
		"nothing": {store.TicketFilter{Facility: "none"}, func(*parking.Ticket) bool { return false }},
	} {
		var want []parking.Ticket
		for _, id := range []parking.FacilityID{"a", "b", "c"} {
			for i := range all {
				if all[i].FacilityID == id && c.want(&all[i]) {
					want = append(want, all[i])
				}
			}
		}
		for limit := range 4 {
			filter, got := c.filter, []parking.Ticket(nil)
			filter.Limit = limit // 0: no limit
			for {
				page, err := h.Tickets(t.Context(), filter)
				require.NoError(t, err, name)
				got = append(got, page...)
				if limit == 0 || len(page) == 0 {
					break
				}
				require.LessOrEqual(t, len(page), limit, name)
				last := page[len(page)-1]
				filter.AfterFacility, filter.AfterSeq = last.FacilityID, last.Seq
			}
			require.Equal(t, want, got, "%s in pages of %d", name, limit)
		}
	}
}

func testGateCalls(t *testing.T, h *house) {
	h.facility(t, garage, nil)
	start := h.clock.Now()
	var want []parking.GateCall
	for i := range 4 {
		c := parking.GateCall{
			GateID: "north", Sequence: int64(i - 1), FacilityID: garage, Kind: []string{"entry", "exit", "open"}[i%3], BodyHash: hashOf("b"),
			Status: 201, Answer: []byte(`{"b" : 1, "a":"é"}`), TicketID: "k", ObservedAt: start.Add(time.Duration(i) * time.Minute),
		}
		want = append(want, c)
		h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
			_, err := tx.GateCall(ctx, c.GateID, c.Sequence)
			require.ErrorIs(t, err, store.ErrNotFound)
			require.NoError(t, tx.InsertGateCall(ctx, &c))
			other := c
			other.Status = 409
			require.ErrorIs(t, tx.InsertGateCall(ctx, &other), store.ErrExists)
			got, err := tx.GateCall(ctx, c.GateID, c.Sequence)
			require.Equal(t, c, got)
			return err
		})
	}
	got, err := h.GateCall(t.Context(), "north", 1)
	require.NoError(t, err)
	require.Equal(t, want[2], got)
	_, err = h.GateCall(t.Context(), "south", 1)
	require.ErrorIs(t, err, store.ErrNotFound)
	calls, err := h.GateCalls(t.Context(), garage, start.Add(time.Minute), start.Add(3*time.Minute))
	require.NoError(t, err)
	require.Equal(t, want[1:3], calls)
}
