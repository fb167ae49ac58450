package garage

import (
	"context"
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

func (g *Garage) ticket(ctx context.Context, id string) (parking.Ticket, error) {
	t, err := g.store.Ticket(ctx, id)
	return t, edge(err, unknownTicket(id))
}

// Ticket returns a ticket; of a closed one with the lines of its amount.
func (g *Garage) Ticket(ctx context.Context, id string) (parking.TicketView, error) {
	t, err := g.ticket(ctx, id)
	if err != nil {
		return parking.TicketView{}, err
	}
	return g.view(ctx, &t)
}

// view computes the lines again, from what the ticket stores.
func (g *Garage) view(ctx context.Context, t *parking.Ticket) (parking.TicketView, error) {
	view := parking.TicketView{Ticket: *t}
	if t.Status != parking.TicketClosed || t.PricedUntil == nil {
		return view, nil
	}
	s, err := g.strategy(ctx, t.StrategyID, t.StrategyVersion)
	if err != nil {
		return view, err
	}
	view.Lines = parking.Compute(s, t.Stay(*t.PricedUntil)).Lines
	return view, nil
}

// Tickets returns tickets without lines.
func (g *Garage) Tickets(ctx context.Context, filter store.TicketFilter) ([]parking.TicketView, error) {
	tickets, err := g.store.Tickets(ctx, filter)
	views := make([]parking.TicketView, len(tickets))
	for i := range tickets {
		views[i].Ticket = tickets[i]
	}
	return views, edge(err, nil)
}

// Quote says what leaving at an instant would cost; nil: now. Inside an exit window the
// price is the one that was paid. A closed ticket costs what it cost, a void one nothing.
func (g *Garage) Quote(ctx context.Context, id string, until *time.Time) (parking.Quote, error) {
	t, err := g.ticket(ctx, id)
	if err != nil {
		return parking.Quote{}, err
	}
	s, err := g.strategy(ctx, t.StrategyID, t.StrategyVersion)
	if err != nil {
		return parking.Quote{}, err
	}
	q := parking.Quote{Entry: t.EntryTime, Currency: s.Currency, Paid: t.Paid()}
	switch t.Status {
	case parking.TicketVoid:
		q.Until = t.EntryTime
		return q, nil
	case parking.TicketClosed:
		q.Until, q.Price = *t.PricedUntil, parking.Compute(s, t.Stay(*t.PricedUntil))
		return q, nil
	case parking.TicketOpen:
	}
	at := later(g.clock(), t.EntryTime)
	if until != nil {
		at = until.UTC().Truncate(time.Microsecond)
		if wrong := tooLong(s, at.Sub(t.EntryTime)); wrong != "" {
			return parking.Quote{}, fault("query.until", "%s", wrong)
		}
		if at.Before(t.EntryTime) {
			return parking.Quote{}, fault("query.until", "must not be before the entry at %s", t.EntryTime.Format(time.RFC3339Nano))
		}
	}
	c := t.Charge(s, at)
	q.Until, q.Price, q.Due, q.FreeUntil = c.Until, c.Price, c.Due, c.FreeUntil
	return q, nil
}

// tooLong says why a stay is not itemised on request; empty: it is.
func tooLong(s *parking.Strategy, stay time.Duration) string {
	shortest := parking.MaxStayMinutes
	for _, t := range s.Tiers {
		shortest = min(shortest, t.IncrementMinutes)
	}
	switch minutes := int64(stay / time.Minute); {
	case minutes > parking.MaxStayMinutes:
		return "is more than ten years after the entry"
	case minutes/shortest > maxLines:
		return fmt.Sprintf("would make more than %d lines; ask for a shorter stay", maxLines)
	}
	return ""
}

// onTicket runs f on a ticket under its facility's lock, and returns the ticket as f
// left it.
func (g *Garage) onTicket(
	ctx context.Context, id string, f func(ctx context.Context, tx store.FacilityTx, t *parking.Ticket, s *parking.Strategy) error,
) (parking.TicketView, error) {
	stored, err := g.ticket(ctx, id)
	if err != nil {
		return parking.TicketView{}, err
	}
	s, err := g.strategy(ctx, stored.StrategyID, stored.StrategyVersion)
	if err != nil {
		return parking.TicketView{}, err
	}
	var t parking.Ticket
	err = g.change(ctx, stored.FacilityID, func(ctx context.Context, tx store.FacilityTx, _ bool) error {
		var err error
		if t, err = tx.Ticket(ctx, id); err != nil {
			return edge(err, unknownTicket(id))
		}
		return f(ctx, tx, &t, s)
	})
	if err != nil {
		return parking.TicketView{}, err
	}
	return g.view(ctx, &t)
}

// setWindow keeps the ticket's note of the payment that covers its price.
func setWindow(ctx context.Context, tx store.FacilityTx, t *parking.Ticket, s *parking.Strategy) error {
	t.WindowOpenedAt = t.CoveredAt(s)
	return tx.SetTicket(ctx, t)
}
