package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// CreateVehicle implements store.Parking.
func (s *Store) CreateVehicle(ctx context.Context, v parking.Vehicle, events ...domain.Event) error {
	what := "create vehicle " + v.VehicleID
	permits, err := list("a permit", v.Permits)
	if err := errors.Join(err, checkText("a vehicle", v.VehicleID, v.Plate, v.Jurisdiction)); err != nil {
		return classify(what, err)
	}
	return s.change(ctx, what, func(ctx context.Context, q *dbsqlc.Queries) error {
		made, err := q.InsertVehicle(ctx, dbsqlc.InsertVehicleParams{
			VehicleID: v.VehicleID, BodyHash: blob(v.BodyHash), Plate: v.Plate, Jurisdiction: v.Jurisdiction,
			Size: string(v.Size), Type: v.Type, Permits: permits, CreatedAt: micros(v.CreatedAt),
		})
		if err != nil {
			return err
		}
		if made == 0 {
			switch _, err := q.GetVehicle(ctx, v.VehicleID); {
			case err == nil:
				return store.ErrExists
			case errors.Is(err, sql.ErrNoRows):
				return store.ErrConflict // the plate
			default:
				return err
			}
		}
		return s.register(ctx, q, events)
	})
}

// Vehicle implements store.Parking.
func (s *Store) Vehicle(ctx context.Context, id string) (v parking.Vehicle, err error) {
	err = s.read(ctx, "vehicle "+id, func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetVehicle(ctx, id)
		if err != nil {
			return err
		}
		v, err = vehicleOf(&row)
		return err
	})
	return v, err
}

// VehicleByPlate implements store.Parking.
func (s *Store) VehicleByPlate(ctx context.Context, plate, jurisdiction string) (v parking.Vehicle, err error) {
	err = s.read(ctx, "vehicle by plate", func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetVehicleByPlate(ctx, dbsqlc.GetVehicleByPlateParams{Plate: plate, Jurisdiction: jurisdiction})
		if err != nil {
			return err
		}
		v, err = vehicleOf(&row)
		return err
	})
	return v, err
}

// SetPermits implements store.Parking.
func (s *Store) SetPermits(ctx context.Context, id string, permits []string, events ...domain.Event) error {
	what := "permits of vehicle " + id
	stored, err := list("a permit", permits)
	if err != nil {
		return classify(what, err)
	}
	return s.change(ctx, what, func(ctx context.Context, q *dbsqlc.Queries) error {
		if err := some(q.SetPermits(ctx, dbsqlc.SetPermitsParams{VehicleID: id, Permits: stored})); err != nil {
			return err
		}
		return s.register(ctx, q, events)
	})
}

// CreateStrategy implements store.Parking.
func (s *Store) CreateStrategy(ctx context.Context, row parking.StrategyRow, events ...domain.Event) error {
	what := "create pricing strategy " + row.StrategyID
	if err := checkText("a pricing strategy", row.StrategyID, string(row.Spec)); err != nil {
		return classify(what, err)
	}
	return s.change(ctx, what, func(ctx context.Context, q *dbsqlc.Queries) error {
		if err := taken(q.InsertStrategy(ctx, dbsqlc.InsertStrategyParams{
			StrategyID: row.StrategyID, Version: int64(row.Version), BodyHash: blob(row.BodyHash), Spec: string(row.Spec), CreatedAt: micros(row.CreatedAt),
		})); err != nil {
			return err
		}
		return s.register(ctx, q, events)
	})
}

// StrategyVersion implements store.Parking.
func (s *Store) StrategyVersion(ctx context.Context, id string, version int) (found parking.StrategyRow, err error) {
	err = s.read(ctx, "pricing strategy "+id, func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetStrategy(ctx, dbsqlc.GetStrategyParams{StrategyID: id, Version: int64(version)})
		found = parking.StrategyRow{
			StrategyID: row.StrategyID, Version: int(row.Version), BodyHash: row.BodyHash, Spec: []byte(row.Spec), CreatedAt: timeOf(row.CreatedAt),
		}
		return err
	})
	return found, err
}

func vehicleOf(row *dbsqlc.PlVehicle) (parking.Vehicle, error) {
	permits, err := listOf(row.Permits)
	return parking.Vehicle{
		VehicleID: row.VehicleID, BodyHash: row.BodyHash, Plate: row.Plate, Jurisdiction: row.Jurisdiction,
		Size: parking.VehicleSize(row.Size), Type: row.Type, Permits: permits, CreatedAt: timeOf(row.CreatedAt),
	}, err
}
