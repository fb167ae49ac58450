package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// Ticket implements store.Parking.
func (s *Store) Ticket(ctx context.Context, id string) (k parking.Ticket, err error) {
	err = s.read(ctx, "ticket "+id, func(ctx context.Context, q *dbsqlc.Queries) error {
		k, err = ticket(ctx, q, id)
		return err
	})
	return k, err
}

// Ticket implements store.FacilityTx.
func (t *facilityTx) Ticket(ctx context.Context, id string) (parking.Ticket, error) {
	k, err := ticket(ctx, t.w, id)
	return k, t.call("ticket "+id, err)
}

func ticket(ctx context.Context, q *dbsqlc.Queries, id string) (parking.Ticket, error) {
	row, err := q.GetTicket(ctx, id)
	if err != nil {
		return parking.Ticket{}, err
	}
	tickets, err := complete(ctx, q, []dbsqlc.PlTicket{row})
	if err != nil {
		return parking.Ticket{}, err
	}
	return tickets[0], nil
}

// Tickets implements store.Parking: one query for each way in, so that each has its
// index.
func (s *Store) Tickets(ctx context.Context, f store.TicketFilter) (tickets []parking.Ticket, err error) {
	if f.Facility != "" && f.AfterFacility > f.Facility {
		return nil, nil
	}
	err = s.read(ctx, "tickets", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := ticketRows(ctx, q, &f)
		if err != nil {
			return err
		}
		tickets, err = complete(ctx, q, rows)
		return err
	})
	return tickets, err
}

func ticketRows(ctx context.Context, q *dbsqlc.Queries, f *store.TicketFilter) ([]dbsqlc.PlTicket, error) {
	after, limit, status, facility := f.AfterSeq, maxRows(f.Limit), string(f.Status), string(f.Facility)
	if f.AfterFacility != f.Facility {
		after = 0
	}
	from, to := span(f.ExitedFrom, f.ExitedTo)
	anyExit := f.ExitedFrom.IsZero() && f.ExitedTo.IsZero()
	switch {
	case f.Vehicle != "":
		return q.TicketsOfVehicle(ctx, dbsqlc.TicketsOfVehicleParams{
			VehicleID: f.Vehicle, AfterFacility: string(f.AfterFacility), AfterSeq: f.AfterSeq, FacilityID: facility,
			Status: status, AnyExit: flag(anyExit), ExitedFrom: from, ExitedTo: to, MaxRows: limit,
		})
	case facility != "" && !anyExit:
		return q.TicketsExited(ctx, dbsqlc.TicketsExitedParams{
			FacilityID: facility, ExitedFrom: &from, ExitedTo: &to, AfterSeq: after, Status: status, MaxRows: limit,
		})
	case facility != "" && f.Status == parking.TicketOpen:
		return q.OpenTicketsOfFacility(ctx, dbsqlc.OpenTicketsOfFacilityParams{FacilityID: facility, AfterSeq: after, MaxRows: limit})
	case facility != "":
		return q.TicketsOfFacility(ctx, dbsqlc.TicketsOfFacilityParams{FacilityID: facility, AfterSeq: after, Status: status, MaxRows: limit})
	}
	return q.Tickets(ctx, dbsqlc.TicketsParams{
		AfterFacility: string(f.AfterFacility), AfterSeq: f.AfterSeq, Status: status,
		AnyExit: flag(anyExit), ExitedFrom: from, ExitedTo: to, MaxRows: limit,
	})
}

// InsertTicket implements store.FacilityTx. A ticket without a number gets that of the
// event that is recorded next.
func (t *facilityTx) InsertTicket(ctx context.Context, k *parking.Ticket) error {
	if k.Seq == 0 {
		k.Seq = t.facility.Sequences.Event + 1
	}
	return t.wrote("insert ticket "+k.TicketID, t.atomically(ctx, func() error { return t.insertTicket(ctx, k) }))
}

func (t *facilityTx) insertTicket(ctx context.Context, k *parking.Ticket) error {
	if len(k.SpotIDs) == 0 {
		return fmt.Errorf("%w: a ticket without spots", store.ErrData)
	}
	if err := checkText("a ticket", append([]string{k.TicketID, k.VehicleID, k.VoidReason, k.ReservationID}, k.SpotIDs...)...); err != nil {
		return err
	}
	made, err := t.w.InsertTicket(ctx, dbsqlc.InsertTicketParams{
		TicketID:         k.TicketID,
		Seq:              k.Seq,
		FacilityID:       string(k.FacilityID),
		VehicleID:        k.VehicleID,
		SpotID:           k.SpotIDs[0],
		SpotIds:          jsonOf(k.SpotIDs),
		Status:           string(k.Status),
		EntryTime:        micros(k.EntryTime),
		ExitTime:         microsPtr(k.ExitTime),
		Lost:             flag(k.Lost),
		StrategyID:       k.StrategyID,
		StrategyVersion:  int64(k.StrategyVersion),
		EntryOccupancyBp: k.EntryOccupancyBP,
		Amount:           (*int64)(k.Amount),
		PricedUntil:      microsPtr(k.PricedUntil),
		WindowOpenedAt:   microsPtr(k.WindowOpenedAt),
		VoidReason:       k.VoidReason,
		ReservationID:    k.ReservationID,
	})
	if err != nil {
		return err
	}
	if made == 0 {
		return t.ticketClash(ctx, k)
	}
	for _, spot := range k.SpotIDs {
		if err := t.w.InsertTicketSpot(ctx, dbsqlc.InsertTicketSpotParams{
			TicketID: k.TicketID, FacilityID: string(k.FacilityID), SpotID: spot, Live: flag(k.Status == parking.TicketOpen),
		}); err != nil {
			return fmt.Errorf("spot %s: %w", spot, err)
		}
	}
	return nil
}

// ticketClash says why a ticket was not inserted.
func (t *facilityTx) ticketClash(ctx context.Context, k *parking.Ticket) error {
	clash, err := t.w.TicketClash(ctx, dbsqlc.TicketClashParams{TicketID: k.TicketID, FacilityID: string(k.FacilityID), Seq: k.Seq})
	switch {
	case err != nil:
		return err
	case clash.IDTaken:
		return store.ErrExists
	case clash.SeqTaken:
		return fmt.Errorf("%w: the number %d of the ticket is taken", store.ErrData, k.Seq)
	}
	return fmt.Errorf("%w: vehicle %s has an open ticket", store.ErrConflict, k.VehicleID)
}

// SetTicket implements store.FacilityTx.
func (t *facilityTx) SetTicket(ctx context.Context, k *parking.Ticket) error {
	return t.wrote("change ticket "+k.TicketID, t.setTicket(ctx, k))
}

func (t *facilityTx) setTicket(ctx context.Context, k *parking.Ticket) error {
	if err := checkText("a ticket", k.VoidReason); err != nil {
		return err
	}
	if err := some(t.w.UpdateTicket(ctx, dbsqlc.UpdateTicketParams{
		TicketID:       k.TicketID,
		FacilityID:     string(t.facility.FacilityID),
		Status:         string(k.Status),
		ExitTime:       microsPtr(k.ExitTime),
		Lost:           flag(k.Lost),
		Amount:         (*int64)(k.Amount),
		PricedUntil:    microsPtr(k.PricedUntil),
		WindowOpenedAt: microsPtr(k.WindowOpenedAt),
		VoidReason:     k.VoidReason,
	})); err != nil || k.Status == parking.TicketOpen {
		return err
	}
	return t.w.EndTicketSpots(ctx, k.TicketID)
}

// InsertPayment implements store.FacilityTx.
func (t *facilityTx) InsertPayment(ctx context.Context, ticket string, p *parking.Payment) error {
	what := "insert payment " + p.PaymentID
	if err := checkText("a payment", p.PaymentID, p.Method); err != nil {
		return t.wrote(what, err)
	}
	return t.wrote(what, taken(t.w.InsertPayment(ctx, dbsqlc.InsertPaymentParams{
		TicketID: ticket, PaymentID: p.PaymentID, BodyHash: blob(p.BodyHash), Amount: int64(p.Amount), Method: p.Method,
		PaidAt: micros(p.PaidAt), Refunded: int64(p.Refunded), RefundedAt: microsPtr(p.RefundedAt),
	})))
}

// RefundPayments implements store.FacilityTx.
func (t *facilityTx) RefundPayments(ctx context.Context, ticket string, at time.Time) error {
	return t.wrote("refund payments of ticket "+ticket,
		t.w.RefundPayments(ctx, dbsqlc.RefundPaymentsParams{TicketID: ticket, At: new(micros(at))}))
}

// InsertAdjustment implements store.FacilityTx.
func (t *facilityTx) InsertAdjustment(ctx context.Context, ticket string, a *parking.RecordedAdjustment) error {
	what := "insert adjustment " + a.AdjustmentID
	if err := checkText("an adjustment", a.AdjustmentID, a.Reason); err != nil {
		return t.wrote(what, err)
	}
	return t.wrote(what, taken(t.w.InsertAdjustment(ctx, dbsqlc.InsertAdjustmentParams{
		TicketID: ticket, AdjustmentID: a.AdjustmentID, BodyHash: blob(a.BodyHash), Kind: string(a.Kind),
		Minutes: a.Minutes, Bp: a.BP, Amount: int64(a.Amount), Reason: a.Reason,
	})))
}

// complete puts tickets together with their payments and adjustments, which are in the
// order of their recording.
func complete(ctx context.Context, q *dbsqlc.Queries, rows []dbsqlc.PlTicket) ([]parking.Ticket, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	ids := make([]string, len(rows))
	tickets := make([]parking.Ticket, len(rows))
	byID := make(map[string]*parking.Ticket, len(rows))
	var errs []error
	for i := range rows {
		var err error
		tickets[i], err = ticketOf(&rows[i])
		errs = append(errs, err)
		ids[i], byID[rows[i].TicketID] = rows[i].TicketID, &tickets[i]
	}
	payments, err := q.PaymentsOf(ctx, jsonOf(ids))
	errs = append(errs, err)
	adjustments, err := q.AdjustmentsOf(ctx, jsonOf(ids))
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	for i := range payments {
		p := &payments[i]
		k := byID[p.TicketID]
		k.Payments = append(k.Payments, parking.Payment{
			PaymentID: p.PaymentID, BodyHash: p.BodyHash, Amount: parking.Money(p.Amount), Method: p.Method,
			PaidAt: timeOf(p.PaidAt), Refunded: parking.Money(p.Refunded), RefundedAt: timePtr(p.RefundedAt),
		})
	}
	for i := range adjustments {
		a := &adjustments[i]
		k := byID[a.TicketID]
		k.Adjustments = append(k.Adjustments, parking.RecordedAdjustment{
			AdjustmentID: a.AdjustmentID, BodyHash: a.BodyHash, Reason: a.Reason,
			Adjustment: parking.Adjustment{
				Kind: parking.AdjustmentKind(a.Kind), Minutes: a.Minutes, BP: a.Bp, Amount: parking.Money(a.Amount),
			},
		})
	}
	return tickets, nil
}

func ticketOf(row *dbsqlc.PlTicket) (parking.Ticket, error) {
	spots, err := listOf(row.SpotIds)
	return parking.Ticket{
		TicketID:         row.TicketID,
		Seq:              row.Seq,
		FacilityID:       parking.FacilityID(row.FacilityID),
		VehicleID:        row.VehicleID,
		SpotIDs:          spots,
		Status:           parking.TicketStatus(row.Status),
		EntryTime:        timeOf(row.EntryTime),
		ExitTime:         timePtr(row.ExitTime),
		Lost:             row.Lost == 1,
		StrategyID:       row.StrategyID,
		StrategyVersion:  int(row.StrategyVersion),
		EntryOccupancyBP: row.EntryOccupancyBp,
		Amount:           (*parking.Money)(row.Amount),
		PricedUntil:      timePtr(row.PricedUntil),
		WindowOpenedAt:   timePtr(row.WindowOpenedAt),
		VoidReason:       row.VoidReason,
		ReservationID:    row.ReservationID,
	}, err
}
