package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// Waiting implements store.Parking.
func (s *Store) Waiting(ctx context.Context, id string) (w parking.Waiting, err error) {
	err = s.read(ctx, "waiting "+id, func(ctx context.Context, q *dbsqlc.Queries) error {
		w, err = waiting(ctx, q, id)
		return err
	})
	return w, err
}

// Waiting implements store.FacilityTx.
func (t *facilityTx) Waiting(ctx context.Context, id string) (parking.Waiting, error) {
	w, err := waiting(ctx, t.w, id)
	return w, t.call("waiting "+id, err)
}

func waiting(ctx context.Context, q *dbsqlc.Queries, id string) (parking.Waiting, error) {
	row, err := q.GetWaiting(ctx, id)
	if err != nil {
		return parking.Waiting{}, err
	}
	return waitingOf(&row)
}

// WaitingLine implements store.Parking.
func (s *Store) WaitingLine(ctx context.Context, id parking.FacilityID) (line []parking.Waiting, err error) {
	err = s.read(ctx, "waiting line of facility "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.WaitingLine(ctx, string(id))
		if err != nil {
			return err
		}
		line, err = waitingsOf(rows)
		return err
	})
	return line, err
}

// InsertWaiting implements store.FacilityTx.
func (t *facilityTx) InsertWaiting(ctx context.Context, w *parking.Waiting) error {
	return t.wrote("insert waiting "+w.WaitingID, t.insertWaiting(ctx, w))
}

func (t *facilityTx) insertWaiting(ctx context.Context, w *parking.Waiting) error {
	features, err := list("a feature", w.Features)
	offer, oerr := list("a spot", w.OfferSpotIDs)
	if err := errors.Join(err, oerr, checkText("somebody waiting", w.WaitingID, w.VehicleID, w.TicketID)); err != nil {
		return err
	}
	seq := t.facility.Sequences.Wait + 1
	arg := dbsqlc.InsertWaitingParams{
		WaitingID: w.WaitingID, FacilityID: string(w.FacilityID), Seq: seq, VehicleID: w.VehicleID, Features: features,
		Priority: int64(w.Priority), Overtaken: int64(w.Overtaken), Deadline: micros(w.Deadline), Status: string(w.Status),
		ReasonCode: string(w.ReasonCode), OfferSpotIds: offer, OfferExpiresAt: microsPtr(w.OfferExpiresAt),
		TicketID: w.TicketID, CreatedAt: micros(w.CreatedAt),
	}
	if w.Mailbox != nil {
		arg.MailboxTenant = new(string(w.Mailbox.Tenant))
		arg.MailboxUser, arg.MailboxSession = w.Mailbox.UserID, w.Mailbox.SessionID
		if err := checkText("the mailbox key", *arg.MailboxTenant, arg.MailboxUser, arg.MailboxSession); err != nil {
			return err
		}
	}
	made, err := t.w.InsertWaiting(ctx, arg)
	if err != nil {
		return err
	}
	if made == 1 {
		w.Seq, t.facility.Sequences.Wait = seq, seq
		return nil
	}
	exists, err := t.w.WaitingExists(ctx, w.WaitingID)
	switch {
	case err != nil:
		return err
	case exists:
		return store.ErrExists
	}
	return fmt.Errorf("%w: vehicle %s waits already", store.ErrConflict, w.VehicleID)
}

// SetWaiting implements store.FacilityTx.
func (t *facilityTx) SetWaiting(ctx context.Context, w *parking.Waiting) error {
	what := "change waiting " + w.WaitingID
	offer, err := list("a spot", w.OfferSpotIDs)
	if err != nil {
		return t.wrote(what, err)
	}
	return t.wrote(what, some(t.w.UpdateWaiting(ctx, dbsqlc.UpdateWaitingParams{
		WaitingID: w.WaitingID, FacilityID: string(t.facility.FacilityID), Overtaken: int64(w.Overtaken), Status: string(w.Status),
		ReasonCode: string(w.ReasonCode), OfferSpotIds: offer, OfferExpiresAt: microsPtr(w.OfferExpiresAt), TicketID: w.TicketID,
	})))
}

// Line implements store.FacilityTx.
func (t *facilityTx) Line(ctx context.Context, limit int) ([]parking.InLine, error) {
	rows, err := t.w.Line(ctx, dbsqlc.LineParams{FacilityID: string(t.facility.FacilityID), MaxRows: maxRows(limit)})
	line := make([]parking.InLine, 0, len(rows))
	for i := range rows {
		w, cerr := waitingOf(&rows[i].PlWaiting)
		line, err = append(line, parking.InLine{Waiting: w, Size: parking.VehicleSize(rows[i].Size)}), errors.Join(err, cerr)
	}
	return line, t.call("waiting line", err)
}

// DueWaiting implements store.FacilityTx.
func (t *facilityTx) DueWaiting(ctx context.Context) ([]parking.Waiting, error) {
	rows, err := t.w.DueWaiting(ctx, dbsqlc.DueWaitingParams{FacilityID: string(t.facility.FacilityID), Now: micros(t.now)})
	if err != nil {
		return nil, t.call("due waiting", err)
	}
	due, err := waitingsOf(rows)
	return due, t.call("due waiting", err)
}

func waitingsOf(rows []dbsqlc.PlWaiting) ([]parking.Waiting, error) {
	var found []parking.Waiting
	for i := range rows {
		w, err := waitingOf(&rows[i])
		if err != nil {
			return nil, err
		}
		found = append(found, w)
	}
	return found, nil
}

func waitingOf(row *dbsqlc.PlWaiting) (parking.Waiting, error) {
	features, err := listOf(row.Features)
	offer, oerr := listOf(row.OfferSpotIds)
	w := parking.Waiting{
		WaitingID: row.WaitingID, FacilityID: parking.FacilityID(row.FacilityID), Seq: row.Seq, VehicleID: row.VehicleID, Features: features,
		Priority: domain.Priority(row.Priority), Overtaken: int(row.Overtaken), Deadline: timeOf(row.Deadline),
		Status: parking.WaitingStatus(row.Status), ReasonCode: domain.ReasonCode(row.ReasonCode), OfferSpotIDs: offer,
		OfferExpiresAt: timePtr(row.OfferExpiresAt), TicketID: row.TicketID, CreatedAt: timeOf(row.CreatedAt),
	}
	if row.MailboxTenant != nil {
		w.Mailbox = &domain.MailboxKey{Tenant: domain.Tenant(*row.MailboxTenant), UserID: row.MailboxUser, SessionID: row.MailboxSession}
	}
	return w, errors.Join(err, oerr)
}
