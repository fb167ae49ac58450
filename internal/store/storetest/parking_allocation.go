package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

var allocationTests = map[string]func(*testing.T, *house){
	"equals the pure function":         testAllocationPure,
	"bookable spots":                   testAllocationBookable,
	"windows at the ends of the world": testAllocationEnds,
}

// choose is Allocate through the store, as the garage asks it.
func choose(ctx context.Context, tx store.FacilityTx, d parking.Demand) ([]parking.Spot, error) {
	rules := tx.Facility().Rules
	var bp int64
	if now := tx.Facility().Counts.OccupancyBP(); now != nil {
		bp = *now
	}
	order := rules.Effective(bp)
	for _, kind := range d.Size.Kinds() {
		spot, err := tx.FirstFree(ctx, kind, order, d.Features)
		if err == nil {
			return []parking.Spot{spot}, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	if !d.Size.NeedsWindow() {
		return nil, nil
	}
	if rules.WindowRule == parking.WindowNoneExist {
		if exists, err := tx.KindInService(ctx, parking.KindOversized); exists || err != nil {
			return nil, err
		}
	}
	for _, kind := range []parking.SpotKind{parking.KindCompact, parking.KindRegular} {
		if rules.WindowSizes[kind] < 1 {
			continue
		}
		window, err := tx.Window(ctx, kind, rules.WindowSizes[kind], order, d.Features)
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return window, err
		}
	}
	return nil, nil
}

// drawSpots draws a small garage: gaps in its rows, few kinds, ties in every order.
func drawSpots(t *rapid.T) []parking.Spot {
	var spots []parking.Spot
	lopsided := rapid.IntRange(0, 3).Draw(t, "how full")
	for level := range int64(3) {
		for rowNo := range int64(2) {
			for position := range int64(rapid.IntRange(0, 9).Draw(t, "row")) {
				if rapid.IntRange(0, 7).Draw(t, "gap") == 0 {
					continue
				}
				states := []parking.SpotState{parking.SpotOccupied, parking.SpotFree, parking.SpotReserved, parking.SpotFree, parking.SpotFree}
				spots = append(spots, parking.Spot{
					SpotID:       fmt.Sprintf("%c%d%d", 'A'+rune(rapid.IntRange(0, 50).Draw(t, "id")), level, rowNo*10+position),
					Kind:         rapid.SampledFrom([]parking.SpotKind{parking.KindRegular, parking.KindCompact, parking.KindRegular, parking.KindOversized}).Draw(t, "kind"),
					Level:        level - 1,
					Row:          rowNo,
					Position:     position - 3,
					Features:     rapid.SampledFrom([][]string{nil, nil, {"ev"}, {"covered", "ev"}}).Draw(t, "features"),
					DistanceRank: int64(rapid.IntRange(0, 3).Draw(t, "rank")),
					State:        rapid.SampledFrom(states[:2+lopsided]).Draw(t, "state"),
					OutOfService: rapid.IntRange(0, 9).Draw(t, "service") == 0,
				})
			}
		}
	}
	return spots
}

// furnish puts spots into a facility and gives them their states.
func furnish(ctx context.Context, tx store.FacilityTx, spots []parking.Spot) error {
	inService := slices.Clone(spots)
	for i := range inService {
		inService[i].OutOfService = false
	}
	if _, _, err := tx.PutSpots(ctx, inService); err != nil {
		return err
	}
	for i := range spots {
		s := &spots[i]
		var err error
		switch s.State {
		case parking.SpotOccupied:
			err = tx.Occupy(ctx, []string{s.SpotID}, "ticket-"+s.SpotID, "vehicle-"+s.SpotID, "")
		case parking.SpotReserved:
			err = tx.Hold(ctx, []string{s.SpotID}, "offer:"+s.SpotID)
		case parking.SpotFree:
		}
		if err == nil && s.OutOfService {
			err = tx.SetService(ctx, s.SpotID, true, s.Features)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func drawRules(t *rapid.T) parking.Rules {
	size := rapid.Int64Range(0, 4)
	return parking.Rules{
		Allocation: rapid.SampledFrom([]parking.Allocation{
			parking.FirstAvailable, parking.Nearest, parking.FillIn, parking.Dynamic,
		}).Draw(t, "allocation"),
		Bands:       []parking.Band{{AboveBP: 2000, Strategy: parking.FillIn}, {AboveBP: 5000, Strategy: parking.Nearest}},
		WindowSizes: map[parking.SpotKind]int64{parking.KindRegular: size.Draw(t, "regular window"), parking.KindCompact: size.Draw(t, "compact window")},
		WindowRule:  rapid.SampledFrom([]parking.WindowRule{parking.WindowNoneFree, parking.WindowNoneExist}).Draw(t, "window rule"),
	}
}

func testAllocationPure(t *testing.T, h *house) {
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		id := parking.FacilityID(fmt.Sprint("garage-", n))
		rules, spots := drawRules(r), drawSpots(r)
		h.facility(t, id, nil, func(f *parking.Facility) { f.Rules = rules })
		require.NoError(r, h.InFacility(t.Context(), id, func(ctx context.Context, tx store.FacilityTx) error {
			if err := furnish(ctx, tx, spots); err != nil {
				return err
			}
			stored, err := tx.AllSpots(ctx)
			if err != nil {
				return err
			}
			require.ElementsMatch(r, spots, stored)
			for _, size := range []parking.VehicleSize{parking.SizeSmall, parking.SizeMedium, parking.SizeLarge} {
				for _, features := range [][]string{nil, {"ev"}, {"ev", "covered"}} {
					d := parking.Demand{Size: size, Features: features}
					got, err := choose(ctx, tx, d)
					if err != nil {
						return err
					}
					want := parking.Allocate(&rules, spots, d)
					require.Equal(r, want, got, "%s with %q", size, features)
				}
			}
			return nil
		}))
	})
}

// testAllocationBookable compares Bookable with a search of every spot.
func testAllocationBookable(t *testing.T, h *house) {
	n := 0
	h.vehicle(t, "v", parking.SizeMedium)
	rapid.Check(t, func(r *rapid.T) {
		n++
		id := parking.FacilityID(fmt.Sprint("garage-", n))
		spots := drawSpots(r)
		h.facility(t, id, nil)
		hour := rapid.IntRange(0, 5)
		require.NoError(r, h.InFacility(t.Context(), id, func(ctx context.Context, tx store.FacilityTx) error {
			if err := furnish(ctx, tx, spots); err != nil {
				return err
			}
			booked := map[string][][2]time.Time{}
			for i := range spots {
				if rapid.IntRange(0, 2).Draw(r, "booked") > 0 {
					continue
				}
				from := tx.Now().Add(time.Duration(hour.Draw(r, "from")) * time.Hour)
				to := from.Add(time.Duration(1+hour.Draw(r, "for")) * time.Hour)
				status := parking.ReservationBooked
				if rapid.IntRange(0, 4).Draw(r, "cancelled") == 0 {
					status = parking.ReservationCancelled
				} else {
					booked[spots[i].SpotID] = append(booked[spots[i].SpotID], [2]time.Time{from, to})
				}
				if err := tx.InsertReservation(ctx, &parking.Reservation{
					ReservationID: fmt.Sprintf("%s-%d", id, i), FacilityID: id, VehicleID: "v", SpotIDs: []string{spots[i].SpotID},
					From: from, To: to, NoShowAt: from.Add(time.Minute), Status: status, CreatedAt: tx.Now(),
				}); err != nil {
					return err
				}
			}
			from := tx.Now().Add(time.Duration(hour.Draw(r, "asked from")) * time.Hour)
			to := from.Add(time.Duration(1+hour.Draw(r, "asked for")) * time.Hour)
			fits := func(s *parking.Spot, kind parking.SpotKind) bool {
				if s.Kind != kind || s.OutOfService || !s.Has([]string{"ev"}) || (!from.After(tx.Now()) && s.State != parking.SpotFree) {
					return false
				}
				return !slices.ContainsFunc(booked[s.SpotID], func(b [2]time.Time) bool { return b[0].Before(to) && from.Before(b[1]) })
			}
			for _, kind := range []parking.SpotKind{parking.KindRegular, parking.KindCompact} {
				for _, order := range []parking.Allocation{parking.FirstAvailable, parking.Nearest, parking.FillIn} {
					for size := range int64(4) {
						want := bookable(spots, size, order, func(s *parking.Spot) bool { return fits(s, kind) })
						got, err := tx.Bookable(ctx, kind, size, order, []string{"ev"}, from, to)
						if want == nil {
							require.ErrorIs(r, err, store.ErrNotFound)
							continue
						}
						if err != nil {
							return err
						}
						require.Equal(r, want, spotIDs(got), "%s %s %d", kind, order, size)
					}
				}
			}
			return nil
		}))
	})
}

// bookable searches every spot and every island.
func bookable(spots []parking.Spot, size int64, order parking.Allocation, fits func(*parking.Spot) bool) []string {
	open := map[int64]bool{}
	byPlace := map[[3]int64]*parking.Spot{}
	for i := range spots {
		s := &spots[i]
		if s.State != parking.SpotFree && !s.OutOfService {
			open[s.Level] = true
		}
		if fits(s) {
			byPlace[[3]int64{s.Level, s.Row, s.Position}] = s
		}
	}
	type island struct {
		length int
		spots  []*parking.Spot
	}
	var islands []island
	for place, s := range byPlace {
		if size <= 1 {
			islands = append(islands, island{1, []*parking.Spot{s}})
			continue
		}
		if byPlace[[3]int64{place[0], place[1], place[2] - 1}] != nil {
			continue
		}
		var run []*parking.Spot
		for next := s; next != nil; next = byPlace[[3]int64{place[0], place[1], place[2] + int64(len(run))}] {
			run = append(run, next)
		}
		if int64(len(run)) >= size {
			islands = append(islands, island{len(run), run[:size]})
		}
	}
	slices.SortFunc(islands, func(a, b island) int {
		x, y := a.spots[0], b.spots[0]
		byPlace := cmp.Or(cmp.Compare(x.Level, y.Level), cmp.Compare(x.Row, y.Row), cmp.Compare(x.Position, y.Position))
		switch order {
		case parking.Nearest:
			byPlace = cmp.Or(cmp.Compare(x.DistanceRank, y.DistanceRank), cmp.Compare(x.SpotID, y.SpotID))
		case parking.FillIn:
			if open[x.Level] != open[y.Level] {
				byPlace = map[bool]int{true: -1, false: 1}[open[x.Level]]
			}
		case parking.FirstAvailable, parking.Dynamic:
		}
		return cmp.Or(cmp.Compare(a.length, b.length), byPlace)
	})
	if len(islands) == 0 {
		return nil
	}
	var ids []string
	for _, s := range islands[0].spots {
		ids = append(ids, s.SpotID)
	}
	return ids
}

func testAllocationEnds(t *testing.T, h *house) {
	const low, high = -1 << 63, 1<<63 - 1
	at := func(id string, position int64) parking.Spot {
		return parking.Spot{SpotID: id, Kind: parking.KindRegular, Level: low, Row: high, Position: position, State: parking.SpotFree}
	}
	h.facility(t, garage, []parking.Spot{at("a", low), at("b", low+1), at("c", 0), at("d", high-2), at("e", high-1), at("f", high)})
	h.in(t, garage, func(ctx context.Context, tx store.FacilityTx) error {
		two, err := tx.Window(ctx, parking.KindRegular, 2, parking.FirstAvailable, nil)
		require.Equal(t, []string{"a", "b"}, spotIDs(two))
		three, err2 := tx.Window(ctx, parking.KindRegular, 3, parking.FillIn, nil)
		require.Equal(t, []string{"d", "e", "f"}, spotIDs(three))
		_, err3 := tx.Window(ctx, parking.KindRegular, 4, parking.Nearest, nil)
		require.ErrorIs(t, err3, store.ErrNotFound)
		return firstOf(err, err2)
	})
}
