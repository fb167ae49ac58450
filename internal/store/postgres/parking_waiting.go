package postgres

import (
	"context"
	"fmt"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// Waiting implements store.Parking.
func (s *Store) Waiting(ctx context.Context, id string) (parking.Waiting, error) {
	var w parking.Waiting
	err := s.read(ctx, "waiting "+id, func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetWaiting(ctx, id)
		w = waitingOf(&row)
		return err
	})
	return w, err
}

// WaitingLine implements store.Parking.
func (s *Store) WaitingLine(ctx context.Context, id parking.FacilityID) ([]parking.Waiting, error) {
	var line []parking.Waiting
	err := s.read(ctx, "waiting line of facility "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.WaitingLine(ctx, string(id))
		line = waitingsOf(rows)
		return err
	})
	return line, err
}

// InsertWaiting implements store.FacilityTx.
func (t *facilityTx) InsertWaiting(ctx context.Context, w *parking.Waiting) error {
	return t.wrote("insert waiting "+w.WaitingID, t.insertWaiting(ctx, w))
}

func (t *facilityTx) insertWaiting(ctx context.Context, w *parking.Waiting) error {
	seq := t.facility.Sequences.Wait + 1
	arg := dbsqlc.InsertWaitingParams{
		WaitingID: w.WaitingID, FacilityID: string(w.FacilityID), Seq: seq, VehicleID: w.VehicleID, Features: texts(w.Features),
		Priority: int16(w.Priority), Overtaken: int32(w.Overtaken), Deadline: instant(w.Deadline), Status: string(w.Status),
		ReasonCode: string(w.ReasonCode), OfferSpotIds: texts(w.OfferSpotIDs), OfferExpiresAt: maybeInstant(w.OfferExpiresAt),
		TicketID: w.TicketID, CreatedAt: instant(w.CreatedAt),
	}
	if w.Mailbox != nil {
		arg.MailboxTenant = (*string)(&w.Mailbox.Tenant)
		arg.MailboxUser, arg.MailboxSession = w.Mailbox.UserID, w.Mailbox.SessionID
	}
	made, err := t.q.InsertWaiting(ctx, arg)
	if err != nil {
		return err
	}
	if made == 1 {
		w.Seq, t.facility.Sequences.Wait = seq, seq
		return nil
	}
	exists, err := t.q.WaitingExists(ctx, w.WaitingID)
	switch {
	case err != nil:
		return err
	case exists:
		return store.ErrExists
	}
	return fmt.Errorf("%w: vehicle %s waits already", store.ErrConflict, w.VehicleID)
}

// Waiting implements store.FacilityTx.
func (t *facilityTx) Waiting(ctx context.Context, id string) (parking.Waiting, error) {
	row, err := t.q.GetWaiting(ctx, id)
	return waitingOf(&row), t.call("waiting "+id, err)
}

// SetWaiting implements store.FacilityTx.
func (t *facilityTx) SetWaiting(ctx context.Context, w *parking.Waiting) error {
	changed, err := t.q.UpdateWaiting(ctx, dbsqlc.UpdateWaitingParams{
		WaitingID: w.WaitingID, FacilityID: string(t.facility.FacilityID), Overtaken: int32(w.Overtaken), Status: string(w.Status),
		ReasonCode: string(w.ReasonCode), OfferSpotIds: texts(w.OfferSpotIDs), OfferExpiresAt: maybeInstant(w.OfferExpiresAt), TicketID: w.TicketID,
	})
	return t.wrote("change waiting "+w.WaitingID, some(int(changed), err))
}

// Line implements store.FacilityTx.
func (t *facilityTx) Line(ctx context.Context, limit int) ([]parking.InLine, error) {
	rows, err := t.q.Line(ctx, dbsqlc.LineParams{FacilityID: string(t.facility.FacilityID), MaxRows: maxRows(limit)})
	line := make([]parking.InLine, 0, len(rows))
	for i := range rows {
		line = append(line, parking.InLine{Waiting: waitingOf(&rows[i].PlWaiting), Size: parking.VehicleSize(rows[i].Size)})
	}
	return line, t.call("waiting line", err)
}

// DueWaiting implements store.FacilityTx.
func (t *facilityTx) DueWaiting(ctx context.Context) ([]parking.Waiting, error) {
	rows, err := t.q.DueWaiting(ctx, dbsqlc.DueWaitingParams{FacilityID: string(t.facility.FacilityID), Now: instant(t.now)})
	return waitingsOf(rows), t.call("due waiting", err)
}

func waitingsOf(rows []dbsqlc.PlWaiting) []parking.Waiting {
	found := make([]parking.Waiting, 0, len(rows))
	for i := range rows {
		found = append(found, waitingOf(&rows[i]))
	}
	return found
}

func waitingOf(row *dbsqlc.PlWaiting) parking.Waiting {
	w := parking.Waiting{
		WaitingID: row.WaitingID, FacilityID: parking.FacilityID(row.FacilityID), Seq: row.Seq, VehicleID: row.VehicleID,
		Priority: domain.Priority(row.Priority), Overtaken: int(row.Overtaken), Deadline: row.Deadline.Time.UTC(),
		Status: parking.WaitingStatus(row.Status), ReasonCode: domain.ReasonCode(row.ReasonCode),
		OfferExpiresAt: maybeTime(row.OfferExpiresAt), TicketID: row.TicketID, CreatedAt: row.CreatedAt.Time.UTC(),
	}
	if len(row.Features) > 0 {
		w.Features = row.Features
	}
	if len(row.OfferSpotIds) > 0 {
		w.OfferSpotIDs = row.OfferSpotIds
	}
	if row.MailboxTenant != nil {
		w.Mailbox = &domain.MailboxKey{Tenant: domain.Tenant(*row.MailboxTenant), UserID: row.MailboxUser, SessionID: row.MailboxSession}
	}
	return w
}
