package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

var reservationTests = map[string]func(*testing.T, *house){
	"come back as written":     testReservationRoundTrip,
	"never overlap":            testReservationOverlap,
	"move to other spots":      testReservationMove,
	"due, and what comes next": testReservationDue,
}

// reservation from and to are hours from the clock.
func (h *house) reservation(id string, from, to float64, spots ...string) *parking.Reservation {
	at := func(hours float64) time.Time { return h.clock.Now().Add(time.Duration(hours * float64(time.Hour))) }
	return &parking.Reservation{
		ReservationID: id, FacilityID: garage, BodyHash: hashOf(id), VehicleID: "v", SpotIDs: spots, From: at(from), To: at(to),
		NoShowAt: at(from).Add(30 * time.Minute), Status: parking.ReservationBooked, CreatedAt: h.clock.Now(),
	}
}

func testReservationRoundTrip(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 3))
	h.vehicle(t, "v", parking.SizeLarge)
	r := h.reservation("r", 1, 2, "a02", "a03")
	r.Features = []string{"ev"}
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		require.NoError(t, tx.InsertReservation(ctx, r))
		require.ErrorIs(t, tx.InsertReservation(ctx, h.reservation("r", 5, 6, "a01")), store.ErrExists)
		got, err := tx.Reservation(ctx, "r")
		require.Equal(t, *r, got)
		_, missing := tx.Reservation(ctx, "none")
		require.ErrorIs(t, missing, store.ErrNotFound)
		return err
	})
	got, err := h.Reservation(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, *r, got)
	r.Status, r.Holding = parking.ReservationUsed, true
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		require.NoError(t, tx.SetReservation(ctx, r))
		require.ErrorIs(t, tx.SetReservation(ctx, h.reservation("none", 1, 2)), store.ErrNotFound)
		return nil
	})
	got, err = h.Reservation(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, *r, got)
	_, err = h.Reservation(t.Context(), "none")
	require.ErrorIs(t, err, store.ErrNotFound)
	for name, bad := range map[string]*parking.Reservation{
		"ends before it starts": h.reservation("bad", 2, 1, "a01"),
		"ends when it starts":   h.reservation("bad", 2, 2, "a01"),
		"no such spot":          h.reservation("bad", 2, 3, "a01", "none"),
	} {
		err := h.InFacility(t.Context(), garage, func(ctx context.Context, tx store.FacilityTx) error { return tx.InsertReservation(ctx, bad) })
		require.ErrorIs(t, err, store.ErrData, name)
	}
}

func testReservationOverlap(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 3))
	h.facility(t, "other", row("a", parking.KindRegular, 1, 1, 3))
	h.vehicle(t, "v", parking.SizeLarge)
	book := func(r *parking.Reservation) (err error) {
		t.Helper()
		h.in(t, r.FacilityID, func(ctx context.Context, tx store.FacilityTx) error {
			err = tx.InsertReservation(ctx, r)
			_, read := tx.Reservation(ctx, "first")
			require.NoError(t, read, "the change goes on")
			return nil
		})
		return err
	}
	first := h.reservation("first", 1, 2, "a01", "a02")
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error { return tx.InsertReservation(ctx, first) })
	for name, r := range map[string]*parking.Reservation{
		"the same time": h.reservation("x", 1, 2, "a02"),
		"inside":        h.reservation("x", 1.25, 1.5, "a03", "a01"),
		"around":        h.reservation("x", 0, 9, "a01"),
		"its end":       h.reservation("x", 1.9, 3, "a01"),
		"its start":     h.reservation("x", 0.5, 1.1, "a01"),
	} {
		require.ErrorIs(t, book(r), store.ErrConflict, name)
		_, err := h.Reservation(t.Context(), "x")
		require.ErrorIs(t, err, store.ErrNotFound, name)
	}
	require.NoError(t, book(h.reservation("before", 0, 1, "a01")), "ends as the next begins")
	require.NoError(t, book(h.reservation("after", 2, 3, "a01")))
	require.NoError(t, book(h.reservation("beside", 1, 2, "a03")))
	elsewhere := h.reservation("elsewhere", 1, 2, "a01")
	elsewhere.FacilityID = "other"
	require.NoError(t, book(elsewhere), "a spot of the same name")

	first.Status = parking.ReservationCancelled
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error { return tx.SetReservation(ctx, first) })
	require.NoError(t, book(h.reservation("again", 1, 2, "a01")), "what is cancelled keeps nobody away")
	first.Status = parking.ReservationBooked
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		require.ErrorIs(t, tx.SetReservation(ctx, first), store.ErrConflict, "nor does it come back over somebody else")
		return nil
	})
	got, err := h.Reservation(t.Context(), "first")
	require.NoError(t, err)
	require.Equal(t, parking.ReservationCancelled, got.Status)
}

func testReservationMove(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 4))
	h.vehicle(t, "v", parking.SizeLarge)
	r, other := h.reservation("r", 1, 2, "a01", "a02"), h.reservation("other", 1, 2, "a04")
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		require.NoError(t, tx.InsertReservation(ctx, r))
		require.NoError(t, tx.InsertReservation(ctx, other))
		r.SpotIDs = []string{"a03", "a04"}
		require.ErrorIs(t, tx.SetReservation(ctx, r), store.ErrConflict)
		r.SpotIDs = []string{"a02", "a03"}
		return tx.SetReservation(ctx, r)
	})
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		got, err := tx.Reservation(ctx, "r")
		require.Equal(t, *r, got)
		free, err2 := tx.Bookable(ctx, parking.KindRegular, 1, parking.FirstAvailable, nil, r.From, r.To)
		require.Equal(t, []string{"a01"}, spotIDs(free), "what it has left")
		require.NoError(t, tx.InsertReservation(ctx, h.reservation("third", 1, 2, "a01")))
		_, none := tx.Bookable(ctx, parking.KindRegular, 1, parking.FirstAvailable, nil, r.From, r.To)
		require.ErrorIs(t, none, store.ErrNotFound)
		return firstOf(err, err2)
	})
}

func testReservationDue(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 4))
	h.facility(t, "other", nil)
	h.vehicle(t, "v", parking.SizeLarge)
	start := h.clock.Now()
	next := func(id parking.FacilityID) (at *time.Time) {
		t.Helper()
		h.in(t, id, func(ctx context.Context, tx store.FacilityTx) (err error) {
			at, err = tx.NextDue(ctx)
			return err
		})
		return at
	}
	due := func() (ids []string) {
		t.Helper()
		h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
			rs, err := tx.DueReservations(ctx)
			for _, r := range rs {
				ids = append(ids, r.ReservationID)
			}
			return err
		})
		return ids
	}
	require.Nil(t, next(garage))
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		cancelled := h.reservation("cancelled", 0.1, 2, "a04")
		cancelled.Status = parking.ReservationCancelled
		return firstOf(
			tx.InsertReservation(ctx, h.reservation("late", 2, 5, "a01")), tx.InsertReservation(ctx, h.reservation("early", 1, 1.25, "a02")),
			tx.InsertReservation(ctx, h.reservation("next", 1.1, 3, "a03")), tx.InsertReservation(ctx, cancelled))
	})
	at := func(hours float64) *time.Time {
		v := start.Add(time.Duration(hours * float64(time.Hour)))
		return &v
	}
	require.Empty(t, due())
	require.Equal(t, at(1), next(garage))
	require.Nil(t, next("other"))
	h.clock.Advance(time.Hour)
	require.Equal(t, []string{"early"}, due(), "from has come")
	require.Equal(t, at(1.1), next(garage), "not told again")
	h.clock.Advance(12 * time.Minute)
	require.Equal(t, []string{"early", "next"}, due())
	require.Equal(t, at(1.25), next(garage), "to, before the no-show")
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		early, err := tx.Reservation(ctx, "early")
		early.Status = parking.ReservationNoShow
		return firstOf(err, tx.SetReservation(ctx, &early))
	})
	require.Equal(t, []string{"next"}, due())
	require.Equal(t, at(1.6), next(garage), "no-show")
}
