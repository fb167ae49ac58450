package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// InsertReservation implements store.FacilityTx.
func (t *facilityTx) InsertReservation(ctx context.Context, r *parking.Reservation) error {
	return t.wrote("insert reservation "+r.ReservationID, t.atomically(ctx, func() error { return t.insertReservation(ctx, r) }))
}

func (t *facilityTx) insertReservation(ctx context.Context, r *parking.Reservation) error {
	spots, err := list("a spot", r.SpotIDs)
	features, ferr := list("a feature", r.Features)
	if err := errors.Join(err, ferr, checkText("a reservation", r.ReservationID, r.VehicleID)); err != nil {
		return err
	}
	if err := taken(t.w.InsertReservation(ctx, dbsqlc.InsertReservationParams{
		ReservationID: r.ReservationID, FacilityID: string(r.FacilityID), BodyHash: blob(r.BodyHash), VehicleID: r.VehicleID,
		SpotIds: spots, FromAt: micros(r.From), ToAt: micros(r.To), NoShowAt: micros(r.NoShowAt),
		Features: features, Status: string(r.Status), Holding: flag(r.Holding), CreatedAt: micros(r.CreatedAt),
	})); err != nil {
		return err
	}
	return t.placeReservation(ctx, r)
}

// placeReservation writes the rows of its spots; the triggers refuse what overlaps.
func (t *facilityTx) placeReservation(ctx context.Context, r *parking.Reservation) error {
	placed, err := t.w.PutReservationSpots(ctx, r.ReservationID)
	if err == nil && placed != int64(len(r.SpotIDs)) {
		err = fmt.Errorf("%w: not all of the spots %q exist", store.ErrData, r.SpotIDs)
	}
	return err
}

// Reservation implements store.FacilityTx.
func (t *facilityTx) Reservation(ctx context.Context, id string) (parking.Reservation, error) {
	r, err := reservation(ctx, t.w, id)
	return r, t.call("reservation "+id, err)
}

// Reservation implements store.Parking.
func (s *Store) Reservation(ctx context.Context, id string) (r parking.Reservation, err error) {
	err = s.read(ctx, "reservation "+id, func(ctx context.Context, q *dbsqlc.Queries) error {
		r, err = reservation(ctx, q, id)
		return err
	})
	return r, err
}

func reservation(ctx context.Context, q *dbsqlc.Queries, id string) (parking.Reservation, error) {
	row, err := q.GetReservation(ctx, id)
	if err != nil {
		return parking.Reservation{}, err
	}
	return reservationOf(&row)
}

// SetReservation implements store.FacilityTx.
func (t *facilityTx) SetReservation(ctx context.Context, r *parking.Reservation) error {
	return t.wrote("change reservation "+r.ReservationID, t.atomically(ctx, func() error {
		spots, err := list("a spot", r.SpotIDs)
		if err != nil {
			return err
		}
		if err := some(t.w.UpdateReservation(ctx, dbsqlc.UpdateReservationParams{
			ReservationID: r.ReservationID, FacilityID: string(t.facility.FacilityID),
			Status: string(r.Status), Holding: flag(r.Holding), SpotIds: spots,
		})); err != nil {
			return err
		}
		if err := t.w.DropReservationSpots(ctx, r.ReservationID); err != nil {
			return err
		}
		return t.placeReservation(ctx, r)
	}))
}

// DueReservations implements store.FacilityTx.
func (t *facilityTx) DueReservations(ctx context.Context) ([]parking.Reservation, error) {
	rows, err := t.w.DueReservations(ctx, dbsqlc.DueReservationsParams{FacilityID: string(t.facility.FacilityID), Now: micros(t.now)})
	due := make([]parking.Reservation, 0, len(rows))
	for i := range rows {
		r, cerr := reservationOf(&rows[i])
		due, err = append(due, r), errors.Join(err, cerr)
	}
	return due, t.call("due reservations", err)
}

func reservationOf(row *dbsqlc.PlReservation) (parking.Reservation, error) {
	spots, err := listOf(row.SpotIds)
	features, ferr := listOf(row.Features)
	return parking.Reservation{
		ReservationID: row.ReservationID, FacilityID: parking.FacilityID(row.FacilityID), BodyHash: row.BodyHash, VehicleID: row.VehicleID,
		SpotIDs: spots, From: timeOf(row.FromAt), To: timeOf(row.ToAt), NoShowAt: timeOf(row.NoShowAt), Features: features,
		Status: parking.ReservationStatus(row.Status), Holding: row.Holding == 1, CreatedAt: timeOf(row.CreatedAt),
	}, errors.Join(err, ferr)
}
