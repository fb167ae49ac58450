package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// Ticket implements store.Parking.
func (s *Store) Ticket(ctx context.Context, id string) (parking.Ticket, error) {
	var tickets []parking.Ticket
	err := s.snapshot(ctx, "ticket "+id, func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetTicket(ctx, id)
		if err != nil {
			return err
		}
		tickets, err = s.complete(ctx, q, []dbsqlc.PlTicket{row})
		return err
	})
	if err != nil {
		return parking.Ticket{}, err
	}
	return tickets[0], nil
}

// Tickets implements store.Parking: one query for each way in, so that each has its
// index.
func (s *Store) Tickets(ctx context.Context, f store.TicketFilter) ([]parking.Ticket, error) {
	after, limit, status, facility := f.AfterSeq, maxRows(f.Limit), string(f.Status), string(f.Facility)
	if f.Facility != "" && f.AfterFacility != f.Facility {
		if f.AfterFacility > f.Facility {
			return nil, nil
		}
		after = 0
	}
	exited := !f.ExitedFrom.IsZero() || !f.ExitedTo.IsZero()
	var tickets []parking.Ticket
	err := s.snapshot(ctx, "tickets", func(ctx context.Context, q *dbsqlc.Queries) error {
		var rows []dbsqlc.PlTicket
		var err error
		switch {
		case f.Vehicle != "":
			rows, err = q.TicketsOfVehicle(ctx, dbsqlc.TicketsOfVehicleParams{
				VehicleID: f.Vehicle, AfterFacility: string(f.AfterFacility), AfterSeq: f.AfterSeq, FacilityID: facility,
				Status: status, ExitedFrom: since(f.ExitedFrom), ExitedTo: since(f.ExitedTo), MaxRows: limit,
			})
		case facility != "" && exited:
			rows, err = q.TicketsExited(ctx, dbsqlc.TicketsExitedParams{
				FacilityID: facility, ExitedFrom: bound(f.ExitedFrom, pgtype.NegativeInfinity), ExitedTo: bound(f.ExitedTo, pgtype.Infinity),
				AfterSeq: after, Status: status, MaxRows: limit,
			})
		case facility != "" && f.Status == parking.TicketOpen:
			rows, err = q.OpenTicketsOfFacility(ctx, dbsqlc.OpenTicketsOfFacilityParams{FacilityID: facility, AfterSeq: after, MaxRows: limit})
		case facility != "":
			rows, err = q.TicketsOfFacility(ctx, dbsqlc.TicketsOfFacilityParams{
				FacilityID: facility, AfterSeq: after, Status: status, MaxRows: limit,
			})
		default:
			rows, err = q.Tickets(ctx, dbsqlc.TicketsParams{
				AfterFacility: string(f.AfterFacility), AfterSeq: f.AfterSeq, Status: status,
				ExitedFrom: since(f.ExitedFrom), ExitedTo: since(f.ExitedTo), MaxRows: limit,
			})
		}
		if err != nil {
			return err
		}
		tickets, err = s.complete(ctx, q, rows)
		return err
	})
	return tickets, err
}

// since is an end of a range that may be open: NULL.
func since(t time.Time) pgtype.Timestamptz {
	if t.IsZero() {
		return pgtype.Timestamptz{}
	}
	return instant(t)
}

// snapshot calls f with reads that all see the same state.
func (s *Store) snapshot(ctx context.Context, what string, f func(ctx context.Context, q *dbsqlc.Queries) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return classify(what, pgx.BeginTxFunc(ctx, s.pool, opts, func(tx pgx.Tx) error { return f(ctx, dbsqlc.New(tx)) }))
}

// complete reads the payments and adjustments of tickets.
func (*Store) complete(ctx context.Context, q *dbsqlc.Queries, rows []dbsqlc.PlTicket) ([]parking.Ticket, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].TicketID
	}
	payments, err := q.PaymentsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	adjustments, err := q.AdjustmentsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	return ticketsOf(rows, payments, adjustments), nil
}

// Ticket implements store.FacilityTx.
func (t *facilityTx) Ticket(ctx context.Context, id string) (parking.Ticket, error) {
	var row dbsqlc.PlTicket
	var payments []dbsqlc.PlPayment
	var adjustments []dbsqlc.PlAdjustment
	err := pipelined(ctx, t.conn, func(p pipe) (err error) {
		if payments, err = p.PaymentsOf(ctx, []string{id}); err != nil {
			return err
		}
		if adjustments, err = p.AdjustmentsOf(ctx, []string{id}); err != nil {
			return err
		}
		row, err = p.GetTicket(ctx, id)
		return err
	})
	if err != nil {
		return parking.Ticket{}, t.call("ticket "+id, err)
	}
	return ticketsOf([]dbsqlc.PlTicket{row}, payments, adjustments)[0], nil
}

// InsertTicket implements store.FacilityTx. A ticket without a number gets that of the
// event that is recorded next.
func (t *facilityTx) InsertTicket(ctx context.Context, k *parking.Ticket) error {
	if k.Seq == 0 {
		k.Seq = t.facility.Sequences.Event + 1
	}
	return t.wrote("insert ticket "+k.TicketID, t.insertTicket(ctx, k))
}

func (t *facilityTx) insertTicket(ctx context.Context, k *parking.Ticket) error {
	if len(k.SpotIDs) == 0 {
		return fmt.Errorf("%w: a ticket without spots", store.ErrData)
	}
	made, err := t.q.InsertTicket(ctx, dbsqlc.InsertTicketParams{
		TicketID:         k.TicketID,
		Seq:              k.Seq,
		FacilityID:       string(k.FacilityID),
		VehicleID:        k.VehicleID,
		SpotID:           k.SpotIDs[0],
		SpotIds:          k.SpotIDs,
		Status:           string(k.Status),
		EntryTime:        instant(k.EntryTime),
		ExitTime:         maybeInstant(k.ExitTime),
		Lost:             k.Lost,
		StrategyID:       k.StrategyID,
		StrategyVersion:  int32(k.StrategyVersion),
		EntryOccupancyBp: k.EntryOccupancyBP,
		Amount:           (*int64)(k.Amount),
		PricedUntil:      maybeInstant(k.PricedUntil),
		WindowOpenedAt:   maybeInstant(k.WindowOpenedAt),
		VoidReason:       k.VoidReason,
		ReservationID:    k.ReservationID,
	})
	if err != nil || made == 1 {
		return err
	}
	clash, err := t.q.TicketClash(ctx, dbsqlc.TicketClashParams{TicketID: k.TicketID, FacilityID: string(k.FacilityID), Seq: k.Seq})
	switch {
	case err != nil:
		return err
	case clash.IDTaken:
		return store.ErrExists
	case clash.SeqTaken:
		return fmt.Errorf("%w: the number %d of the ticket is taken", store.ErrData, k.Seq)
	}
	return fmt.Errorf("%w: vehicle %s or one of the spots %q has an open ticket", store.ErrConflict, k.VehicleID, k.SpotIDs)
}

// SetTicket implements store.FacilityTx.
func (t *facilityTx) SetTicket(ctx context.Context, k *parking.Ticket) error {
	var changed int64
	err := pipelined(ctx, t.conn, func(p pipe) (err error) {
		if changed, err = p.UpdateTicket(ctx, dbsqlc.UpdateTicketParams{
			TicketID:       k.TicketID,
			FacilityID:     string(t.facility.FacilityID),
			Status:         string(k.Status),
			ExitTime:       maybeInstant(k.ExitTime),
			Lost:           k.Lost,
			Amount:         (*int64)(k.Amount),
			PricedUntil:    maybeInstant(k.PricedUntil),
			WindowOpenedAt: maybeInstant(k.WindowOpenedAt),
			VoidReason:     k.VoidReason,
		}); err != nil || k.Status == parking.TicketOpen {
			return err
		}
		return p.EndTicketSpots(ctx, k.TicketID)
	})
	return t.wrote("change ticket "+k.TicketID, some(int(changed), err))
}

// InsertPayment implements store.FacilityTx.
func (t *facilityTx) InsertPayment(ctx context.Context, ticket string, p *parking.Payment) error {
	made, err := t.q.InsertPayment(ctx, dbsqlc.InsertPaymentParams{
		TicketID: ticket, PaymentID: p.PaymentID, BodyHash: blob(p.BodyHash), Amount: int64(p.Amount), Method: p.Method,
		PaidAt: instant(p.PaidAt), Refunded: int64(p.Refunded), RefundedAt: maybeInstant(p.RefundedAt),
	})
	return t.wrote("insert payment "+p.PaymentID, taken(made, err))
}

// RefundPayments implements store.FacilityTx.
func (t *facilityTx) RefundPayments(ctx context.Context, ticket string, at time.Time) error {
	return t.wrote("refund payments of ticket "+ticket, t.q.RefundPayments(ctx, dbsqlc.RefundPaymentsParams{TicketID: ticket, At: instant(at)}))
}

// InsertAdjustment implements store.FacilityTx.
func (t *facilityTx) InsertAdjustment(ctx context.Context, ticket string, a *parking.RecordedAdjustment) error {
	made, err := t.q.InsertAdjustment(ctx, dbsqlc.InsertAdjustmentParams{
		TicketID: ticket, AdjustmentID: a.AdjustmentID, BodyHash: blob(a.BodyHash), Kind: string(a.Kind),
		Minutes: a.Minutes, Bp: a.BP, Amount: int64(a.Amount), Reason: a.Reason,
	})
	return t.wrote("insert adjustment "+a.AdjustmentID, taken(made, err))
}

// taken makes an insert of nothing ErrExists.
func taken(made int64, err error) error {
	if err == nil && made == 0 {
		return store.ErrExists
	}
	return err
}

// blob is bytes that are never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// ticketsOf puts tickets together with their payments and adjustments, which are in
// the order of their recording.
func ticketsOf(rows []dbsqlc.PlTicket, payments []dbsqlc.PlPayment, adjustments []dbsqlc.PlAdjustment) []parking.Ticket {
	tickets := make([]parking.Ticket, len(rows))
	byID := make(map[string]*parking.Ticket, len(rows))
	for i := range rows {
		tickets[i] = ticketOf(&rows[i])
		byID[rows[i].TicketID] = &tickets[i]
	}
	for i := range payments {
		p := &payments[i]
		if k := byID[p.TicketID]; k != nil {
			k.Payments = append(k.Payments, parking.Payment{
				PaymentID: p.PaymentID, BodyHash: p.BodyHash, Amount: parking.Money(p.Amount), Method: p.Method,
				PaidAt: p.PaidAt.Time.UTC(), Refunded: parking.Money(p.Refunded), RefundedAt: maybeTime(p.RefundedAt),
			})
		}
	}
	for i := range adjustments {
		a := &adjustments[i]
		if k := byID[a.TicketID]; k != nil {
			k.Adjustments = append(k.Adjustments, parking.RecordedAdjustment{
				AdjustmentID: a.AdjustmentID, BodyHash: a.BodyHash, Reason: a.Reason,
				Adjustment: parking.Adjustment{
					Kind: parking.AdjustmentKind(a.Kind), Minutes: a.Minutes, BP: a.Bp, Amount: parking.Money(a.Amount),
				},
			})
		}
	}
	return tickets
}

func ticketOf(row *dbsqlc.PlTicket) parking.Ticket {
	return parking.Ticket{
		TicketID:         row.TicketID,
		Seq:              row.Seq,
		FacilityID:       parking.FacilityID(row.FacilityID),
		VehicleID:        row.VehicleID,
		SpotIDs:          row.SpotIds,
		Status:           parking.TicketStatus(row.Status),
		EntryTime:        row.EntryTime.Time.UTC(),
		ExitTime:         maybeTime(row.ExitTime),
		Lost:             row.Lost,
		StrategyID:       row.StrategyID,
		StrategyVersion:  int(row.StrategyVersion),
		EntryOccupancyBP: row.EntryOccupancyBp,
		Amount:           (*parking.Money)(row.Amount),
		PricedUntil:      maybeTime(row.PricedUntil),
		WindowOpenedAt:   maybeTime(row.WindowOpenedAt),
		VoidReason:       row.VoidReason,
		ReservationID:    row.ReservationID,
	}
}
