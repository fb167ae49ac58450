package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// CreateVehicle implements store.Parking.
func (s *Store) CreateVehicle(ctx context.Context, v parking.Vehicle, events ...domain.Event) error {
	return s.change(ctx, "create vehicle "+v.VehicleID, func(ctx context.Context, q *dbsqlc.Queries) error {
		made, err := q.InsertVehicle(ctx, dbsqlc.InsertVehicleParams{
			VehicleID: v.VehicleID, BodyHash: blob(v.BodyHash), Plate: v.Plate, Jurisdiction: v.Jurisdiction,
			Size: string(v.Size), Type: v.Type, Permits: texts(v.Permits), CreatedAt: instant(v.CreatedAt),
		})
		if err != nil {
			return err
		}
		if made == 0 {
			_, err := q.GetVehicle(ctx, v.VehicleID)
			if errors.Is(err, pgx.ErrNoRows) {
				return store.ErrConflict // the plate
			}
			if err != nil {
				return err
			}
			return store.ErrExists
		}
		return s.register(ctx, q, events)
	})
}

// Vehicle implements store.Parking.
func (s *Store) Vehicle(ctx context.Context, id string) (parking.Vehicle, error) {
	var v parking.Vehicle
	err := s.read(ctx, "vehicle "+id, func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetVehicle(ctx, id)
		v = vehicleOf(&row)
		return err
	})
	return v, err
}

// VehicleByPlate implements store.Parking.
func (s *Store) VehicleByPlate(ctx context.Context, plate, jurisdiction string) (parking.Vehicle, error) {
	var v parking.Vehicle
	err := s.read(ctx, "vehicle by plate", func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetVehicleByPlate(ctx, dbsqlc.GetVehicleByPlateParams{Plate: plate, Jurisdiction: jurisdiction})
		v = vehicleOf(&row)
		return err
	})
	return v, err
}

// SetPermits implements store.Parking.
func (s *Store) SetPermits(ctx context.Context, id string, permits []string, events ...domain.Event) error {
	return s.change(ctx, "permits of vehicle "+id, func(ctx context.Context, q *dbsqlc.Queries) error {
		changed, err := q.SetPermits(ctx, dbsqlc.SetPermitsParams{VehicleID: id, Permits: texts(permits)})
		if err := some(int(changed), err); err != nil {
			return err
		}
		return s.register(ctx, q, events)
	})
}

// CreateStrategy implements store.Parking.
func (s *Store) CreateStrategy(ctx context.Context, row parking.StrategyRow, events ...domain.Event) error {
	return s.change(ctx, "create pricing strategy "+row.StrategyID, func(ctx context.Context, q *dbsqlc.Queries) error {
		made, err := q.InsertStrategy(ctx, dbsqlc.InsertStrategyParams{
			StrategyID: row.StrategyID, Version: int32(row.Version), BodyHash: blob(row.BodyHash), Spec: string(row.Spec), CreatedAt: instant(row.CreatedAt),
		})
		if err != nil {
			return err
		}
		if made == 0 {
			return store.ErrExists
		}
		return s.register(ctx, q, events)
	})
}

// StrategyVersion implements store.Parking.
func (s *Store) StrategyVersion(ctx context.Context, id string, version int) (parking.StrategyRow, error) {
	var found parking.StrategyRow
	err := s.read(ctx, "pricing strategy "+id, func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetStrategy(ctx, dbsqlc.GetStrategyParams{StrategyID: id, Version: int32(version)})
		found = parking.StrategyRow{
			StrategyID: row.StrategyID, Version: int(row.Version), BodyHash: row.BodyHash, Spec: []byte(row.Spec), CreatedAt: row.CreatedAt.Time.UTC(),
		}
		return err
	})
	return found, err
}

func vehicleOf(row *dbsqlc.PlVehicle) parking.Vehicle {
	v := parking.Vehicle{
		VehicleID: row.VehicleID, BodyHash: row.BodyHash, Plate: row.Plate, Jurisdiction: row.Jurisdiction,
		Size: parking.VehicleSize(row.Size), Type: row.Type, CreatedAt: row.CreatedAt.Time.UTC(),
	}
	if len(row.Permits) > 0 {
		v.Permits = row.Permits
	}
	return v
}
