package garage

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

const (
	defaultNoShow  = 30 * time.Minute
	maxReservation = 366 * 24 * time.Hour     // longest span
	maxAhead       = 2 * 366 * 24 * time.Hour // how far ahead one may book
)

func unknownReservation(id string) *domain.Error {
	return domain.Errorf(domain.CodeUnknownReservation, "there is no reservation %q here", id)
}

// Reserve books spots for a span of time to come.
func (g *Garage) Reserve(ctx context.Context, id parking.FacilityID, request parking.NewReservation, actor string) (parking.Reservation, error) {
	hash, err := hashOf(struct {
		FacilityID parking.FacilityID
		parking.NewReservation
	}{id, request})
	if err != nil {
		return parking.Reservation{}, err
	}
	if request.ReservationID == "" {
		request.ReservationID = g.newID()
	} else if known, err := g.store.Reservation(ctx, request.ReservationID); err == nil {
		return sameReservation(known, hash)
	} else if !errors.Is(err, store.ErrNotFound) {
		return parking.Reservation{}, edge(err, nil)
	}
	if err := invalid(reservationFaults(&request)); err != nil {
		return parking.Reservation{}, err
	}
	vehicle, err := g.store.Vehicle(ctx, request.VehicleID)
	if err != nil {
		return parking.Reservation{}, edge(err, unknownVehicle(request.VehicleID))
	}
	r := newReservation(id, &request, hash)
	var booked parking.Reservation
	err = g.change(ctx, id, func(ctx context.Context, tx store.FacilityTx, _ bool) error {
		known, err := tx.Reservation(ctx, r.ReservationID)
		if err == nil {
			booked, err = sameReservation(known, hash)
			return err
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		booked = r
		return g.book(ctx, tx, &booked, vehicle.Size, actor)
	})
	return booked, err
}

func sameReservation(known parking.Reservation, hash []byte) (parking.Reservation, error) {
	if !bytes.Equal(known.BodyHash, hash) {
		return parking.Reservation{}, exists("reservation", known.ReservationID)
	}
	return known, nil
}

func reservationFaults(request *parking.NewReservation) []domain.Fault {
	faults := parking.IDFaults("reservationId", request.ReservationID)
	faults = append(faults, parking.IDFaults("vehicleId", request.VehicleID)...)
	faults = append(faults, parking.FeatureFaults("features", request.Features)...)
	switch span := request.To.Sub(request.From); {
	case span <= 0:
		faults = append(faults, domain.Fault{Location: "to", Message: "must be after from", Value: request.To})
	case span > maxReservation:
		faults = append(faults, domain.Fault{Location: "to", Message: "must be within a year of from", Value: request.To})
	}
	if n := request.NoShow; n != nil && (*n < time.Minute || *n > maxReservation) {
		faults = append(faults, domain.Fault{Location: "noShowMinutes", Message: "must be at least 1, and at most a year"})
	}
	return faults
}

func newReservation(id parking.FacilityID, request *parking.NewReservation, hash []byte) parking.Reservation {
	r := parking.Reservation{
		ReservationID: request.ReservationID, FacilityID: id, BodyHash: hash, VehicleID: request.VehicleID,
		From: request.From.UTC().Truncate(time.Microsecond), To: request.To.UTC().Truncate(time.Microsecond),
		Features: parking.SortedSet(request.Features), Status: parking.ReservationBooked,
	}
	noShow := defaultNoShow
	if request.NoShow != nil {
		noShow = *request.NoShow
	}
	r.NoShowAt = r.From.Add(noShow)
	if r.To.Before(r.NoShowAt) {
		r.NoShowAt = r.To
	}
	return r
}

// book chooses the spots, and holds them at once when the time has come.
func (g *Garage) book(ctx context.Context, tx store.FacilityTx, r *parking.Reservation, size parking.VehicleSize, actor string) error {
	now := tx.Now()
	if r.From.Before(now.Add(-clockSkew)) {
		return fault("body.from", "has passed; it is %s", now.Format(time.RFC3339))
	}
	if r.From.After(now.Add(maxAhead)) {
		return fault("body.from", "must be within two years")
	}
	spots, err := bookable(ctx, tx, parking.Demand{Size: size, Features: r.Features}, r.From, r.To)
	if err != nil {
		return err
	}
	if len(spots) == 0 {
		return domain.Errorf(domain.CodeNoSpot, "no spot that fits can be booked for that time; ask for another span or fewer features")
	}
	r.SpotIDs, r.CreatedAt = idsOf(spots), now
	if err := tx.InsertReservation(ctx, r); err != nil {
		return err
	}
	if err := recordReservation(ctx, tx, parking.EventReservation, r, actor); err != nil {
		return err
	}
	if !r.From.After(now) {
		if err := hold(ctx, tx, r); err != nil {
			return err
		}
	}
	return schedule(ctx, tx)
}

// bookable chooses spots as parking.Allocate does, for a span of time.
func bookable(ctx context.Context, tx store.FacilityTx, d parking.Demand, from, to time.Time) ([]parking.Spot, error) {
	rules := &tx.Facility().Rules
	var occupancy int64
	if bp := tx.Facility().Counts.OccupancyBP(); bp != nil {
		occupancy = *bp
	}
	order := rules.Effective(occupancy)
	for _, kind := range d.Size.Kinds() {
		spots, err := tx.Bookable(ctx, kind, 1, order, d.Features, from, to)
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return spots, err
		}
	}
	if !d.Size.NeedsWindow() {
		return nil, nil
	}
	if rules.WindowRule == parking.WindowNoneExist {
		if exist, err := tx.KindInService(ctx, parking.KindOversized); err != nil || exist {
			return nil, err
		}
	}
	for _, kind := range []parking.SpotKind{parking.KindCompact, parking.KindRegular} {
		size := rules.WindowSizes[kind]
		if size < 1 {
			continue
		}
		spots, err := tx.Bookable(ctx, kind, size, order, d.Features, from, to)
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return spots, err
		}
	}
	return nil, nil
}

// holdDue holds spots for the reservations whose time has come and that have none yet:
// their own; where those are taken, others that can be booked; else what is freed next.
func holdDue(ctx context.Context, tx store.FacilityTx) error {
	due, err := tx.DueReservations(ctx)
	if err != nil {
		return err
	}
	for i := range due {
		r := &due[i]
		if r.Holding || missed(r, tx.Now()) {
			continue
		}
		if err := holdOrMove(ctx, tx, r); err != nil {
			return err
		}
	}
	return nil
}

// missed reports whether nobody came for the reservation in time.
func missed(r *parking.Reservation, now time.Time) bool {
	return !r.NoShowAt.After(now) || !r.To.After(now)
}

func holdOrMove(ctx context.Context, tx store.FacilityTx, r *parking.Reservation) error {
	own, err := tx.SpotsByID(ctx, r.SpotIDs)
	if err != nil {
		return err
	}
	usable := len(own) == len(r.SpotIDs)
	for i := range own {
		usable = usable && own[i].State == parking.SpotFree && !own[i].OutOfService
	}
	if usable {
		return hold(ctx, tx, r)
	}
	others, err := bookable(ctx, tx, parking.Demand{Size: sizeFor(own), Features: r.Features}, tx.Now(), r.To)
	if err != nil || len(others) == 0 {
		return err
	}
	r.SpotIDs = idsOf(others)
	return hold(ctx, tx, r)
}

// sizeFor returns a size that whatever was given these spots has or is smaller than.
// The vehicle itself cannot be asked for under the facility's lock.
func sizeFor(spots []parking.PlacedSpot) parking.VehicleSize {
	switch {
	case len(spots) != 1:
		return parking.SizeLarge
	case spots[0].Kind == parking.KindCompact:
		return parking.SizeSmall
	case spots[0].Kind == parking.KindRegular:
		return parking.SizeMedium
	}
	return parking.SizeLarge
}

func hold(ctx context.Context, tx store.FacilityTx, r *parking.Reservation) error {
	if err := tx.Hold(ctx, r.SpotIDs, reservationHold(r.ReservationID)); err != nil {
		return err
	}
	r.Holding = true
	if err := tx.SetReservation(ctx, r); err != nil {
		return err
	}
	return recordReservation(ctx, tx, parking.EventReservationHold, r, "")
}

// endReservation gives back what was held. The caller lets release run.
func endReservation(ctx context.Context, tx store.FacilityTx, r *parking.Reservation, status parking.ReservationStatus, actor string) error {
	if r.Holding {
		if err := tx.Free(ctx, r.SpotIDs); err != nil {
			return err
		}
	}
	r.Status, r.Holding = status, false
	if err := tx.SetReservation(ctx, r); err != nil {
		return err
	}
	kind := parking.EventReservation
	if status == parking.ReservationNoShow {
		kind = parking.EventNoShow
	}
	return recordReservation(ctx, tx, kind, r, actor)
}

func recordReservation(ctx context.Context, tx store.FacilityTx, kind domain.EventKind, r *parking.Reservation, actor string) error {
	return record(ctx, tx, kind, actor, append(parking.SpotSubjects(r.SpotIDs...), parking.VehicleSubject(r.VehicleID)), map[string]any{
		"reservationId": r.ReservationID, "vehicleId": r.VehicleID, "spotIds": r.SpotIDs, "from": r.From, "to": r.To, "status": r.Status,
	})
}

// Reservation returns a reservation.
func (g *Garage) Reservation(ctx context.Context, id string) (parking.Reservation, error) {
	r, err := g.store.Reservation(ctx, id)
	return r, edge(err, unknownReservation(id))
}

// CancelReservation ends a booked reservation; one that is cancelled stays so.
func (g *Garage) CancelReservation(ctx context.Context, id, actor string) (parking.Reservation, error) {
	r, err := g.store.Reservation(ctx, id)
	if err != nil {
		return r, edge(err, unknownReservation(id))
	}
	err = g.change(ctx, r.FacilityID, func(ctx context.Context, tx store.FacilityTx, _ bool) error {
		if r, err = tx.Reservation(ctx, id); err != nil {
			return err
		}
		switch r.Status {
		case parking.ReservationCancelled:
			return nil
		case parking.ReservationBooked:
		default:
			return domain.Errorf(domain.CodeReservationEnded, "reservation %s has ended (%s) and cannot be cancelled", id, r.Status)
		}
		if err := endReservation(ctx, tx, &r, parking.ReservationCancelled, actor); err != nil {
			return err
		}
		return g.release(ctx, tx)
	})
	return r, err
}
