package garage_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/garage/check"
	"github.com/parkinglot/parkinglot/internal/parking"
)

// perHour is 200 an hour; free to leave for 15 minutes after paying.
func perHour(value parking.Money) parking.Spec {
	return parking.Spec{
		StrategyID: "day", Name: "Day", TimeZone: "Europe/Berlin", Currency: "EUR",
		Tiers: []parking.TierSpec{{IncrementMinutes: 60, Value: value}}, ExitWindowMinutes: 15,
	}
}

// newPaidLot is a lot of six spots where an hour costs 200.
func newPaidLot(t *testing.T) *lot {
	t.Helper()
	l := newLot(t, nil, times(6, parking.KindRegular)...)
	_, err := l.CreateStrategy(t.Context(), perHour(200), "")
	require.NoError(t, err)
	day := "day"
	_, err = l.ChangeFacility(t.Context(), lotID, parking.FacilityChange{StrategyID: &day})
	require.NoError(t, err)
	return l
}

// leave pays what is due and leaves by a gate; 0: by none.
func (l *lot) leave(ticket string, sequence int64) parking.TicketView {
	l.t.Helper()
	q, err := l.Quote(l.t.Context(), ticket, nil)
	require.NoError(l.t, err)
	if q.Due > 0 {
		_, err = l.Pay(l.t.Context(), ticket, parking.NewPayment{PaymentID: "p", Amount: q.Due}, "")
		require.NoError(l.t, err)
	}
	var exit parking.NewExit
	if sequence > 0 {
		exit.Call = parking.Call{GateID: "out", Sequence: sequence, Given: true}
	}
	left, err := l.Exit(l.t.Context(), ticket, exit, "")
	require.NoError(l.t, err)
	return left
}

// intact checks every promise of the lot's rows and trail.
func (l *lot) intact() {
	l.t.Helper()
	report, err := check.Run(l.t.Context(), l.store, check.Options{Keep: 5})
	require.NoError(l.t, err)
	require.Empty(l.t, report.First)
	require.True(l.t, report.Facilities[0].Compared)
}

func TestOccupancyReports(t *testing.T) {
	t.Parallel()
	l := newPaidLot(t)
	begin := l.clock()
	l.sleep(10 * time.Minute)
	first := l.park(parking.SizeMedium)
	l.sleep(30 * time.Minute)
	l.park(parking.SizeLarge)
	l.sleep(time.Hour)
	l.leave(first, 0)
	rows, err := l.OccupancyNow(t.Context(), lotID)
	require.NoError(t, err)
	require.Equal(t, []parking.OccupancyRow{
		{Level: 1, Kind: parking.KindRegular, Counts: parking.Counts{Total: 6, InService: 6, Occupied: 2}},
	}, rows)
	samples, err := l.OccupancyHistory(t.Context(), lotID, begin.Add(-time.Hour), begin.Add(24*time.Hour), 30*time.Minute)
	require.NoError(t, err)
	var occupied []int64
	for i, s := range samples {
		require.Equal(t, begin.Add(time.Duration(i)*30*time.Minute), s.At)
		require.Equal(t, int64(6), s.InService)
		occupied = append(occupied, s.Occupied)
	}
	require.Equal(t, []int64{0, 1, 3, 3}, occupied, "neither before there was a spot nor after now")
	l.intact()
}

func TestRevenue(t *testing.T) {
	t.Parallel()
	l := newPaidLot(t)
	begin := l.clock()
	a, b, c := l.park(parking.SizeSmall), l.park(parking.SizeSmall), l.park(parking.SizeSmall)
	l.sleep(90 * time.Minute)
	l.leave(a, 0)
	_, err := l.AddStrategyVersion(t.Context(), "day", perHour(300), "")
	require.NoError(t, err)
	l.sleep(13*time.Hour + 30*time.Minute) // 23:00 UTC: the next day in Berlin
	newer := l.park(parking.SizeSmall)
	l.leave(b, 0)
	_, err = l.Pay(t.Context(), c, parking.NewPayment{PaymentID: "p", Amount: 100}, "")
	require.NoError(t, err)
	_, err = l.Void(t.Context(), c, "a mistake", "")
	require.NoError(t, err)
	l.sleep(time.Minute)
	l.leave(newer, 0)
	rows, err := l.Revenue(t.Context(), lotID, begin, begin.Add(48*time.Hour))
	require.NoError(t, err)
	require.Equal(t, []parking.RevenueRow{
		{Date: "2026-03-02", StrategyID: "day", Version: 1, Tickets: 1, Amount: 400, Paid: 400},
		{Date: "2026-03-03", StrategyID: "day", Version: 1, Tickets: 1, Amount: 3000, Paid: 3100, Refunded: 100},
		{Date: "2026-03-03", StrategyID: "day", Version: 2, Tickets: 1, Amount: 300, Paid: 300},
	}, rows)
	rows, err = l.Revenue(t.Context(), lotID, begin, begin.Add(time.Hour))
	require.NoError(t, err)
	require.Empty(t, rows)
	l.intact()
}

func TestReconcile(t *testing.T) {
	t.Parallel()
	l := newPaidLot(t)
	begin := l.clock()
	entered, err := l.Enter(t.Context(), lotID, parking.NewEntry{
		Call: parking.Call{GateID: "in", Sequence: 1, Given: true}, VehicleID: l.vehicle(parking.SizeSmall),
	}, "")
	require.NoError(t, err)
	silent := l.park(parking.SizeSmall)
	l.sleep(90 * time.Minute)
	ticket := entered.Ticket.TicketID
	_, err = l.Exit(t.Context(), ticket, parking.NewExit{Call: parking.Call{GateID: "out", Sequence: 1, Given: true}}, "")
	requireCode(t, domain.CodePaymentRequired, err)
	l.leave(ticket, 2)
	l.leave(silent, 3)
	_, err = l.GateEvents(t.Context(), []parking.GateEvent{
		{GateID: "out", Sequence: 4, ObservedAt: l.clock(), FacilityID: lotID, Kind: "open"},
	}, "")
	require.NoError(t, err)
	l.sleep(time.Second)
	r, err := l.Reconcile(t.Context(), lotID, begin, l.clock())
	require.NoError(t, err)
	faults := r.Faults
	r.Faults = nil
	require.Equal(t, parking.Reconciliation{Openings: 4, Tickets: 2, Charged: 800, Paid: 800}, r)
	require.Len(t, faults, 2)
	require.Equal(t, parking.FaultTicketWithoutOpening, faults[0].Code)
	require.Equal(t, silent, faults[0].TicketID)
	require.Equal(t, parking.FaultOpeningWithoutTicket, faults[1].Code)
	require.Equal(t, int64(4), faults[1].Sequence)
	l.intact()
}

func TestWhatIf(t *testing.T) {
	t.Parallel()
	l := newPaidLot(t)
	begin := l.clock()
	a, b := l.park(parking.SizeSmall), l.park(parking.SizeLarge)
	l.park(parking.SizeSmall) // stays
	l.sleep(90 * time.Minute)
	_, err := l.Adjust(t.Context(), b, parking.NewAdjustment{
		AdjustmentID: "half", Adjustment: parking.Adjustment{Kind: parking.AdjustPercent, BP: 5000},
	}, "")
	require.NoError(t, err)
	l.leave(a, 0)
	l.leave(b, 0)
	ask := func(spec parking.Spec) parking.WhatIfReport {
		report, err := l.WhatIf(t.Context(), lotID, parking.WhatIf{From: begin, To: begin.Add(24 * time.Hour), Strategy: spec})
		require.NoError(t, err)
		return report
	}
	require.Equal(t, parking.WhatIfReport{Tickets: 2, CurrentTotal: 600, DraftTotal: 600, Rows: []parking.WhatIfRow{
		{TicketID: a, Current: 400, Draft: 400}, {TicketID: b, Current: 200, Draft: 200},
	}}, ask(perHour(200)), "the tariff they had changes nothing")
	require.Equal(t, parking.WhatIfReport{Tickets: 2, CurrentTotal: 600, DraftTotal: 900, Rows: []parking.WhatIfRow{
		{TicketID: a, Current: 400, Draft: 600}, {TicketID: b, Current: 200, Draft: 300},
	}}, ask(perHour(300)))
	l.intact()
}

func TestReportsRefuseWhatIsWrong(t *testing.T) {
	t.Parallel()
	l := newPaidLot(t)
	now := l.clock()
	yen := perHour(200)
	yen.Currency, yen.TimeZone, yen.Tiers = "JPY", "Asia/Tokyo", nil
	for name, test := range map[string]struct {
		ask func() error
		at  []string
	}{
		"an empty span": {func() error {
			_, err := l.Revenue(t.Context(), lotID, now, now)
			return err
		}, []string{"query.to"}},
		"no span": {func() error {
			_, err := l.Reconcile(t.Context(), lotID, time.Time{}, time.Time{})
			return err
		}, []string{"query.from", "query.to"}},
		"years": {func() error {
			_, err := l.Revenue(t.Context(), lotID, now, now.Add(2*366*24*time.Hour))
			return err
		}, []string{"query.to"}},
		"a step of seconds, and no span": {func() error {
			_, err := l.OccupancyHistory(t.Context(), lotID, now, now.Add(-time.Hour), time.Second)
			return err
		}, []string{"query.to", "query.stepMinutes"}},
		"a million samples": {func() error {
			_, err := l.OccupancyHistory(t.Context(), lotID, now, now.Add(365*24*time.Hour), time.Minute)
			return err
		}, []string{"query.stepMinutes"}},
		"another zone and currency, and no tiers": {func() error {
			_, err := l.WhatIf(t.Context(), lotID, parking.WhatIf{From: now, To: now.Add(time.Hour), Strategy: yen})
			return err
		}, []string{"body.strategy.tiers", "body.strategy.timeZone", "body.strategy.currency"}},
	} {
		err := test.ask()
		requireCode(t, domain.CodeInvalid, err)
		refused, ok := err.(*domain.Error) //nolint:errorlint // as it is returned
		require.True(t, ok, name)
		var at []string
		for _, f := range refused.Faults {
			at = append(at, f.Location)
		}
		require.Equal(t, test.at, at, name)
	}
	for name, ask := range map[string]func() error{
		"occupancy": func() error { _, err := l.OccupancyNow(t.Context(), "nowhere"); return err },
		"history": func() error {
			_, err := l.OccupancyHistory(t.Context(), "nowhere", now, now.Add(time.Hour), time.Hour)
			return err
		},
		"revenue": func() error { _, err := l.Revenue(t.Context(), "nowhere", now, now.Add(time.Hour)); return err },
	} {
		require.Equal(t, domain.CodeUnknownFacility, domain.CodeOf(ask()), name)
	}
}
