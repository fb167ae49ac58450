package parking_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/parking"
)

// hourly is 200 an hour, under which 90 minutes cost 400.
func hourly(t *testing.T) *parking.Strategy {
	t.Helper()
	spec := parking.Spec{
		StrategyID: "day", Version: 1, Name: "Day", TimeZone: "Europe/Berlin", Currency: "EUR",
		Tiers: []parking.TierSpec{{IncrementMinutes: 60, Value: 200}}, Period: parking.PeriodNone, ExitWindowMinutes: 15,
	}
	s, faults := spec.Strategy()
	require.Empty(t, faults)
	return &s
}

// stayed is a ticket of 90 minutes until exit, charged and paid.
func stayed(id string, exit time.Time, amount, paid parking.Money) *parking.Ticket {
	t := &parking.Ticket{
		TicketID: id, Status: parking.TicketClosed, EntryTime: exit.Add(-90 * time.Minute), ExitTime: &exit, PricedUntil: &exit,
		Amount: &amount, StrategyID: "day", StrategyVersion: 1,
	}
	if paid > 0 {
		t.Payments = []parking.Payment{{PaymentID: "p", Amount: paid, PaidAt: exit}}
	}
	return t
}

func voided(t *parking.Ticket) *parking.Ticket {
	t.Status, t.Amount, t.PricedUntil = parking.TicketVoid, nil, nil
	for i := range t.Payments {
		t.Payments[i].Refunded = t.Payments[i].Amount
	}
	return t
}

func TestRevenueIsOfTheLocalDate(t *testing.T) {
	t.Parallel()
	location, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	book := parking.NewRevenueBook(location)
	midnight := time.Date(2026, 6, 30, 22, 0, 0, 0, time.UTC) // of the first of July in Berlin
	book.Add(stayed("a", midnight, 400, 400))
	book.Add(stayed("b", midnight.Add(-time.Microsecond), 400, 400))
	book.Add(stayed("c", midnight.Add(time.Hour), 400, 500))
	book.Add(voided(stayed("d", midnight.Add(time.Hour), 0, 300)))
	second := stayed("e", midnight.Add(time.Hour), 0, 0)
	second.StrategyVersion = 2
	book.Add(second)
	book.Add(&parking.Ticket{TicketID: "f", Status: parking.TicketOpen, EntryTime: midnight})
	require.Equal(t, []parking.RevenueRow{
		{Date: "2026-06-30", StrategyID: "day", Version: 1, Tickets: 1, Amount: 400, Paid: 400},
		{Date: "2026-07-01", StrategyID: "day", Version: 1, Tickets: 2, Amount: 800, Paid: 1200, Refunded: 300},
		{Date: "2026-07-01", StrategyID: "day", Version: 2, Tickets: 1},
	}, book.Rows())
}

func TestMoneyFaults(t *testing.T) {
	t.Parallel()
	exit := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	kept := voided(stayed("void", exit, 0, 300))
	kept.Payments[0].Refunded = 100
	for name, test := range map[string]struct {
		ticket *parking.Ticket
		want   []string
	}{
		"as it should be":       {stayed("a", exit, 400, 400), nil},
		"void":                  {voided(stayed("a", exit, 0, 300)), nil},
		"charged another price": {stayed("a", exit, 401, 401), []string{parking.FaultAmount}},
		"not paid":              {stayed("a", exit, 400, 100), []string{parking.FaultUnderpaid}},
		"paid too much":         {stayed("a", exit, 400, 700), []string{parking.FaultOverpaid}},
		"kept after the void":   {kept, []string{parking.FaultNotRefunded}},
		"open":                  {&parking.Ticket{Status: parking.TicketOpen}, nil},
		"closed without amount": {&parking.Ticket{Status: parking.TicketClosed}, []string{parking.FaultAmount}},
	} {
		var codes []string
		for _, f := range test.ticket.MoneyFaults(hourly(t)) {
			codes = append(codes, f.Code)
		}
		require.Equal(t, test.want, codes, name)
	}
}

func TestReconciliation(t *testing.T) {
	t.Parallel()
	s := hourly(t)
	from := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	to := from.Add(24 * time.Hour)
	noon := from.Add(12 * time.Hour)
	var sequence int64
	call := func(kind, ticket string, status int, at time.Time) parking.GateCall {
		sequence++
		return parking.GateCall{GateID: "g", Sequence: sequence, Kind: kind, TicketID: ticket, Status: status, ObservedAt: at}
	}
	early := stayed("early", from.Add(time.Hour), 400, 400) // entered the day before
	r := parking.NewReconciler(from, to, []parking.GateCall{
		call("entry", "early", 201, early.EntryTime),
		call("exit", "early", 200, *early.ExitTime),
		call("entry", "good", 201, noon.Add(-90*time.Minute)),
		call("exit", "good", 402, noon.Add(-time.Minute)), // refused: opened nothing
		call("exit", "good", 200, noon),
		call("entry", "", 202, noon), // may wait: opened nothing
		call("open", "", 200, noon),
		call("exit", "ghost", 200, noon),
		call("entry", "byhand", 201, noon.Add(-90*time.Minute)),
		call("open", "byhand", 200, noon),
	})
	r.Add(early, s)
	r.Add(stayed("good", noon, 400, 400), s)
	r.Add(stayed("silent", noon, 400, 300), s)
	r.Add(stayed("byhand", noon, 400, 400), s)
	r.Add(voided(stayed("void", to.Add(time.Hour), 0, 100)), s) // ended later: no sums
	result := r.Result()
	faults := result.Faults
	result.Faults = nil
	require.Equal(t, parking.Reconciliation{Openings: 7, Tickets: 4, Charged: 1600, Paid: 1500}, result)
	var codes [][2]string
	for _, f := range faults {
		codes = append(codes, [2]string{f.Code, f.TicketID})
	}
	require.Equal(t, [][2]string{
		{parking.FaultTicketWithoutOpening, "silent"}, // in
		{parking.FaultTicketWithoutOpening, "silent"}, // out
		{parking.FaultUnderpaid, "silent"},
		{parking.FaultTicketWithoutOpening, "void"},
		{parking.FaultOpeningWithoutTicket, ""},
		{parking.FaultOpeningWithoutTicket, "ghost"},
	}, codes)

	silent := parking.NewReconciler(from, to, nil)
	silent.Add(stayed("a", noon, 400, 400), s)
	require.Empty(t, silent.Result().Faults, "no gate tells anything: nothing to compare with")
}
