package garage

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// maxAdjustments is how many adjustments a ticket may have.
const maxAdjustments = 100

// Pay records money for an open ticket: at most what is due at its paidAt.
func (g *Garage) Pay(ctx context.Context, ticket string, request parking.NewPayment, actor string) (parking.TicketView, error) {
	faults := append(parking.IDFaults("paymentId", request.PaymentID), parking.TextFaults("method", request.Method)...)
	if request.Amount < 1 || request.Amount > parking.MaxMoney {
		faults = append(faults, domain.Fault{
			Location: "amount", Message: fmt.Sprintf("must be 1 to %d", parking.MaxMoney), Value: request.Amount,
		})
	}
	if err := invalid(faults); err != nil {
		return parking.TicketView{}, err
	}
	hash, err := hashOf(request)
	if err != nil {
		return parking.TicketView{}, err
	}
	return g.onTicket(ctx, ticket, func(ctx context.Context, tx store.FacilityTx, t *parking.Ticket, s *parking.Strategy) error {
		for i := range t.Payments {
			if known := &t.Payments[i]; known.PaymentID == request.PaymentID {
				return same("payment", known.PaymentID, known.BodyHash, hash)
			}
		}
		if t.Status != parking.TicketOpen {
			return ticketClosed(t)
		}
		paidAt, err := instant("body.paidAt", request.PaidAt, tx.Now(), t.EntryTime)
		if err != nil {
			return err
		}
		if due := t.Charge(s, paidAt).Due; request.Amount > due {
			return domain.Errorf(domain.CodeOverpaid, "%d is due at %s, not %d; pay that, or less", due, paidAt.Format(time.RFC3339), request.Amount)
		}
		p := parking.Payment{PaymentID: request.PaymentID, BodyHash: hash, Amount: request.Amount, Method: request.Method, PaidAt: paidAt}
		if err := tx.InsertPayment(ctx, t.TicketID, &p); err != nil {
			return err
		}
		t.Payments = append(t.Payments, p)
		if err := setWindow(ctx, tx, t, s); err != nil {
			return err
		}
		return record(ctx, tx, parking.EventPayment, actor, ticketSubjects(t), map[string]any{
			"paymentId": p.PaymentID, "amount": p.Amount, "method": p.Method, "paidAt": p.PaidAt, "windowOpenedAt": t.WindowOpenedAt,
		})
	})
}

// same answers an id that is known: fine, if it was for the same.
func same(what, id string, first, hash []byte) error {
	if !bytes.Equal(first, hash) {
		return exists(what, id)
	}
	return nil
}

// Adjust records a validation or a discount of an open ticket.
func (g *Garage) Adjust(ctx context.Context, ticket string, request parking.NewAdjustment, actor string) (parking.TicketView, error) {
	faults := append(parking.IDFaults("adjustmentId", request.AdjustmentID), parking.TextFaults("reason", request.Reason)...)
	for _, f := range request.Faults("") {
		f.Location = f.Location[1:] // of the body itself
		faults = append(faults, f)
	}
	if err := invalid(faults); err != nil {
		return parking.TicketView{}, err
	}
	hash, err := hashOf(request)
	if err != nil {
		return parking.TicketView{}, err
	}
	return g.onTicket(ctx, ticket, func(ctx context.Context, tx store.FacilityTx, t *parking.Ticket, s *parking.Strategy) error {
		for i := range t.Adjustments {
			if known := &t.Adjustments[i]; known.AdjustmentID == request.AdjustmentID {
				return same("adjustment", known.AdjustmentID, known.BodyHash, hash)
			}
		}
		if t.Status != parking.TicketOpen {
			return ticketClosed(t)
		}
		if len(t.Adjustments) >= maxAdjustments {
			return fault("body", "the ticket has %d adjustments already, as many as it may have", maxAdjustments)
		}
		a := parking.RecordedAdjustment{
			AdjustmentID: request.AdjustmentID, BodyHash: hash, Adjustment: request.Adjustment, Reason: request.Reason,
		}
		if err := tx.InsertAdjustment(ctx, t.TicketID, &a); err != nil {
			return err
		}
		t.Adjustments = append(t.Adjustments, a)
		if err := setWindow(ctx, tx, t, s); err != nil {
			return err
		}
		return record(ctx, tx, parking.EventAdjustment, actor, ticketSubjects(t), map[string]any{
			"adjustmentId": a.AdjustmentID, "kind": a.Kind, "minutes": a.Minutes, "bp": a.BP, "amount": a.Amount, "reason": a.Reason,
		})
	})
}

// ReportLost notes that the driver has lost the ticket, which costs the fee of the
// tariff at least. Again: nothing new.
func (g *Garage) ReportLost(ctx context.Context, ticket string, at *time.Time, actor string) (parking.TicketView, error) {
	return g.onTicket(ctx, ticket, func(ctx context.Context, tx store.FacilityTx, t *parking.Ticket, s *parking.Strategy) error {
		if t.Lost {
			return nil
		}
		if t.Status != parking.TicketOpen {
			return ticketClosed(t)
		}
		since, err := instant("body.at", at, tx.Now(), t.EntryTime)
		if err != nil {
			return err
		}
		t.Lost = true
		if err := setWindow(ctx, tx, t, s); err != nil {
			return err
		}
		return record(ctx, tx, parking.EventLost, actor, ticketSubjects(t), map[string]any{"at": since})
	})
}

// Void annuls a ticket, gives back what was paid for it and frees its spots. A closed
// ticket can be annulled too: that is how a dispute ends. Again: nothing new.
func (g *Garage) Void(ctx context.Context, ticket, reason, actor string) (parking.TicketView, error) {
	if err := invalid(parking.NameFaults("reason", reason)); err != nil {
		return parking.TicketView{}, err
	}
	return g.onTicket(ctx, ticket, func(ctx context.Context, tx store.FacilityTx, t *parking.Ticket, _ *parking.Strategy) error {
		if t.Status == parking.TicketVoid {
			return nil
		}
		stands, at := t.Status == parking.TicketOpen, tx.Now()
		t.Status, t.VoidReason, t.Amount, t.PricedUntil, t.WindowOpenedAt = parking.TicketVoid, reason, nil, nil, nil
		if stands {
			left := later(at, t.EntryTime)
			t.ExitTime = &left
		}
		if err := tx.SetTicket(ctx, t); err != nil {
			return err
		}
		refunded := t.Paid()
		if refunded > 0 {
			if err := tx.RefundPayments(ctx, t.TicketID, at); err != nil {
				return err
			}
			for i := range t.Payments {
				t.Payments[i].Refunded, t.Payments[i].RefundedAt = t.Payments[i].Amount, &at
			}
		}
		if stands {
			if err := tx.Free(ctx, t.SpotIDs); err != nil {
				return err
			}
		}
		if err := record(ctx, tx, parking.EventVoid, actor, ticketSubjects(t), map[string]any{
			"reason": reason, "refunded": refunded, "freed": stands,
		}); err != nil || !stands {
			return err
		}
		return g.release(ctx, tx)
	})
}
