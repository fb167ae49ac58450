package storetest

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

var spotTests = map[string]func(*testing.T, *house){
	"come back as written":       testSpotRoundTrip,
	"two change places":          testSpotSwap,
	"a place is taken once":      testSpotPlace,
	"import of ten thousand":     testSpotImport,
	"lists and pages":            testSpotLists,
	"occupy, hold and free":      testSpotStates,
	"all of them or none":        testSpotAllOrNone,
	"out of service and back":    testSpotService,
	"occupancy then and now":     testSpotOccupancy,
	"a row for every change":     testSpotHistory,
	"an import keeps what parks": testSpotImportKeeps,
}

func testSpotRoundTrip(t *testing.T, h *house) {
	h.facility(t, garage, nil)
	full := parking.Spot{
		SpotID: "Ü-1 \"x\"", Kind: parking.KindOversized, Level: -2, Row: math.MaxInt64, Position: math.MinInt64,
		Features: []string{"a,b", "covered", "ev {\"fast\"}"}, DistanceRank: -7, State: parking.SpotFree, OutOfService: true,
	}
	bare := parking.Spot{SpotID: "bare", Kind: parking.KindCompact, State: parking.SpotFree}
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		created, updated, err := tx.PutSpots(ctx, []parking.Spot{full, bare})
		require.Equal(t, [2]int{2, 0}, [2]int{created, updated})
		require.Equal(t, parking.Counts{Total: 2, InService: 1}, tx.Facility().Counts)
		return err
	})
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		spots, err := tx.AllSpots(ctx)
		require.ElementsMatch(t, []parking.Spot{full, bare}, spots)
		placed, err2 := tx.SpotsByID(ctx, []string{full.SpotID, "none"})
		require.Equal(t, []parking.PlacedSpot{{Spot: full}}, placed)
		none, err3 := tx.SpotsByID(ctx, nil)
		require.Empty(t, none)
		return firstOf(err, err2, err3)
	})
	full.Kind, full.Features, full.OutOfService, full.Row = parking.KindRegular, nil, false, 3
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		created, updated, err := tx.PutSpots(ctx, []parking.Spot{full, {SpotID: "new", Kind: parking.KindRegular, Row: 9}})
		require.Equal(t, [2]int{1, 1}, [2]int{created, updated})
		return err
	})
	require.Equal(t, parking.PlacedSpot{Spot: full}, h.all(t, garage)[full.SpotID])
	h.agrees(t, garage)
}

func testSpotSwap(t *testing.T, h *house) {
	spots := row("a", parking.KindRegular, 1, 1, 3)
	h.facility(t, garage, spots)
	spots[0].Position, spots[1].Position, spots[2].Position = 3, 1, 2
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		_, updated, err := tx.PutSpots(ctx, spots)
		require.Equal(t, 3, updated)
		return err
	})
	require.Equal(t, int64(3), h.all(t, garage)["a01"].Position)
}

func testSpotPlace(t *testing.T, h *house) {
	spots := row("a", parking.KindRegular, 1, 1, 3)
	h.facility(t, garage, spots)
	before := h.all(t, garage)
	for name, bad := range map[string][]parking.Spot{
		"of another":     {{SpotID: "good", Kind: parking.KindCompact, Level: 7}, {SpotID: "b", Kind: parking.KindCompact, Level: 1, Row: 1, Position: 2}},
		"by two at once": {{SpotID: "b", Kind: parking.KindCompact, Level: 7}, {SpotID: "c", Kind: parking.KindCompact, Level: 7}},
	} {
		h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
			_, _, err := tx.PutSpots(ctx, bad)
			require.ErrorIs(t, err, store.ErrConflict, name)
			// The change goes on as if it had not been asked.
			free, err := tx.FirstFree(ctx, parking.KindRegular, parking.FirstAvailable, nil)
			require.Equal(t, "a01", free.SpotID)
			return firstOf(err, tx.Record(ctx, event("parking.facility")))
		})
		require.Equal(t, before, h.all(t, garage), name)
		h.agrees(t, garage)
	}
}

func testSpotImport(t *testing.T, h *house) {
	h.facility(t, garage, manySpots(10_000))
	require.Len(t, h.all(t, garage), 10_000)
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		created, updated, err := tx.PutSpots(ctx, manySpots(10_000))
		require.NoError(t, err)
		require.Equal(t, [2]int{0, 10_000}, [2]int{created, updated})
		return nil
	})
	h.agrees(t, garage)
}

// manySpots are n spots on levels of 1,000, in rows of 50: 60 % regular, 30 % compact,
// 10 % oversized, in rows of one kind.
func manySpots(n int) []parking.Spot {
	kinds := []parking.SpotKind{
		parking.KindRegular, parking.KindCompact, parking.KindRegular, parking.KindOversized, parking.KindRegular,
		parking.KindCompact, parking.KindRegular, parking.KindCompact, parking.KindRegular, parking.KindRegular,
	}
	spots := make([]parking.Spot, n)
	for i := range spots {
		spots[i] = parking.Spot{
			SpotID: fmt.Sprintf("s%05d", i), Level: int64(i / 1000), Row: int64(i / 50 % 20), Position: int64(i % 50),
			Kind: kinds[i/50%len(kinds)], DistanceRank: int64(i * 7919 % n), State: parking.SpotFree,
		}
		if i%9 == 0 {
			spots[i].Features = []string{"ev"}
		}
	}
	return spots
}

func testSpotLists(t *testing.T, h *house) {
	h.facility(t, "other", row("zz", parking.KindRegular, 1, 1, 3))
	spots := append(row("B", parking.KindRegular, 1, 1, 3), row("a", parking.KindCompact, 2, 1, 4)...)
	h.facility(t, garage, append(spots, row("é", parking.KindRegular, 0, 1, 2)...))
	h.vehicle(t, "v", parking.SizeSmall)
	h.enter(t, garage, "k", "v", "a02")

	var paged []string
	after := ""
	for {
		page, err := h.Spots(t.Context(), store.SpotFilter{Facility: garage, After: after, Limit: 2})
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		require.LessOrEqual(t, len(page), 2)
		for _, s := range page {
			paged, after = append(paged, s.SpotID), s.SpotID
		}
	}
	require.Equal(t, []string{"B01", "B02", "B03", "a01", "a02", "a03", "a04", "é01", "é02"}, paged, "in the order of bytes")
	require.Equal(t, paged, sortedIDs(h.all(t, garage)))

	zero := int64(0)
	for name, c := range map[string]struct {
		filter store.SpotFilter
		want   int
	}{
		"kind":           {store.SpotFilter{Kind: parking.KindCompact}, 4},
		"state":          {store.SpotFilter{State: parking.SpotOccupied}, 1},
		"level":          {store.SpotFilter{Level: &zero}, 2},
		"state and kind": {store.SpotFilter{State: parking.SpotFree, Kind: parking.KindCompact}, 3},
		"nothing":        {store.SpotFilter{State: parking.SpotReserved}, 0},
	} {
		c.filter.Facility = garage
		got, err := h.Spots(t.Context(), c.filter)
		require.NoError(t, err)
		require.Len(t, got, c.want, name)
	}
	require.Equal(t, "k", h.all(t, garage)["a02"].TicketID)
	require.Equal(t, "v", h.all(t, garage)["a02"].VehicleID)
}

func testSpotStates(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 4))
	h.vehicle(t, "v", parking.SizeMedium)
	h.vehicle(t, "w", parking.SizeMedium)
	counts := func(occupied, reserved int64) {
		t.Helper()
		f, err := h.Facility(t.Context(), garage)
		require.NoError(t, err)
		require.Equal(t, parking.Counts{Total: 4, InService: 4, Occupied: occupied, Reserved: reserved}, f.Counts)
		h.agrees(t, garage)
	}
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		err := tx.Hold(ctx, []string{"a01", "a02"}, "offer:w1")
		require.Equal(t, int64(2), tx.Facility().Counts.Reserved, "counted at once")
		return firstOf(err, tx.Record(ctx, event("parking.offer")))
	})
	counts(0, 2)
	require.Equal(t, "offer:w1", h.all(t, garage)["a02"].HeldBy)
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		_, err := park(ctx, tx, "k", "v", "offer:w1", "a01", "a02")
		return err
	})
	counts(2, 0)
	require.Empty(t, h.all(t, garage)["a02"].HeldBy)
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		// Held or free, both will do for who holds.
		require.NoError(t, tx.Hold(ctx, []string{"a03"}, "reservation:r"))
		_, err := park(ctx, tx, "l", "w", "reservation:r", "a03", "a04")
		return err
	})
	counts(4, 0)
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		return firstOf(leave(ctx, tx, "k"), leave(ctx, tx, "l"))
	})
	counts(0, 0)
	for id, s := range h.all(t, garage) {
		require.Equal(t, parking.SpotFree, s.State, id)
		require.Empty(t, s.TicketID+s.VehicleID+s.HeldBy, id)
	}
}

// testSpotAllOrNone asks for what cannot be: nothing is written, and the change goes on.
func testSpotAllOrNone(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 5))
	h.vehicle(t, "v", parking.SizeMedium)
	h.enter(t, garage, "k", "v", "a01")
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		return firstOf(tx.Hold(ctx, []string{"a02"}, "offer:w"), tx.SetService(ctx, "a03", true, nil), tx.Record(ctx, event("parking.offer")))
	})
	before := h.all(t, garage)
	for name, bad := range map[string]func(context.Context, store.FacilityTx) error{
		"occupy what is taken": func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Occupy(ctx, []string{"a04", "a01"}, "l", "w", "")
		},
		"occupy what is held": func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Occupy(ctx, []string{"a04", "a02"}, "l", "w", "")
		},
		"occupy what another holds": func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Occupy(ctx, []string{"a02"}, "l", "w", "offer:x")
		},
		"occupy what is out of service": func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Occupy(ctx, []string{"a04", "a03"}, "l", "w", "")
		},
		"occupy what is not there": func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Occupy(ctx, []string{"a04", "none"}, "l", "w", "")
		},
		"occupy the same twice": func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Occupy(ctx, []string{"a04", "a04"}, "l", "w", "")
		},
		"hold what is taken": func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Hold(ctx, []string{"a04", "a01"}, "offer:x")
		},
		"hold what is held": func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Hold(ctx, []string{"a04", "a02"}, "offer:x")
		},
		"hold what is out": func(ctx context.Context, tx store.FacilityTx) error {
			return tx.Hold(ctx, []string{"a04", "a03"}, "offer:x")
		},
		"free what is free": func(ctx context.Context, tx store.FacilityTx) error { return tx.Free(ctx, []string{"a01", "a04"}) },
	} {
		h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
			counts := tx.Facility().Counts
			require.ErrorIs(t, bad(ctx, tx), store.ErrConflict, name)
			require.Equal(t, counts, tx.Facility().Counts, name)
			return tx.Record(ctx, event("parking.entry"))
		})
		require.Equal(t, before, h.all(t, garage), name)
		h.agrees(t, garage)
	}
}

func testSpotService(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 4))
	h.vehicle(t, "v", parking.SizeMedium)
	h.enter(t, garage, "k", "v", "a01")
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error { return tx.Hold(ctx, []string{"a02"}, "offer:w") })
	set := func(spot string, out bool, want parking.Counts) {
		t.Helper()
		h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
			err := tx.SetService(ctx, spot, out, []string{"ev"})
			return firstOf(err, tx.Record(ctx, event("parking.spot")))
		})
		f, err := h.Facility(t.Context(), garage)
		require.NoError(t, err)
		require.Equal(t, want, f.Counts)
		require.Equal(t, []string{"ev"}, h.all(t, garage)[spot].Features)
		require.Equal(t, out, h.all(t, garage)[spot].OutOfService)
		h.agrees(t, garage)
	}
	set("a01", true, parking.Counts{Total: 4, InService: 3, Reserved: 1})
	set("a01", true, parking.Counts{Total: 4, InService: 3, Reserved: 1})
	set("a02", true, parking.Counts{Total: 4, InService: 2})
	set("a03", true, parking.Counts{Total: 4, InService: 1})
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		require.ErrorIs(t, tx.SetService(ctx, "none", true, nil), store.ErrNotFound)
		return firstOf(leave(ctx, tx, "k"), tx.Free(ctx, []string{"a02"})) // what is out of service counts nowhere
	})
	h.agrees(t, garage)
	set("a01", false, parking.Counts{Total: 4, InService: 2})
	set("a03", false, parking.Counts{Total: 4, InService: 3})
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		for kind, want := range map[parking.SpotKind]bool{parking.KindRegular: true, parking.KindOversized: false} {
			got, err := tx.KindInService(ctx, kind)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		return nil
	})
}

func testSpotImportKeeps(t *testing.T, h *house) {
	spots := row("a", parking.KindRegular, 1, 1, 3)
	h.facility(t, garage, spots)
	h.vehicle(t, "v", parking.SizeMedium)
	h.enter(t, garage, "k", "v", "a01")
	for i := range spots {
		spots[i].Level, spots[i].OutOfService = 5, i == 2
	}
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		_, _, err := tx.PutSpots(ctx, spots)
		require.Equal(t, parking.Counts{Total: 3, InService: 2, Occupied: 1}, tx.Facility().Counts)
		return firstOf(err, tx.Record(ctx, event("parking.spots")))
	})
	got := h.all(t, garage)["a01"]
	require.Equal(t, parking.SpotOccupied, got.State)
	require.Equal(t, "k", got.TicketID)
	require.Equal(t, int64(5), got.Level)
	h.agrees(t, garage)
}

func testSpotOccupancy(t *testing.T, h *house) {
	h.facility(t, garage, append(row("a", parking.KindRegular, 1, 1, 3), row("b", parking.KindCompact, 1, 2, 2)...))
	h.vehicle(t, "v", parking.SizeMedium)
	start := h.clock.Now()
	h.clock.Advance(time.Minute)
	h.enter(t, garage, "k", "v", "a01")
	h.clock.Advance(time.Minute)
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		return firstOf(leave(ctx, tx, "k"), tx.SetService(ctx, "b01", true, nil))
	})
	rows, err := h.OccupancyNow(t.Context(), garage)
	require.NoError(t, err)
	require.Equal(t, []parking.OccupancyRow{
		{Level: 1, Kind: parking.KindCompact, Counts: parking.Counts{Total: 2, InService: 1}},
		{Level: 1, Kind: parking.KindRegular, Counts: parking.Counts{Total: 3, InService: 3}},
	}, rows)
	at := start.Add
	samples, err := h.OccupancyAt(t.Context(), garage, []time.Time{at(-time.Second), at(0), at(59 * time.Second), at(time.Minute), at(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, []parking.OccupancySample{
		{At: at(0), InService: 5}, {At: at(59 * time.Second), InService: 5},
		{At: at(time.Minute), InService: 5, Occupied: 1}, {At: at(time.Hour), InService: 4},
	}, samples)
}

// testSpotHistory makes several changes at one instant: the last one counts.
func testSpotHistory(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 3))
	for i, v := range []string{"u", "v", "w"} {
		h.vehicle(t, v, parking.SizeMedium)
		h.enter(t, garage, "k-"+v, v, fmt.Sprintf("a%02d", i+1))
		h.agrees(t, garage)
	}
	// What moves no count leaves no row, and does not hide the last one.
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		return tx.Record(ctx, event("parking.gate_open"))
	})
	h.agrees(t, garage)
}
