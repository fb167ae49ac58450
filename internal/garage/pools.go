package garage

import (
	"context"
	"errors"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// resourceSpots is what the units of a derived pool count.
const resourceSpots domain.ResourceKind = "spots"

// Pools shows the facilities as pools that can only be read: units are spots in
// service, those in use are occupied or reserved, and who waits is queued.
func (g *Garage) Pools(ctx context.Context) ([]store.PoolView, error) {
	facilities, err := g.store.ListFacilities(ctx)
	if err != nil {
		return nil, edge(err, nil)
	}
	views := make([]store.PoolView, 0, len(facilities))
	for i := range facilities {
		view, err := g.pool(ctx, &facilities[i])
		if err != nil {
			return nil, err
		}
		views = append(views, view)
	}
	return views, nil
}

// Pool shows one facility as a pool.
func (g *Garage) Pool(ctx context.Context, id domain.PoolID) (store.PoolView, error) {
	f, err := g.store.Facility(ctx, parking.FacilityID(id))
	if err != nil {
		return store.PoolView{}, edge(err, domain.Errorf(domain.CodeUnknownPool, "there is no pool %q here", id))
	}
	return g.pool(ctx, &f)
}

// Derived reports whether a pool's id is that of a facility.
func (g *Garage) Derived(ctx context.Context, id domain.PoolID) (bool, error) {
	_, err := g.store.Facility(ctx, parking.FacilityID(id))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, edge(err, nil)
}

func (g *Garage) pool(ctx context.Context, f *parking.Facility) (store.PoolView, error) {
	view := store.PoolView{
		Pool: domain.Pool{
			PoolID: domain.PoolID(f.FacilityID), Name: f.Name, State: domain.PoolActive, MaxUnits: domain.Units(f.Counts.InService),
			MaxQueueDepth: maxLine, Policy: domain.PolicyPriority, ResourceKind: resourceSpots, MaxOvertakes: f.MaxOvertakes,
		},
		Counters: domain.Counters{
			At: f.Sequences.At, ActiveUnits: domain.Units(f.Counts.Occupied + f.Counts.Reserved), Ceiling: domain.Units(f.Counts.InService),
			EventSeq: f.Sequences.Event, MessageSeq: f.Sequences.Message, NextDueAt: f.NextDueAt,
		},
		Derived: true,
	}
	if f.NextDueAt == nil {
		return view, nil // nobody waits
	}
	line, err := g.store.WaitingLine(ctx, f.FacilityID)
	if err != nil {
		return view, edge(err, nil)
	}
	for i := range line {
		if line[i].Status != parking.WaitingWaits {
			continue
		}
		view.Queued++
		view.QueuedBy[line[i].Priority]++
		if at := line[i].CreatedAt; view.OldestQueuedAt == nil || at.Before(*view.OldestQueuedAt) {
			view.OldestQueuedAt = &at
		}
	}
	return view, nil
}
