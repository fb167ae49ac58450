package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

var raceTests = map[string]func(*testing.T, *house){
	"the last spot goes to one":                 testRaceLastSpot,
	"what is given back is not full":            testRaceRollback,
	"one open ticket in two facilities at once": testRaceVehicle,
	"many gates": testRaceGates,
}

// second is a store beside the first one: another process's, where there may be one.
func (h *house) second() ParkingStore { return h.stores[len(h.stores)-1] }

// testRaceLastSpot holds the last spot while another asks: who comes second sees it taken.
func testRaceLastSpot(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 1))
	h.vehicle(t, "v", parking.SizeMedium)
	h.vehicle(t, "w", parking.SizeMedium)
	first, second := h.raceForOne(t, nil)
	require.NoError(t, first)
	require.ErrorIs(t, second, store.ErrNotFound, "taken")
	h.agrees(t, garage)
}

// testRaceRollback gives it back: who comes second is not told that it is full.
func testRaceRollback(t *testing.T, h *house) {
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, 1))
	h.vehicle(t, "v", parking.SizeMedium)
	h.vehicle(t, "w", parking.SizeMedium)
	first, second := h.raceForOne(t, errGaveUp)
	require.ErrorIs(t, first, errGaveUp)
	require.NoError(t, second)
	require.Equal(t, "w", h.all(t, garage)["a01"].VehicleID)
	h.agrees(t, garage)
}

// raceForOne has two changes want a spot, the second while the first one has it.
func (h *house) raceForOne(t *testing.T, end error) (first, second error) {
	t.Helper()
	has, done := make(chan struct{}), make(chan error, 1)
	go func() {
		<-has
		done <- h.second().InFacility(t.Context(), garage, takeAny("l", "w"))
	}()
	first = h.InFacility(t.Context(), garage, func(ctx context.Context, tx store.FacilityTx) error {
		if err := takeAny("k", "v")(ctx, tx); err != nil {
			return err
		}
		close(has)
		select {
		case err := <-done:
			t.Errorf("the second one did not wait: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
		return end
	})
	return first, <-done
}

func takeAny(ticket, vehicle string) func(context.Context, store.FacilityTx) error {
	return func(ctx context.Context, tx store.FacilityTx) error {
		spot, err := tx.FirstFree(ctx, parking.KindRegular, parking.FirstAvailable, nil)
		if err != nil {
			return err
		}
		_, err = park(ctx, tx, ticket, vehicle, "", spot.SpotID)
		return err
	}
}

// testRaceVehicle enters one vehicle in two facilities at once: one of them wins, and
// when that one gives up, the other.
func testRaceVehicle(t *testing.T, h *house) {
	for _, id := range []parking.FacilityID{garage, "other"} {
		h.facility(t, id, row("a", parking.KindRegular, 1, 1, 3))
	}
	h.vehicle(t, "v", parking.SizeMedium)
	for i, end := range []error{errGaveUp, nil} {
		has, done := make(chan struct{}), make(chan error, 1)
		go func() {
			<-has
			done <- h.second().InFacility(t.Context(), "other", takeAny(fmt.Sprint("l", i), "v"))
		}()
		err := h.InFacility(t.Context(), garage, func(ctx context.Context, tx store.FacilityTx) error {
			if err := takeAny(fmt.Sprint("k", i), "v")(ctx, tx); err != nil {
				return err
			}
			close(has)
			time.Sleep(100 * time.Millisecond) // time for the other to get to where it waits
			return end
		})
		require.ErrorIs(t, err, end)
		if end != nil {
			require.NoError(t, <-done)
			h.in(t, "other", func(ctx context.Context, tx store.FacilityTx) error { return leave(ctx, tx, "l0") })
		} else {
			require.ErrorIs(t, <-done, store.ErrConflict)
		}
		h.agrees(t, garage)
		h.agrees(t, "other")
	}
}

// testRaceGates has gates of several processes enter and leave at random, some of them
// giving up half way: nothing is ever given twice, and "full" is only said when it is.
func testRaceGates(t *testing.T, h *house) {
	const gates, rounds, spots = 16, 25, 6
	h.facility(t, garage, row("a", parking.KindRegular, 1, 1, spots))
	for g := range gates {
		h.vehicle(t, fmt.Sprint("v", g), parking.SizeMedium)
	}
	var entered, full, gaveUp atomic.Int64
	group, ctx := errgroup.WithContext(t.Context())
	for g := range gates {
		group.Go(func() error {
			s, rnd := h.stores[g%len(h.stores)], rand.New(rand.NewPCG(uint64(g), 7))
			vehicle := fmt.Sprint("v", g)
			for i := range rounds {
				ticket := fmt.Sprintf("k%d-%d", g, i)
				err := s.InFacility(ctx, garage, func(ctx context.Context, tx store.FacilityTx) error {
					err := takeAny(ticket, vehicle)(ctx, tx)
					if errors.Is(err, store.ErrNotFound) && tx.Facility().Counts.Occupied != spots {
						return fmt.Errorf("full at %d of %d", tx.Facility().Counts.Occupied, spots)
					}
					if err == nil && rnd.IntN(4) == 0 {
						return errGaveUp
					}
					return err
				})
				switch {
				case errors.Is(err, store.ErrNotFound):
					full.Add(1)
					continue
				case errors.Is(err, errGaveUp):
					gaveUp.Add(1)
					continue
				case err != nil:
					return err
				}
				entered.Add(1)
				if err := s.InFacility(ctx, garage, func(ctx context.Context, tx store.FacilityTx) error { return leave(ctx, tx, ticket) }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	require.Equal(t, int64(gates*rounds), entered.Load()+full.Load()+gaveUp.Load())
	require.Positive(t, entered.Load())
	h.agrees(t, garage)
	f, err := h.Facility(t.Context(), garage)
	require.NoError(t, err)
	require.Equal(t, 1+2*entered.Load(), f.Sequences.Event, "no number is lost or given twice")
}
