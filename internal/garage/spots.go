package garage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// ImportSpots stores all spots or none, with everything wrong about them. A spot that
// is there already is changed; its state is not.
func (g *Garage) ImportSpots(ctx context.Context, id parking.FacilityID, spots []parking.Spot, actor string) (parking.Imported, error) {
	wanted := slices.Clone(spots)
	for i := range wanted {
		wanted[i].Features = parking.SortedSet(wanted[i].Features)
	}
	var done parking.Imported
	err := g.change(ctx, id, func(ctx context.Context, tx store.FacilityTx, _ bool) error {
		there, err := tx.AllSpots(ctx)
		if err != nil {
			return err
		}
		if err := invalid(parking.ImportFaults(there, wanted)); err != nil {
			return err
		}
		created, updated, err := tx.PutSpots(ctx, wanted)
		if err != nil {
			return err
		}
		done = parking.Imported{Created: created, Updated: updated}
		if err := record(ctx, tx, parking.EventSpots, actor, nil, map[string]any{"created": created, "updated": updated}); err != nil {
			return err
		}
		return g.release(ctx, tx)
	})
	if err != nil {
		return parking.Imported{}, err
	}
	g.layouts.forget(id)
	return done, nil
}

// Spots returns spots by id.
func (g *Garage) Spots(ctx context.Context, filter store.SpotFilter) ([]parking.PlacedSpot, error) {
	if _, err := g.Facility(ctx, filter.Facility); err != nil {
		return nil, err
	}
	spots, err := g.store.Spots(ctx, filter)
	return spots, edge(err, nil)
}

// ChangeSpot takes a spot out of service or puts it back, and changes its features.
// Who stands there stays; the spot then counts nowhere.
func (g *Garage) ChangeSpot(ctx context.Context, id parking.FacilityID, spot string, change parking.SpotChange) (parking.PlacedSpot, error) {
	var features []string
	if change.Features != nil {
		if err := invalid(parking.FeatureFaults("features", *change.Features)); err != nil {
			return parking.PlacedSpot{}, err
		}
		features = parking.SortedSet(*change.Features)
	}
	var changed parking.PlacedSpot
	err := g.change(ctx, id, func(ctx context.Context, tx store.FacilityTx, _ bool) error {
		var err error
		if changed, err = spotOf(ctx, tx, spot); err != nil {
			return err
		}
		outOfService, had := changed.OutOfService, changed.Features
		if change.OutOfService != nil {
			outOfService = *change.OutOfService
		}
		if change.Features == nil {
			features = had
		}
		if outOfService == changed.OutOfService && slices.Equal(features, had) {
			return nil
		}
		if err := tx.SetService(ctx, spot, outOfService, features); err != nil {
			return err
		}
		if err := record(ctx, tx, parking.EventSpot, change.Actor, parking.SpotSubjects(spot), map[string]any{
			"outOfService": outOfService, "features": append([]string{}, features...),
		}); err != nil {
			return err
		}
		if err := g.release(ctx, tx); err != nil {
			return err
		}
		changed, err = spotOf(ctx, tx, spot)
		return err
	})
	if err != nil {
		return parking.PlacedSpot{}, err
	}
	g.layouts.forget(id)
	return changed, nil
}

func spotOf(ctx context.Context, tx store.FacilityTx, spot string) (parking.PlacedSpot, error) {
	found, err := tx.SpotsByID(ctx, []string{spot})
	if err == nil && len(found) == 1 {
		return found[0], nil
	}
	if err == nil || errors.Is(err, store.ErrNotFound) {
		err = domain.Errorf(domain.CodeUnknownSpot, "the facility %q has no spot %q", tx.Facility().FacilityID, spot)
	}
	return parking.PlacedSpot{}, fmt.Errorf("spot %s: %w", spot, err)
}
