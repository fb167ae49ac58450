package parking

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// RevenueBook adds up what tickets brought, by the local date of their end, strategy
// and version. The zero value of neither field is of use: see NewRevenueBook.
type RevenueBook struct {
	location *time.Location
	rows     map[revenueKey]*RevenueRow
}

type revenueKey struct {
	date, strategy string
	version        int
}

// NewRevenueBook begins a book in the facility's time zone.
func NewRevenueBook(location *time.Location) *RevenueBook {
	return &RevenueBook{location: location, rows: map[revenueKey]*RevenueRow{}}
}

// Add adds a ticket that has ended. Money of a void ticket counts as paid and as
// refunded; the ticket itself does not.
func (b *RevenueBook) Add(t *Ticket) {
	if t.ExitTime == nil {
		return
	}
	key := revenueKey{t.ExitTime.In(b.location).Format(time.DateOnly), t.StrategyID, t.StrategyVersion}
	row := b.rows[key]
	if row == nil {
		row = &RevenueRow{Date: key.date, StrategyID: key.strategy, Version: key.version}
		b.rows[key] = row
	}
	row.Paid += t.Paid()
	row.Refunded += t.Refunded()
	if t.Status == TicketClosed && t.Amount != nil {
		row.Tickets++
		row.Amount += *t.Amount
	}
}

// Rows returns the book by date, strategy and version.
func (b *RevenueBook) Rows() []RevenueRow {
	rows := make([]RevenueRow, 0, len(b.rows))
	for _, row := range b.rows {
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(a, b RevenueRow) int {
		return cmp.Or(cmp.Compare(a.Date, b.Date), cmp.Compare(a.StrategyID, b.StrategyID), cmp.Compare(a.Version, b.Version))
	})
	return rows
}

// Refunded is the sum of what was given back.
func (t *Ticket) Refunded() Money {
	var sum Money
	for i := range t.Payments {
		sum += t.Payments[i].Refunded
	}
	return sum
}

// What does not add up.
const (
	FaultAmount               = "amount_differs"         // the price of what is stored is not what was charged
	FaultUnderpaid            = "underpaid"              // a closed ticket was not paid
	FaultOverpaid             = "overpaid"               // more was kept than charged
	FaultNotRefunded          = "not_refunded"           // money of a void ticket was kept
	FaultTicketWithoutOpening = "ticket_without_opening" // no gate opened for it
	FaultOpeningWithoutTicket = "opening_without_ticket" // a gate opened for no ticket
)

// MoneyFaults says what does not add up of a ticket that has ended, under the version
// it entered under.
func (t *Ticket) MoneyFaults(s *Strategy) []ReconciliationFault {
	var found []ReconciliationFault
	add := func(code, format string, args ...any) {
		found = append(found, ReconciliationFault{Code: code, TicketID: t.TicketID, Message: fmt.Sprintf(format, args...)})
	}
	kept := t.Paid() - t.Refunded()
	switch t.Status {
	case TicketVoid:
		if kept != 0 {
			add(FaultNotRefunded, "%d of what was paid for a void ticket was not refunded", kept)
		}
	case TicketClosed:
		if t.Amount == nil || t.PricedUntil == nil {
			add(FaultAmount, "the ticket is closed without an amount, or without the instant it was priced until")
			break
		}
		if price := Compute(s, t.Stay(*t.PricedUntil)).Total; price != *t.Amount {
			add(FaultAmount, "charged %d; the price until %s is %d", *t.Amount, t.PricedUntil.Format(time.RFC3339Nano), price)
		}
		switch {
		case kept < *t.Amount:
			add(FaultUnderpaid, "charged %d, paid %d", *t.Amount, kept)
		case kept > *t.Amount:
			add(FaultOverpaid, "charged %d, paid %d", *t.Amount, kept)
		}
	case TicketOpen:
	}
	return found
}

// Reconciler compares the openings of gates with the tickets of a span [from, to).
type Reconciler struct {
	from, to time.Time
	calls    []GateCall
	byTicket map[string]map[string]bool // ticket → kinds of the openings that named it
	seen     map[string]bool            // tickets added
	result   Reconciliation
}

// NewReconciler takes the gate calls of the span, and of some time around it: the call
// and its ticket need not be of the same instant. Only those that opened a gate count.
func NewReconciler(from, to time.Time, calls []GateCall) *Reconciler {
	r := &Reconciler{from: from, to: to, byTicket: map[string]map[string]bool{}, seen: map[string]bool{}}
	for i := range calls {
		c := &calls[i]
		if !c.Opened() {
			continue
		}
		r.calls = append(r.calls, *c)
		if r.within(c.ObservedAt) {
			r.result.Openings++
		}
		if c.TicketID != "" {
			if r.byTicket[c.TicketID] == nil {
				r.byTicket[c.TicketID] = map[string]bool{}
			}
			r.byTicket[c.TicketID][c.Kind] = true
		}
	}
	return r
}

// Opened reports whether the answer to the call opened the gate: a ticket was issued or
// closed, or somebody opened it by hand.
func (c *GateCall) Opened() bool {
	return c.Status == http.StatusOK || c.Status == http.StatusCreated
}

func (r *Reconciler) within(at time.Time) bool { return !at.Before(r.from) && at.Before(r.to) }

// Add adds a ticket that stood there in the span, with its strategy. Its money counts
// when it ended in the span.
func (r *Reconciler) Add(t *Ticket, s *Strategy) {
	r.seen[t.TicketID] = true
	r.opening(t, "entry", &t.EntryTime)
	if t.Status == TicketClosed { // a void one may have left by any way
		r.opening(t, "exit", t.ExitTime)
	}
	if t.ExitTime == nil || !r.within(*t.ExitTime) {
		return
	}
	r.result.Tickets++
	r.result.Paid += t.Paid()
	r.result.Refunded += t.Refunded()
	if t.Status == TicketClosed && t.Amount != nil {
		r.result.Charged += *t.Amount
	}
	r.result.Faults = append(r.result.Faults, t.MoneyFaults(s)...)
}

// opening looks for the one that let the ticket in or out. Where no gate told anything
// there are no gates to compare with.
func (r *Reconciler) opening(t *Ticket, kind string, at *time.Time) {
	kinds := r.byTicket[t.TicketID]
	if at == nil || !r.within(*at) || len(r.calls) == 0 || kinds[kind] || kinds["open"] {
		return
	}
	r.result.Faults = append(r.result.Faults, ReconciliationFault{
		Code: FaultTicketWithoutOpening, TicketID: t.TicketID,
		Message: fmt.Sprintf("no gate told of an opening for the %s at %s", kind, at.Format(time.RFC3339Nano)),
	})
}

// Result returns the comparison, with the openings that no ticket explains.
func (r *Reconciler) Result() Reconciliation {
	result := r.result
	for i := range r.calls {
		c := &r.calls[i]
		if !r.within(c.ObservedAt) || r.seen[c.TicketID] {
			continue
		}
		message := "the gate was opened for no ticket"
		if c.TicketID != "" {
			message = fmt.Sprintf("the gate opened for ticket %s, which was not there in the span", c.TicketID)
		}
		result.Faults = append(result.Faults, ReconciliationFault{
			Code: FaultOpeningWithoutTicket, TicketID: c.TicketID, GateID: c.GateID, Sequence: c.Sequence, Message: message,
		})
	}
	return result
}
