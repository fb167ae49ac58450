package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// InsertReservation implements store.FacilityTx.
func (t *facilityTx) InsertReservation(ctx context.Context, r *parking.Reservation) error {
	return t.wrote("insert reservation "+r.ReservationID, t.insertReservation(ctx, r))
}

func (t *facilityTx) insertReservation(ctx context.Context, r *parking.Reservation) error {
	row, err := t.q.InsertReservation(ctx, dbsqlc.InsertReservationParams{
		ReservationID: r.ReservationID, FacilityID: string(r.FacilityID), BodyHash: blob(r.BodyHash), VehicleID: r.VehicleID,
		SpotIds: texts(r.SpotIDs), FromAt: instant(r.From), ToAt: instant(r.To), NoShowAt: instant(r.NoShowAt),
		Features: texts(r.Features), Status: string(r.Status), Holding: r.Holding, CreatedAt: instant(r.CreatedAt),
	})
	if err != nil {
		return err
	}
	if row.Made == 1 {
		return known(row.Placed, r.SpotIDs)
	}
	switch _, err := t.q.GetReservation(ctx, r.ReservationID); {
	case err == nil:
		return store.ErrExists
	case errors.Is(err, pgx.ErrNoRows):
		return errOverlap
	default:
		return err
	}
}

// known tells a caller who named a spot that is not there.
func known(placed int64, spots []string) error {
	if placed == int64(len(spots)) {
		return nil
	}
	return fmt.Errorf("%w: not all of the spots %q exist", store.ErrData, spots)
}

// Reservation implements store.FacilityTx.
func (t *facilityTx) Reservation(ctx context.Context, id string) (parking.Reservation, error) {
	row, err := t.q.GetReservation(ctx, id)
	return reservationOf(&row), t.call("reservation "+id, err)
}

// Reservation implements store.Parking.
func (s *Store) Reservation(ctx context.Context, id string) (parking.Reservation, error) {
	var r parking.Reservation
	err := s.read(ctx, "reservation "+id, func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetReservation(ctx, id)
		r = reservationOf(&row)
		return err
	})
	return r, err
}

// SetReservation implements store.FacilityTx.
func (t *facilityTx) SetReservation(ctx context.Context, r *parking.Reservation) error {
	return t.wrote("change reservation "+r.ReservationID, t.setReservation(ctx, r))
}

func (t *facilityTx) setReservation(ctx context.Context, r *parking.Reservation) error {
	spots := texts(r.SpotIDs)
	if r.Status == parking.ReservationBooked {
		overlaps, err := t.q.ReservationOverlaps(ctx, dbsqlc.ReservationOverlapsParams{ReservationID: r.ReservationID, SpotIds: spots})
		if err != nil {
			return err
		}
		if overlaps {
			return errOverlap
		}
	}
	var changed, placed int64
	err := pipelined(ctx, t.conn, func(p pipe) (err error) {
		if changed, err = p.UpdateReservation(ctx, dbsqlc.UpdateReservationParams{
			ReservationID: r.ReservationID, FacilityID: string(t.facility.FacilityID),
			Status: string(r.Status), Holding: r.Holding, SpotIds: spots,
		}); err != nil {
			return err
		}
		if err = p.DropReservationSpots(ctx, dbsqlc.DropReservationSpotsParams{ReservationID: r.ReservationID, SpotIds: spots}); err != nil {
			return err
		}
		placed, err = p.PutReservationSpots(ctx, r.ReservationID)
		return err
	})
	if err := some(int(changed), err); err != nil {
		return err
	}
	return known(placed, spots)
}

var errOverlap = fmt.Errorf("%w: another reservation has one of the spots in that time", store.ErrConflict)

// DueReservations implements store.FacilityTx.
func (t *facilityTx) DueReservations(ctx context.Context) ([]parking.Reservation, error) {
	rows, err := t.q.DueReservations(ctx, dbsqlc.DueReservationsParams{FacilityID: string(t.facility.FacilityID), Now: instant(t.now)})
	due := make([]parking.Reservation, 0, len(rows))
	for i := range rows {
		due = append(due, reservationOf(&rows[i]))
	}
	return due, t.call("due reservations", err)
}

// NextDue implements store.FacilityTx.
func (t *facilityTx) NextDue(ctx context.Context) (*time.Time, error) {
	at, err := t.q.NextDue(ctx, dbsqlc.NextDueParams{FacilityID: string(t.facility.FacilityID), Now: instant(t.now)})
	return maybeTime(at), t.call("next due", err)
}

func reservationOf(row *dbsqlc.PlReservation) parking.Reservation {
	r := parking.Reservation{
		ReservationID: row.ReservationID, FacilityID: parking.FacilityID(row.FacilityID), BodyHash: row.BodyHash, VehicleID: row.VehicleID,
		SpotIDs: row.SpotIds, From: row.FromAt.Time.UTC(), To: row.ToAt.Time.UTC(), NoShowAt: row.NoShowAt.Time.UTC(),
		Status: parking.ReservationStatus(row.Status), Holding: row.Holding, CreatedAt: row.CreatedAt.Time.UTC(),
	}
	if len(row.Features) > 0 {
		r.Features = row.Features
	}
	return r
}
