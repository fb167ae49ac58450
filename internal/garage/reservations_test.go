package garage_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
)

func (l *lot) reserve(size parking.VehicleSize, in, long time.Duration) parking.Reservation {
	l.t.Helper()
	r, err := l.Reserve(l.t.Context(), lotID, parking.NewReservation{
		VehicleID: l.vehicle(size), From: l.clock().Add(in), To: l.clock().Add(in + long),
	}, "")
	require.NoError(l.t, err)
	return r
}

func (l *lot) reservation(id string) parking.Reservation {
	l.t.Helper()
	r, err := l.Reservation(l.t.Context(), id)
	require.NoError(l.t, err)
	return r
}

func (l *lot) enterReserved(r parking.Reservation) (parking.Entered, error) {
	return l.Enter(l.t.Context(), lotID, parking.NewEntry{VehicleID: r.VehicleID, ReservationID: r.ReservationID}, "")
}

func TestReservationIsHeldAndUsed(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindCompact, parking.KindRegular)
	r := l.reserve(parking.SizeSmall, time.Hour, 2*time.Hour)
	require.Equal(t, []string{"s01"}, r.SpotIDs)
	require.Equal(t, r.From.Add(30*time.Minute), r.NoShowAt)
	_, err := l.enterReserved(r)
	requireCode(t, domain.CodeReservationNotDue, err)

	l.sleep(time.Hour)
	l.sweep()
	require.True(t, l.reservation(r.ReservationID).Holding)
	l.park(parking.SizeSmall) // the regular spot: the compact one is reserved
	_, err = l.enter(parking.SizeSmall)
	requireCode(t, domain.CodeFull, err)
	_, err = l.Enter(t.Context(), lotID, parking.NewEntry{VehicleID: l.vehicle(parking.SizeSmall), ReservationID: r.ReservationID}, "")
	requireCode(t, domain.CodeReservationVehicle, err)
	entered, err := l.enterReserved(r)
	require.NoError(t, err)
	require.Equal(t, []string{"s01"}, entered.Ticket.SpotIDs)
	require.Equal(t, parking.ReservationUsed, l.reservation(r.ReservationID).Status)
	_, err = l.CancelReservation(t.Context(), r.ReservationID, "")
	requireCode(t, domain.CodeReservationEnded, err)
	l.sleep(time.Hour)
	l.sweep()
	require.Equal(t, parking.ReservationUsed, l.reservation(r.ReservationID).Status)
}

func TestNoShowGivesTheSpotOn(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindRegular)
	r := l.reserve(parking.SizeSmall, 0, time.Hour)
	require.True(t, r.Holding, "held at once when it begins now")
	id := l.wait(parking.SizeSmall, parking.WaitRequest{})
	l.sleep(30*time.Minute - time.Microsecond)
	l.sweep()
	require.Equal(t, parking.ReservationBooked, l.reservation(r.ReservationID).Status)
	l.sleep(time.Microsecond)
	l.sweep()
	require.Equal(t, parking.ReservationNoShow, l.reservation(r.ReservationID).Status)
	require.Equal(t, parking.WaitingOffered, l.waiting(id).Status)
	_, err := l.enterReserved(r)
	requireCode(t, domain.CodeReservationEnded, err)
}

func TestOccupiedReservationIsMoved(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindRegular, parking.KindRegular)
	r := l.reserve(parking.SizeMedium, time.Hour, time.Hour)
	require.Equal(t, []string{"s01"}, r.SpotIDs)
	l.park(parking.SizeMedium) // stands on s01
	l.sleep(time.Hour)
	l.sweep()
	r = l.reservation(r.ReservationID)
	require.True(t, r.Holding)
	require.Equal(t, []string{"s02"}, r.SpotIDs)
}

func TestReservationGetsWhatIsFreedNext(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindRegular, parking.KindRegular)
	r := l.reserve(parking.SizeMedium, time.Hour, time.Hour)
	first, second := l.park(parking.SizeMedium), l.park(parking.SizeMedium)
	id := l.wait(parking.SizeMedium, parking.WaitRequest{Priority: domain.PriorityCritical})
	l.sleep(time.Hour)
	l.sweep()
	require.False(t, l.reservation(r.ReservationID).Holding)
	_, err := l.enterReserved(r)
	requireCode(t, domain.CodeFull, err)
	l.exit(second)
	r = l.reservation(r.ReservationID)
	require.True(t, r.Holding, "before anybody who waits")
	require.Equal(t, []string{"s02"}, r.SpotIDs)
	require.Equal(t, parking.WaitingWaits, l.waiting(id).Status)
	l.exit(first)
	require.Equal(t, parking.WaitingOffered, l.waiting(id).Status)
}

func TestCancelReservationIsIdempotent(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindRegular)
	r := l.reserve(parking.SizeSmall, 0, time.Hour)
	_, err := l.Reserve(t.Context(), lotID, parking.NewReservation{
		VehicleID: l.vehicle(parking.SizeSmall), From: l.clock(), To: l.clock().Add(time.Minute),
	}, "")
	requireCode(t, domain.CodeNoSpot, err)
	for range 2 {
		got, err := l.CancelReservation(t.Context(), r.ReservationID, "")
		require.NoError(t, err)
		require.Equal(t, parking.ReservationCancelled, got.Status)
	}
	l.park(parking.SizeSmall)
}

func TestReserveIsIdempotentByID(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindRegular)
	request := parking.NewReservation{
		ReservationID: "r1", VehicleID: l.vehicle(parking.SizeSmall), From: l.clock().Add(time.Minute), To: l.clock().Add(time.Hour),
	}
	first, err := l.Reserve(t.Context(), lotID, request, "")
	require.NoError(t, err)
	l.sleep(2 * time.Hour)
	again, err := l.Reserve(t.Context(), lotID, request, "")
	require.NoError(t, err)
	require.Equal(t, first, again, "the first answer again, though it could not be booked now")
	request.To = request.To.Add(time.Minute)
	_, err = l.Reserve(t.Context(), lotID, request, "")
	requireCode(t, domain.CodeExists, err)
}

func TestReserveRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindRegular)
	vehicle, now, short := l.vehicle(parking.SizeSmall), l.clock(), time.Duration(0)
	_, err := l.Reserve(t.Context(), lotID, parking.NewReservation{
		ReservationID: "a b", VehicleID: vehicle, From: now, To: now, NoShow: &short,
	}, "")
	requireCode(t, domain.CodeInvalid, err)
	for _, at := range []string{"body.reservationId", "body.to", "body.noShowMinutes"} {
		require.ErrorContains(t, err, at)
	}
	_, err = l.Reserve(t.Context(), lotID, parking.NewReservation{VehicleID: vehicle, From: now.Add(-time.Minute), To: now.Add(time.Hour)}, "")
	require.ErrorContains(t, err, "body.from")
	_, err = l.Reserve(t.Context(), lotID, parking.NewReservation{VehicleID: "nobody", From: now, To: now.Add(time.Hour)}, "")
	requireCode(t, domain.CodeUnknownVehicle, err)
	_, err = l.Reserve(t.Context(), "nowhere", parking.NewReservation{VehicleID: vehicle, From: now, To: now.Add(time.Hour)}, "")
	requireCode(t, domain.CodeUnknownFacility, err)
}

// A bus is booked a window where there is no oversized spot.
func TestReservationOfAWindow(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindRegular, parking.KindRegular, parking.KindRegular)
	r := l.reserve(parking.SizeLarge, time.Hour, time.Hour)
	require.Equal(t, []string{"s01", "s02"}, r.SpotIDs)
	l.sleep(time.Hour)
	l.sweep()
	entered, err := l.enterReserved(r)
	require.NoError(t, err)
	require.Equal(t, []string{"s01", "s02"}, entered.Ticket.SpotIDs)
}
