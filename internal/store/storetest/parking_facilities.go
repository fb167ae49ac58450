package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

var facilityTests = map[string]func(*testing.T, *house){
	"come back as written":           testFacilityRoundTrip,
	"an id is taken once":            testFacilityExists,
	"settings change when asked":     testFacilitySettings,
	"a failed change writes nothing": testFacilityRollback,
	"time never goes back":           testFacilityTime,
	"due facilities":                 testFacilityDue,
	"bad text is refused":            testFacilityText,
}

var errGaveUp = errors.New("gave up")

func testFacilityRoundTrip(t *testing.T, h *house) {
	h.facility(t, "other", nil)
	f := parking.Facility{
		FacilityID: garage, BodyHash: hashOf("x"), Name: "Zoë's \"Park\" 🅿️", TimeZone: "America/Sao_Paulo", Currency: "JPY",
		Rules: parking.Rules{
			Allocation: parking.Dynamic, Bands: []parking.Band{{AboveBP: 5000, Strategy: parking.FillIn}, {AboveBP: 9000, Strategy: parking.Nearest}},
			WindowSizes: map[parking.SpotKind]int64{parking.KindRegular: 4}, WindowRule: parking.WindowNoneExist,
		},
		StrategyID: "tariff", MaxOvertakes: 3, OfferHold: 90 * time.Second,
	}
	now := h.clock.Now()
	require.NoError(t, h.CreateFacility(t.Context(), f, now, *event("parking.facility", "facility:garage")))
	got, err := h.Facility(t.Context(), garage)
	require.NoError(t, err)
	f.CreatedAt, f.Sequences = now, parking.Sequences{Event: 1, At: now}
	require.Equal(t, f, got)

	list, err := h.ListFacilities(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, f, list[0], "by id")
	h.in(t, garage, func(_ context.Context, tx store.FacilityTx) error {
		require.Equal(t, &f, tx.Facility())
		return nil
	})

	events, err := h.Events(t.Context(), store.EventFilter{Subject: "facility:garage", Limit: 10})
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.Equal(t, garage.Source(), events[0].Source)
	require.Equal(t, int64(1), events[0].Seq)
	require.True(t, now.Equal(events[0].At))
}

func testFacilityExists(t *testing.T, h *house) {
	f := h.facility(t, garage, nil)
	other := f
	other.Name = "Other"
	require.ErrorIs(t, h.CreateFacility(t.Context(), other, h.clock.Now(), *event("parking.facility")), store.ErrExists)
	got, err := h.Facility(t.Context(), garage)
	require.NoError(t, err)
	require.Equal(t, f, got)
	_, err = h.Facility(t.Context(), "none")
	require.ErrorIs(t, err, store.ErrNotFound)
	err = h.InFacility(t.Context(), "none", func(context.Context, store.FacilityTx) error { panic("there is none") })
	require.ErrorIs(t, err, store.ErrNotFound)
}

func testFacilitySettings(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 3))
	due := h.clock.Now().Add(time.Hour)
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		f := tx.Facility()
		f.Rules.Allocation, f.MaxOvertakes, f.NextDueAt = parking.Nearest, 1, &due
		f.Rules.Bands = []parking.Band{{AboveBP: 1, Strategy: parking.FillIn}}
		return firstOf(tx.SetFacility(ctx), tx.Record(ctx, event("parking.facility")))
	})
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		tx.Facility().Name = "not asked to be stored"
		return tx.Record(ctx, event("parking.facility"))
	})
	got, err := h.Facility(t.Context(), garage)
	require.NoError(t, err)
	require.Equal(t, parking.Nearest, got.Rules.Allocation)
	require.Equal(t, []parking.Band{{AboveBP: 1, Strategy: parking.FillIn}}, got.Rules.Bands)
	require.Equal(t, 1, got.MaxOvertakes)
	require.Equal(t, &due, got.NextDueAt)
	require.Equal(t, "Garage garage", got.Name)
	require.Equal(t, int64(3), got.Sequences.Event)
	require.Equal(t, parking.Counts{Total: 3, InService: 3}, got.Counts)
	h.agrees(t, garage)
}

func testFacilityRollback(t *testing.T, h *house) {
	before := h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 3))
	h.vehicle(t, "v", parking.SizeMedium)
	spots := h.all(t, garage)
	for name, end := range map[string]func() error{
		"an error": func() error { return errGaveUp },
		"a panic":  func() error { panic(errGaveUp) },
	} {
		func() {
			defer func() { require.Contains(t, []any{nil, errGaveUp}, recover()) }()
			err := h.InFacility(t.Context(), garage, func(ctx context.Context, tx store.FacilityTx) error {
				_, err := park(ctx, tx, "k", "v", "", "a01")
				require.NoError(t, err)
				require.NoError(t, tx.Post(ctx, &domain.Message{Mailbox: domain.MailboxKey{Tenant: "acme"}, Status: "offered"}))
				require.NoError(t, tx.SetService(ctx, "a02", true, nil))
				tx.Facility().Name = "changed"
				require.NoError(t, tx.SetFacility(ctx))
				return end()
			})
			require.ErrorIs(t, err, errGaveUp, name)
		}()
		after, err := h.Facility(t.Context(), garage)
		require.NoError(t, err)
		require.Equal(t, before, after, name)
		require.Equal(t, spots, h.all(t, garage), name)
		_, err = h.Ticket(t.Context(), "k")
		require.ErrorIs(t, err, store.ErrNotFound, name)
	}
	h.enter(t, garage, "k", "v", "a01")
	h.agrees(t, garage)
}

func testFacilityTime(t *testing.T, h *house) {
	h.facility(t, garage, nil)
	later := h.clock.Advance(time.Minute)
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		require.Equal(t, later, tx.Now())
		return tx.Record(ctx, event("parking.facility"))
	})
	h.clock.Advance(-time.Hour) // a process whose clock lags
	h.in(t, garage, func(_ context.Context, tx store.FacilityTx) error {
		require.Equal(t, later, tx.Now(), "never before the last change")
		return nil
	})
}

func testFacilityDue(t *testing.T, h *house) {
	now := h.clock.Now()
	for id, after := range map[parking.FacilityID]time.Duration{"past": -time.Minute, "now": 0, "soon": time.Minute, "later": time.Hour, "never": 1} {
		h.facility(t, id, nil)
		if id == "never" {
			continue
		}
		at := now.Add(after)
		h.in(t, id, func(ctx context.Context, tx store.FacilityTx) error {
			tx.Facility().NextDueAt = &at
			return tx.SetFacility(ctx)
		})
	}
	due, err := h.DueFacilities(t.Context(), time.Time{})
	require.NoError(t, err)
	require.True(t, now.Equal(due.Now), "the backend's clock")
	require.ElementsMatch(t, []parking.FacilityID{"past", "now"}, due.Facilities)
	require.NotNil(t, due.Next)
	require.True(t, now.Add(time.Minute).Equal(*due.Next))
	due, err = h.DueFacilities(t.Context(), now.Add(time.Hour))
	require.NoError(t, err)
	require.True(t, now.Add(time.Hour).Equal(due.Now))
	require.Len(t, due.Facilities, 4)
	require.Nil(t, due.Next)
}

func testFacilityText(t *testing.T, h *house) {
	f := h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 1))
	f.FacilityID, f.Name = "bad", "a\x00b"
	require.ErrorIs(t, h.CreateFacility(t.Context(), f, h.clock.Now()), store.ErrData)
	f.Name, f.Rules.Allocation = "good", "by mood"
	require.ErrorIs(t, h.CreateFacility(t.Context(), f, h.clock.Now()), store.ErrData)
	v := vehicleOf("v", parking.SizeSmall, h.clock.Now())
	v.Plate = "\x00"
	require.ErrorIs(t, h.CreateVehicle(t.Context(), v), store.ErrData)
	for name, bad := range map[string]func(context.Context, store.FacilityTx) error{
		"spot id": func(ctx context.Context, tx store.FacilityTx) error {
			_, _, err := tx.PutSpots(ctx, []parking.Spot{{SpotID: "\x00", Kind: parking.KindCompact, Position: 9}})
			return err
		},
		"feature": func(ctx context.Context, tx store.FacilityTx) error {
			return tx.SetService(ctx, "a01", false, []string{"e\x00v"})
		},
		"kind": func(ctx context.Context, tx store.FacilityTx) error {
			_, _, err := tx.PutSpots(ctx, []parking.Spot{{SpotID: "b", Kind: "round", Position: 9}})
			return err
		},
		"no such vehicle": func(ctx context.Context, tx store.FacilityTx) error {
			_, err := park(ctx, tx, "k", "nobody", "", "a01")
			return err
		},
		"event": func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Record(ctx, event("parking.entry", "vehicle:\x00"))
		},
	} {
		err := h.InFacility(t.Context(), garage, func(ctx context.Context, tx store.FacilityTx) error { return bad(ctx, tx) })
		require.ErrorIs(t, err, store.ErrData, name)
		require.NotErrorIs(t, err, store.ErrUnavailable, name)
		// A change that goes on all the same is not committed.
		err = h.InFacility(t.Context(), garage, func(ctx context.Context, tx store.FacilityTx) error {
			require.NoError(t, tx.Hold(ctx, []string{"a01"}, "offer:w"))
			require.NoError(t, tx.Free(ctx, []string{"a01"}))
			_ = bad(ctx, tx) // ignored, as no caller should
			return nil
		})
		require.ErrorIs(t, err, store.ErrData, name)
		h.agrees(t, garage)
	}
}
