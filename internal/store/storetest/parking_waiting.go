package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

var waitingTests = map[string]func(*testing.T, *house){
	"come back as written":  testWaitingRoundTrip,
	"the line has an order": testWaitingLine,
	"a vehicle waits once":  testWaitingTaken,
	"due":                   testWaitingDue,
}

func (h *house) waiting(id, vehicle string) *parking.Waiting {
	return &parking.Waiting{
		WaitingID: id, FacilityID: garage, VehicleID: vehicle, Priority: domain.PriorityNormal, Deadline: h.clock.Now().Add(time.Hour),
		Status: parking.WaitingWaits, CreatedAt: h.clock.Now(),
	}
}

func testWaitingRoundTrip(t *testing.T, h *house) {
	h.facility(t, garage, nil)
	h.vehicle(t, "v", parking.SizeLarge)
	h.vehicle(t, "w", parking.SizeLarge)
	w := h.waiting("w1", "v")
	w.Features, w.Priority = []string{"covered", "ev"}, domain.PriorityHigh
	w.Mailbox = &domain.MailboxKey{Tenant: "acme", UserID: "zoë", SessionID: "s"}
	bare := h.waiting("w2", "w")
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		require.NoError(t, tx.InsertWaiting(ctx, w))
		require.NoError(t, tx.InsertWaiting(ctx, bare))
		require.Equal(t, [2]int64{1, 2}, [2]int64{w.Seq, bare.Seq}, "numbered by arrival")
		got, err := tx.Waiting(ctx, "w1")
		require.Equal(t, *w, got)
		_, missing := tx.Waiting(ctx, "none")
		require.ErrorIs(t, missing, store.ErrNotFound)
		return err
	})
	got, err := h.Waiting(t.Context(), "w2")
	require.NoError(t, err)
	require.Equal(t, *bare, got)
	expires := h.clock.Now().Add(time.Minute)
	w.Status, w.Overtaken, w.OfferSpotIDs, w.OfferExpiresAt = parking.WaitingOffered, 3, []string{"a01", "a02"}, &expires
	change := func(w *parking.Waiting) error {
		return h.InFacility(t.Context(), garage, func(ctx context.Context, tx store.FacilityTx) error { return tx.SetWaiting(ctx, w) })
	}
	require.NoError(t, change(w))
	got, err = h.Waiting(t.Context(), "w1")
	require.NoError(t, err)
	require.Equal(t, *w, got)
	w.Status, w.OfferSpotIDs, w.OfferExpiresAt, w.ReasonCode = parking.WaitingExpired, nil, nil, "offer_lapsed"
	require.NoError(t, change(w))
	got, err = h.Waiting(t.Context(), "w1")
	require.NoError(t, err)
	require.Equal(t, *w, got)
	w.Status = parking.WaitingOffered
	require.ErrorIs(t, change(w), store.ErrData, "an offer has an end")
	w.WaitingID = "none"
	w.Status = parking.WaitingExpired
	require.ErrorIs(t, change(w), store.ErrNotFound)
}

func testWaitingLine(t *testing.T, h *house) {
	h.facility(t, garage, nil)
	sizes := []parking.VehicleSize{parking.SizeSmall, parking.SizeMedium, parking.SizeLarge}
	for i, p := range []domain.Priority{1, 0, 3, 1, 2, 3} {
		v := fmt.Sprint("v", i)
		h.vehicle(t, v, sizes[i%3])
		w := h.waiting(fmt.Sprint("w", i), v)
		w.Priority = p
		h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
			require.NoError(t, tx.InsertWaiting(ctx, w))
			if i == 5 {
				expires := tx.Now().Add(time.Minute)
				w.Status, w.OfferSpotIDs, w.OfferExpiresAt = parking.WaitingOffered, []string{"x"}, &expires
			}
			if i == 3 {
				w.Status = parking.WaitingCancelled
			}
			return tx.SetWaiting(ctx, w)
		})
	}
	line, err := h.WaitingLine(t.Context(), garage)
	require.NoError(t, err)
	var ids []string
	for _, w := range line {
		ids = append(ids, w.WaitingID)
	}
	require.Equal(t, []string{"w2", "w5", "w4", "w0", "w1"}, ids, "who holds an offer too")
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		for _, limit := range []int{1, 3, 100} {
			line, err := tx.Line(ctx, limit)
			require.NoError(t, err)
			var got []string
			for _, w := range line {
				got = append(got, w.WaitingID)
				require.Equal(t, sizes[w.WaitingID[1]%3], w.Size) // '0' is a multiple of three
			}
			require.Equal(t, []string{"w2", "w4", "w0", "w1"}[:min(limit, 4)], got, "only who waits")
		}
		return nil
	})
	empty, err := h.WaitingLine(t.Context(), "none")
	require.NoError(t, err)
	require.Empty(t, empty)
}

func testWaitingTaken(t *testing.T, h *house) {
	h.facility(t, garage, nil)
	h.facility(t, "other", nil)
	h.vehicle(t, "v", parking.SizeSmall)
	h.vehicle(t, "w", parking.SizeSmall)
	first := h.waiting("w1", "v")
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		require.NoError(t, tx.InsertWaiting(ctx, first))
		require.ErrorIs(t, tx.InsertWaiting(ctx, h.waiting("w1", "w")), store.ErrExists)
		require.ErrorIs(t, tx.InsertWaiting(ctx, h.waiting("w2", "v")), store.ErrConflict)
		next := h.waiting("w3", "w")
		require.NoError(t, tx.InsertWaiting(ctx, next))
		require.Equal(t, int64(2), next.Seq, "no number for who was refused")
		return nil
	})
	elsewhere := h.waiting("w4", "v")
	elsewhere.FacilityID = "other"
	h.in(t, "other", func(ctx context.Context, tx store.FacilityTx) error {
		require.ErrorIs(t, tx.InsertWaiting(ctx, elsewhere), store.ErrConflict, "in any facility")
		return nil
	})
	first.Status = parking.WaitingCancelled
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error { return tx.SetWaiting(ctx, first) })
	h.in(t, "other", func(ctx context.Context, tx store.FacilityTx) error { return tx.InsertWaiting(ctx, elsewhere) })
}

func testWaitingDue(t *testing.T, h *house) {
	h.facility(t, garage, nil)
	start := h.clock.Now()
	for i, minutes := range []int{10, 20, 30} {
		v := fmt.Sprint("v", i)
		h.vehicle(t, v, parking.SizeSmall)
		w := h.waiting(fmt.Sprint("w", i), v)
		w.Deadline = start.Add(time.Duration(minutes) * time.Minute)
		h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
			require.NoError(t, tx.InsertWaiting(ctx, w))
			if i == 2 {
				expires := start.Add(5 * time.Minute)
				w.Status, w.OfferExpiresAt = parking.WaitingOffered, &expires
			}
			return tx.SetWaiting(ctx, w)
		})
	}
	check := func(nextMinute int, want ...string) {
		t.Helper()
		h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
			due, err := tx.DueWaiting(ctx)
			require.NoError(t, err)
			var got []string
			for i := range due {
				got = append(got, due[i].WaitingID)
				due[i].Status, due[i].OfferExpiresAt = parking.WaitingExpired, nil
				require.NoError(t, tx.SetWaiting(ctx, &due[i]))
			}
			require.Equal(t, want, got)
			next, err := tx.NextDue(ctx)
			if nextMinute == 0 {
				require.Nil(t, next)
			} else {
				require.Equal(t, start.Add(time.Duration(nextMinute)*time.Minute), *next)
			}
			return err
		})
	}
	check(5)
	h.clock.Advance(5 * time.Minute)
	check(10, "w2")
	h.clock.Advance(5 * time.Minute)
	check(20, "w0")
	h.clock.Advance(time.Hour)
	check(0, "w1")
}
