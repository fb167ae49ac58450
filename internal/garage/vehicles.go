package garage

import (
	"bytes"
	"context"
	"errors"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// CreateVehicle makes a vehicle known.
func (g *Garage) CreateVehicle(ctx context.Context, request parking.NewVehicle, actor string) (parking.Vehicle, error) {
	v, faults := request.Vehicle("")
	if err := invalid(faults); err != nil {
		return parking.Vehicle{}, err
	}
	if v.VehicleID == "" {
		v.VehicleID = g.newID()
	}
	return g.storeVehicle(ctx, v, request, actor)
}

func (g *Garage) storeVehicle(ctx context.Context, v parking.Vehicle, request parking.NewVehicle, actor string) (parking.Vehicle, error) {
	request.VehicleID = v.VehicleID
	hash, err := hashOf(request)
	if err != nil {
		return parking.Vehicle{}, err
	}
	v.BodyHash, v.CreatedAt = hash, g.clock()
	fields, err := detail(map[string]any{"plate": v.Plate, "jurisdiction": v.Jurisdiction, "size": v.Size, "type": v.Type})
	if err != nil {
		return parking.Vehicle{}, err
	}
	err = g.store.CreateVehicle(ctx, v, domain.Event{
		Kind: parking.EventVehicle, Actor: actor, Subjects: []string{parking.VehicleSubject(v.VehicleID)}, Detail: fields,
	})
	switch {
	case err == nil:
		return v, nil
	case errors.Is(err, store.ErrConflict):
		return parking.Vehicle{}, plateExists(&v)
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrCommitUnknown):
		stored, err := g.store.Vehicle(ctx, v.VehicleID)
		if err == nil && !bytes.Equal(stored.BodyHash, hash) {
			err = exists("vehicle", v.VehicleID)
		}
		return stored, edge(err, nil)
	}
	return parking.Vehicle{}, edge(err, nil)
}

func plateExists(v *parking.Vehicle) *domain.Error {
	return domain.Errorf(domain.CodePlateExists, "another vehicle, or one of another size or type, has the plate %s of %s; GET /vehicles?plate=… finds it",
		v.Plate, v.Jurisdiction)
}

// Vehicle returns a vehicle by id.
func (g *Garage) Vehicle(ctx context.Context, id string) (parking.Vehicle, error) {
	v, err := g.store.Vehicle(ctx, id)
	return v, edge(err, unknownVehicle(id))
}

// VehicleByPlate returns a vehicle by its plate, however that is written.
func (g *Garage) VehicleByPlate(ctx context.Context, plate, jurisdiction string) (parking.Vehicle, error) {
	plate, jurisdiction = parking.NormalisePlate(plate), parking.NormaliseJurisdiction(jurisdiction)
	v, err := g.store.VehicleByPlate(ctx, plate, jurisdiction)
	return v, edge(err, domain.Errorf(domain.CodeUnknownVehicle, "there is no vehicle with the plate %s of %s here", plate, jurisdiction))
}

// SetPermits replaces the permits of a vehicle, the only thing of it that changes.
func (g *Garage) SetPermits(ctx context.Context, id string, permits []string, actor string) (parking.Vehicle, error) {
	if err := invalid(parking.PermitFaults("permits", permits)); err != nil {
		return parking.Vehicle{}, err
	}
	sorted := parking.SortedSet(permits)
	fields, err := detail(map[string]any{"permits": append([]string{}, sorted...)})
	if err != nil {
		return parking.Vehicle{}, err
	}
	err = g.store.SetPermits(ctx, id, sorted, domain.Event{
		Kind: parking.EventVehicle, Actor: actor, Subjects: []string{parking.VehicleSubject(id)}, Detail: fields,
	})
	if err != nil {
		return parking.Vehicle{}, edge(err, unknownVehicle(id))
	}
	return g.Vehicle(ctx, id)
}

// identify finds the vehicle that a gate names by id or by plate; one whose plate is
// new is made known. Whether a vehicle is known outlives a refused entry.
func (g *Garage) identify(ctx context.Context, id string, request *parking.NewVehicle, actor string) (parking.Vehicle, error) {
	if id != "" {
		return g.Vehicle(ctx, id)
	}
	wanted, faults := request.Vehicle("vehicle.")
	if err := invalid(faults); err != nil {
		return parking.Vehicle{}, err
	}
	known, err := g.store.VehicleByPlate(ctx, wanted.Plate, wanted.Jurisdiction)
	if errors.Is(err, store.ErrNotFound) {
		if wanted.VehicleID == "" {
			wanted.VehicleID = g.newID()
		}
		made, err := g.storeVehicle(ctx, wanted, *request, actor)
		if domain.CodeOf(err) != domain.CodePlateExists {
			return made, err
		}
		// Another gate was faster.
		known, err = g.store.VehicleByPlate(ctx, wanted.Plate, wanted.Jurisdiction)
		if err != nil {
			return parking.Vehicle{}, edge(err, nil)
		}
	} else if err != nil {
		return parking.Vehicle{}, edge(err, nil)
	}
	if known.Size != wanted.Size || known.Type != wanted.Type || (request.VehicleID != "" && request.VehicleID != known.VehicleID) {
		return parking.Vehicle{}, plateExists(&wanted)
	}
	return known, nil
}
