package garage_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

func call(gate string, sequence int64) parking.Call {
	return parking.Call{GateID: gate, Sequence: sequence, Given: true}
}

func TestGateRepeatsItsCall(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(1)
		ctx := t.Context()
		request := parking.NewEntry{Call: call("in", 1), Vehicle: car("B 1")}
		first, err := w.Enter(ctx, city, request, actor)
		require.NoError(t, err)
		refused := parking.NewEntry{Call: call("in", 2), Vehicle: car("B 2")}
		_, err = w.Enter(ctx, city, refused, actor)
		refusedFor(t, domain.CodeFull, err)

		w.clock.Advance(minutes(50))
		_, err = w.Exit(ctx, first.Ticket.TicketID, parking.NewExit{Call: call("out", 1)}, actor)
		refusedFor(t, domain.CodePaymentRequired, err)
		w.pay(first.Ticket.TicketID, "p", 200)
		_, err = w.Exit(ctx, first.Ticket.TicketID, parking.NewExit{Call: call("out", 1)}, actor)
		require.Equal(t, new(int64(200)), refusedFor(t, domain.CodePaymentRequired, err).Due, "refused for ever, with what was due then")
		left, err := w.Exit(ctx, first.Ticket.TicketID, parking.NewExit{Call: call("out", 2)}, actor)
		require.NoError(t, err)
		again, err := w.Exit(ctx, first.Ticket.TicketID, parking.NewExit{Call: call("out", 2)}, actor)
		require.NoError(t, err)
		require.Equal(t, left, again)

		replayed, err := w.Enter(ctx, city, request, actor)
		require.NoError(t, err)
		require.Equal(t, first, replayed, "as it was answered then, though the vehicle has left")
		_, err = w.Enter(ctx, city, refused, actor)
		refusedFor(t, domain.CodeFull, err)

		_, err = w.Enter(ctx, city, parking.NewEntry{Call: call("in", 1), Vehicle: car("B 9")}, actor)
		refusedFor(t, domain.CodeSequenceConflict, err)
		_, err = w.Exit(ctx, first.Ticket.TicketID, parking.NewExit{Call: call("in", 1)}, actor)
		refusedFor(t, domain.CodeSequenceConflict, err)
		entered, err := w.Enter(ctx, city, parking.NewEntry{Call: call("in", 3), Vehicle: car("B 2")}, actor)
		require.NoError(t, err)
		require.NotNil(t, entered.Ticket)
		f, err := w.Facility(ctx, city)
		require.NoError(t, err)
		require.Equal(t, int64(1), f.Counts.Occupied)
	})
}

func TestGateWasOffline(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(2)
		ctx := t.Context()
		online, err := w.Enter(ctx, city, parking.NewEntry{Call: call("in", 1), Vehicle: car("B 1")}, actor)
		require.NoError(t, err)
		began := w.clock.Now()
		w.clock.Advance(minutes(120))
		seen := func(m float64) time.Time { return began.Add(minutes(m)) }
		events := []parking.GateEvent{
			// The gate never got the answer to its first call.
			{GateID: "in", Sequence: 1, ObservedAt: began, FacilityID: city, Kind: "entry", Vehicle: car("B 1")},
			{GateID: "in", Sequence: 2, ObservedAt: seen(5), FacilityID: city, Kind: "entry", Vehicle: car("B 2")},
			{GateID: "in", Sequence: 3, ObservedAt: seen(6), FacilityID: city, Kind: "open"},
			{GateID: "out", Sequence: 1, ObservedAt: seen(14), FacilityID: city, Kind: "exit", Vehicle: car("B 2")},
			{GateID: "out", Sequence: 2, ObservedAt: seen(90), FacilityID: city, Kind: "exit", TicketID: online.Ticket.TicketID},
			{GateID: "out", Sequence: 3, ObservedAt: seen(91), FacilityID: city, Kind: "exit", Vehicle: car("B 7")},
			{GateID: "out", Sequence: 2, ObservedAt: seen(91), FacilityID: city, Kind: "exit", Vehicle: car("B 1")},
			{GateID: "out", Sequence: 4, ObservedAt: seen(91), FacilityID: "nowhere", Kind: "open"},
		}
		results, err := w.GateEvents(ctx, events, actor)
		require.NoError(t, err)
		type short struct {
			status parking.GateStatus
			code   domain.Code
		}
		summary := func(results []parking.GateResult) []short {
			var all []short
			for i, r := range results {
				require.Equal(t, events[i].GateID, r.GateID)
				require.Equal(t, events[i].Sequence, r.Sequence)
				all = append(all, short{r.Status, r.Code})
			}
			return all
		}
		require.Equal(t, []short{
			{parking.GateDuplicate, ""},
			{parking.GateApplied, ""},
			{parking.GateApplied, ""},
			{parking.GateApplied, ""},
			{parking.GateRefused, domain.CodePaymentRequired},
			{parking.GateRefused, domain.CodeUnknownVehicle},
			{parking.GateRefused, domain.CodeSequenceConflict},
			{parking.GateRefused, domain.CodeUnknownFacility},
		}, summary(results))
		require.Equal(t, online.Ticket.TicketID, results[0].TicketID)
		left, err := w.Ticket(ctx, results[1].TicketID)
		require.NoError(t, err)
		require.Equal(t, seen(5), left.EntryTime)
		require.Equal(t, seen(14), *left.ExitTime)
		require.Equal(t, new(parking.Money(0)), left.Amount)

		again, err := w.GateEvents(ctx, events, actor)
		require.NoError(t, err)
		require.Equal(t, []short{
			{parking.GateDuplicate, ""}, {parking.GateDuplicate, ""}, {parking.GateDuplicate, ""}, {parking.GateDuplicate, ""},
			{parking.GateDuplicate, domain.CodePaymentRequired}, {parking.GateDuplicate, domain.CodeUnknownVehicle},
			{parking.GateRefused, domain.CodeSequenceConflict}, {parking.GateRefused, domain.CodeUnknownFacility},
		}, summary(again))
		require.Equal(t, results[1].TicketID, again[1].TicketID)

		_, err = w.GateEvents(ctx, []parking.GateEvent{
			{GateID: "in", Sequence: 9, ObservedAt: w.clock.Now().Add(time.Minute), FacilityID: city, Kind: "open"},
			{GateID: "", Sequence: -1, ObservedAt: began, FacilityID: city, Kind: "jump"},
			{GateID: "in", Sequence: 10, ObservedAt: began, FacilityID: city, Kind: "entry"},
		}, actor)
		faultsAt(t, err, "body.events[0].observedAt", "body.events[1].gateId", "body.events[1].sequence", "body.events[1].kind",
			"body.events[2].vehicleId")
		_, err = w.GateEvents(ctx, nil, actor)
		faultsAt(t, err, "body.events")
	})
}

// TestGatesRace lets gates race for few spots, each repeating its calls.
func TestGatesRace(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		const spots, gates, calls = 7, 8, 12
		w.open(spots)
		var wg sync.WaitGroup
		for gate := range gates {
			wg.Go(func() {
				for n := range calls {
					vehicle := car(fmt.Sprintf("G%d N%d", gate, n))
					if n%4 == 3 {
						vehicle = bus(vehicle.Plate)
					}
					request := parking.NewEntry{Call: call(fmt.Sprintf("g%d", gate), int64(n)), Vehicle: vehicle}
					first, err := w.Enter(t.Context(), city, request, actor)
					again, repeated := w.Enter(t.Context(), city, request, actor)
					if err != nil {
						requireSame(t, domain.CodeFull, err, repeated)
						continue
					}
					if !sameTicket(t, first, again, repeated) {
						return
					}
					if n%2 == 0 {
						if _, err := w.Exit(t.Context(), first.Ticket.TicketID, parking.NewExit{}, actor); err != nil {
							t.Errorf("exit: %v", err)
						}
					}
				}
			})
		}
		wg.Wait()
		open, err := w.Tickets(t.Context(), store.TicketFilter{Facility: city, Status: parking.TicketOpen, Limit: 1000})
		require.NoError(t, err)
		taken := map[string]bool{}
		for i := range open {
			for _, id := range open[i].SpotIDs {
				require.False(t, taken[id], "spot %s carries two vehicles", id)
				taken[id] = true
			}
		}
		for id, state := range w.states() {
			require.Equal(t, taken[id], state == parking.SpotOccupied, "spot %s", id)
		}
		f, err := w.Facility(t.Context(), city)
		require.NoError(t, err)
		require.Equal(t, int64(len(taken)), f.Counts.Occupied)
	})
}

func requireSame(t *testing.T, code domain.Code, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if domain.CodeOf(err) != code {
			t.Errorf("want %s, got %v", code, err)
		}
	}
}

func sameTicket(t *testing.T, first, again parking.Entered, err error) bool {
	t.Helper()
	if err != nil || again.Ticket == nil || again.Ticket.TicketID != first.Ticket.TicketID {
		t.Errorf("the repeat of ticket %s got %v, %v", first.Ticket.TicketID, again.Ticket, err)
		return false
	}
	return true
}

// TestStoredPriceIsReproducible lets random stays end and computes each again from
// what its ticket stores.
func TestStoredPriceIsReproducible(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(4)
		ctx := t.Context()
		random := rand.New(rand.NewPCG(7, 11))
		s, faults := new(hourly()).Strategy()
		require.Empty(t, faults)
		for n := range 30 {
			ticket := w.park(fmt.Sprintf("P %d", n)).TicketID
			payments := 0
			for step := range 6 {
				w.clock.Advance(time.Duration(random.Int64N(int64(minutes(40)))))
				quote, err := w.Quote(ctx, ticket, nil)
				require.NoError(t, err)
				switch random.IntN(6) {
				case 0, 1:
					if quote.Due > 0 {
						payments++
						w.pay(ticket, fmt.Sprintf("p%d", payments), 1+parking.Money(random.Int64N(int64(quote.Due))))
					}
				case 2:
					if quote.Due > 0 {
						payments++
						w.pay(ticket, fmt.Sprintf("p%d", payments), quote.Due)
					}
				case 3:
					kind := []parking.Adjustment{
						{Kind: parking.AdjustFreeMinutes, Minutes: 45}, {Kind: parking.AdjustPercent, BP: 1234}, {Kind: parking.AdjustFixed, Amount: 77},
					}[random.IntN(3)]
					_, err := w.Adjust(ctx, ticket, parking.NewAdjustment{AdjustmentID: fmt.Sprintf("a%d", step), Adjustment: kind}, actor)
					require.NoError(t, err)
				case 4:
					if random.IntN(4) == 0 {
						_, err := w.ReportLost(ctx, ticket, nil, actor)
						require.NoError(t, err)
					}
				}
			}
			quote, err := w.Quote(ctx, ticket, nil)
			require.NoError(t, err)
			if quote.Due > 0 {
				w.pay(ticket, "last", quote.Due)
			}
			w.clock.Advance(time.Duration(random.Int64N(int64(minutes(14)))))
			left, err := w.Exit(ctx, ticket, parking.NewExit{}, actor)
			if domain.CodeOf(err) == domain.CodePaymentRequired { // nothing was due before, so no window was open
				w.pay(ticket, "more", parking.Money(*refusedFor(t, domain.CodePaymentRequired, err).Due))
				left, err = w.Exit(ctx, ticket, parking.NewExit{}, actor)
			}
			require.NoError(t, err)
			stored, err := w.Ticket(ctx, ticket)
			require.NoError(t, err)
			require.Equal(t, left, stored)
			price := parking.Compute(&s, stored.Stay(*stored.PricedUntil))
			require.Equal(t, *stored.Amount, price.Total)
			require.Equal(t, stored.Lines, price.Lines)
			require.LessOrEqual(t, *stored.Amount, stored.Paid())
		}
	})
}
