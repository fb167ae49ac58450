package garage

import (
	"context"
	"errors"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Exit closes a ticket that is paid for, and frees its spots.
func (g *Garage) Exit(ctx context.Context, ticket string, request parking.NewExit, actor string) (parking.TicketView, error) {
	if err := invalid(callFaults(request.Call)); err != nil {
		return parking.TicketView{}, err
	}
	stored, err := g.ticket(ctx, ticket)
	if err != nil {
		return parking.TicketView{}, err
	}
	answer, _, err := g.leave(ctx, &passage{
		call: request.Call, facility: stored.FacilityID, at: request.At, where: "body.at", actor: actor,
		body: passageBody{Kind: gateExit, FacilityID: stored.FacilityID, TicketID: ticket},
	})
	if err == nil {
		err = answer.refusal()
	}
	if err != nil {
		return parking.TicketView{}, err
	}
	return g.view(ctx, answer.Ticket)
}

// leave decides an exit. The ticket is named, or it is the open one of the vehicle.
func (g *Garage) leave(ctx context.Context, p *passage) (gateAnswer, bool, error) {
	if answer, known, err := g.known(ctx, p); known || err != nil {
		return answer, known, err
	}
	ticket, s, refusal := g.leaving(ctx, p)
	if known, ok := errors.AsType[*domain.Error](refusal); refusal != nil && (!ok || !lasting(known.Code)) {
		return gateAnswer{}, false, refusal
	}
	return g.pass(ctx, p, func(ctx context.Context, tx store.FacilityTx, again bool) (gateAnswer, error) {
		if refusal != nil {
			return gateAnswer{}, refusal
		}
		t, err := tx.Ticket(ctx, ticket)
		if err != nil {
			return gateAnswer{}, edge(err, unknownTicket(ticket))
		}
		if again && t.Status == parking.TicketClosed && t.ExitTime != nil && (p.at == nil || t.ExitTime.Equal(*p.at)) {
			return gateAnswer{Ticket: &t}, nil
		}
		return gateAnswer{Ticket: &t}, g.closeTicket(ctx, tx, &t, s, p)
	})
}

// leaving finds the ticket and its tariff before the lock; the refusal is kept for the
// facility to answer.
func (g *Garage) leaving(ctx context.Context, p *passage) (ticket string, s *parking.Strategy, refusal error) {
	stored, err := g.leavingTicket(ctx, p)
	if err != nil {
		return "", nil, err
	}
	s, err = g.strategy(ctx, stored.StrategyID, stored.StrategyVersion)
	return stored.TicketID, s, err
}

func (g *Garage) leavingTicket(ctx context.Context, p *passage) (parking.Ticket, error) {
	if p.body.TicketID != "" {
		t, err := g.ticket(ctx, p.body.TicketID)
		if err == nil && t.FacilityID != p.facility {
			err = unknownTicket(p.body.TicketID)
		}
		return t, err
	}
	var v parking.Vehicle
	var err error
	if p.body.VehicleID != "" {
		v, err = g.Vehicle(ctx, p.body.VehicleID)
	} else {
		v, err = g.VehicleByPlate(ctx, p.body.Vehicle.Plate, p.body.Vehicle.Jurisdiction)
	}
	if err != nil {
		return parking.Ticket{}, err
	}
	open, err := g.store.Tickets(ctx, store.TicketFilter{Facility: p.facility, Vehicle: v.VehicleID, Status: parking.TicketOpen, Limit: 1})
	if err != nil {
		return parking.Ticket{}, edge(err, nil)
	}
	if len(open) == 0 {
		return parking.Ticket{}, domain.Errorf(domain.CodeUnknownTicket, "the vehicle %q has no open ticket at %q", v.VehicleID, p.facility)
	}
	return open[0], nil
}

// closeTicket lets the vehicle out if nothing is due.
func (g *Garage) closeTicket(ctx context.Context, tx store.FacilityTx, t *parking.Ticket, s *parking.Strategy, p *passage) error {
	if t.Status != parking.TicketOpen {
		return ticketClosed(t)
	}
	at, err := instant(p.where, p.at, tx.Now(), t.EntryTime)
	if err != nil {
		return err
	}
	charge := t.Charge(s, at)
	if charge.Due > 0 {
		due := int64(charge.Due)
		return &domain.Error{
			Code: domain.CodePaymentRequired, Due: &due,
			Message: domain.Errorf("", "%d (minor units of %s) must be paid before ticket %q can leave", due, s.Currency, t.TicketID).Message,
		}
	}
	t.Status, t.ExitTime, t.Amount, t.PricedUntil = parking.TicketClosed, &at, &charge.Price.Total, &charge.Until
	if err := tx.SetTicket(ctx, t); err != nil {
		return err
	}
	if err := tx.Free(ctx, t.SpotIDs); err != nil {
		return err
	}
	err = record(ctx, tx, parking.EventExit, p.actor, ticketSubjects(t), p.fields(map[string]any{
		"exitTime": at, "amount": t.Amount, "paid": t.Paid(), "pricedUntil": t.PricedUntil, "spotIds": t.SpotIDs,
	}))
	if err != nil {
		return err
	}
	return g.release(ctx, tx)
}

func ticketClosed(t *parking.Ticket) *domain.Error {
	return domain.Errorf(domain.CodeTicketClosed, "the ticket %q is %s", t.TicketID, t.Status)
}
