package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// Spots implements store.Parking.
func (s *Store) Spots(ctx context.Context, f store.SpotFilter) (spots []parking.PlacedSpot, err error) {
	arg := dbsqlc.ListSpotsParams{
		FacilityID: string(f.Facility), After: f.After, Kind: string(f.Kind), State: string(f.State), AnyLevel: 1, MaxRows: maxRows(f.Limit),
	}
	if f.Level != nil {
		arg.AnyLevel, arg.Level = 0, *f.Level
	}
	err = s.read(ctx, "spots of facility "+string(f.Facility), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListSpots(ctx, arg)
		if err != nil {
			return err
		}
		spots, err = placedOf(rows)
		return err
	})
	return spots, err
}

// OccupancyNow implements store.Parking.
func (s *Store) OccupancyNow(ctx context.Context, id parking.FacilityID) (found []parking.OccupancyRow, err error) {
	err = s.read(ctx, "occupancy of facility "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.OccupancyNow(ctx, string(id))
		for _, r := range rows {
			found = append(found, parking.OccupancyRow{
				Level: r.Level, Kind: parking.SpotKind(r.Kind),
				Counts: parking.Counts{Total: r.Total, InService: r.InService, Occupied: r.Occupied, Reserved: r.Reserved},
			})
		}
		return err
	})
	return found, err
}

// OccupancyAt implements store.Parking.
func (s *Store) OccupancyAt(ctx context.Context, id parking.FacilityID, instants []time.Time) (samples []parking.OccupancySample, err error) {
	err = s.read(ctx, "occupancy history of facility "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		for _, at := range instants {
			row, err := q.OccupancyAt(ctx, dbsqlc.OccupancyAtParams{FacilityID: string(id), Instant: micros(at)})
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			samples = append(samples, parking.OccupancySample{
				At: timeOf(micros(at)), InService: row.InService, Occupied: row.Occupied, Reserved: row.Reserved,
			})
		}
		return nil
	})
	return samples, err
}

// AllSpots implements store.FacilityTx.
func (t *facilityTx) AllSpots(ctx context.Context) ([]parking.Spot, error) {
	rows, err := t.w.AllSpots(ctx, string(t.facility.FacilityID))
	return t.spots("all spots", rows, err)
}

// SpotsByID implements store.FacilityTx.
func (t *facilityTx) SpotsByID(ctx context.Context, ids []string) ([]parking.PlacedSpot, error) {
	rows, err := t.w.SpotsByID(ctx, dbsqlc.SpotsByIDParams{FacilityID: string(t.facility.FacilityID), SpotIds: jsonOf(ids)})
	if err != nil {
		return nil, t.call("spots by id", err)
	}
	spots, err := placedOf(rows)
	return spots, t.call("spots by id", err)
}

// PutSpots implements store.FacilityTx.
func (t *facilityTx) PutSpots(ctx context.Context, spots []parking.Spot) (created, updated int, err error) {
	err = t.atomically(ctx, func() error {
		created, updated, err = t.putSpots(ctx, spots)
		return err
	})
	if err != nil {
		return 0, 0, t.wrote("put spots", err)
	}
	counts, err := t.w.CountSpots(ctx, string(t.facility.FacilityID))
	if err != nil {
		return 0, 0, t.wrote("count spots", err)
	}
	t.facility.Counts = parking.Counts(counts)
	return created, updated, t.wrote("put spots", nil)
}

func (t *facilityTx) putSpots(ctx context.Context, spots []parking.Spot) (created, updated int, err error) {
	id := string(t.facility.FacilityID)
	ids, once := make([]string, len(spots)), make(map[string]bool, len(spots))
	for i := range spots {
		ids[i] = spots[i].SpotID
		if once[ids[i]] {
			return 0, 0, fmt.Errorf("%w: spot %s is there twice", store.ErrConflict, ids[i])
		}
		once[ids[i]] = true
	}
	if err := checkText("a spot", ids...); err != nil {
		return 0, 0, err
	}
	if err := t.w.LiftSpots(ctx, dbsqlc.LiftSpotsParams{FacilityID: id, SpotIds: jsonOf(ids)}); err != nil {
		return 0, 0, err
	}
	for i := range spots {
		s := &spots[i]
		features, err := list("a feature", s.Features)
		if err != nil {
			return 0, 0, err
		}
		row := dbsqlc.InsertSpotParams{
			FacilityID: id, SpotID: s.SpotID, Kind: string(s.Kind), Level: s.Level, RowNo: s.Row, Position: s.Position,
			Features: features, DistanceRank: s.DistanceRank, OutOfService: flag(s.OutOfService),
		}
		changed, err := t.w.UpdateSpot(ctx, dbsqlc.UpdateSpotParams{
			FacilityID: row.FacilityID, SpotID: row.SpotID, Kind: row.Kind, Level: row.Level, RowNo: row.RowNo, Position: row.Position,
			Features: row.Features, DistanceRank: row.DistanceRank, OutOfService: row.OutOfService,
		})
		if err == nil && changed == 0 {
			err = t.w.InsertSpot(ctx, row)
			created++
		}
		if err != nil {
			return 0, 0, fmt.Errorf("spot %s: %w", s.SpotID, err)
		}
		updated += int(changed)
	}
	return created, updated, nil
}

// Occupy implements store.FacilityTx.
func (t *facilityTx) Occupy(ctx context.Context, spots []string, ticket, vehicle, heldBy string) error {
	return t.move(ctx, "occupy", spots, func(ids string) (int64, error) {
		return t.w.OccupySpots(ctx, dbsqlc.OccupySpotsParams{
			FacilityID: string(t.facility.FacilityID), SpotIds: ids, TicketID: ticket, VehicleID: vehicle, HeldBy: heldBy,
		})
	}, parking.SpotOccupied)
}

// Hold implements store.FacilityTx.
func (t *facilityTx) Hold(ctx context.Context, spots []string, heldBy string) error {
	return t.move(ctx, "hold", spots, func(ids string) (int64, error) {
		return t.w.HoldSpots(ctx, dbsqlc.HoldSpotsParams{FacilityID: string(t.facility.FacilityID), SpotIds: ids, HeldBy: heldBy})
	}, parking.SpotReserved)
}

// Free implements store.FacilityTx.
func (t *facilityTx) Free(ctx context.Context, spots []string) error {
	return t.move(ctx, "free", spots, func(ids string) (int64, error) {
		return t.w.FreeSpots(ctx, dbsqlc.FreeSpotsParams{FacilityID: string(t.facility.FacilityID), SpotIds: ids})
	}, parking.SpotFree)
}

// move changes the state of spots by a guarded update, all of them or none, and counts.
func (t *facilityTx) move(ctx context.Context, verb string, spots []string, update func(ids string) (int64, error), to parking.SpotState) error {
	ids := jsonOf(spots)
	was, err := t.w.SpotsByID(ctx, dbsqlc.SpotsByIDParams{FacilityID: string(t.facility.FacilityID), SpotIds: ids})
	if err == nil {
		err = t.atomically(ctx, func() error {
			changed, err := update(ids)
			if err == nil && changed != int64(len(spots)) {
				err = fmt.Errorf("%w: not all of the spots %q can be changed as asked (%s)", store.ErrConflict, spots, verb)
			}
			return err
		})
	}
	if err == nil {
		for i := range was {
			if was[i].OutOfService == 0 {
				t.count(parking.SpotState(was[i].State), -1)
				t.count(to, 1)
			}
		}
	}
	return t.wrote(verb+" spots", err)
}

// count adds spots in service of a state to the counts.
func (t *facilityTx) count(state parking.SpotState, spots int64) {
	switch state {
	case parking.SpotOccupied:
		t.facility.Counts.Occupied += spots
	case parking.SpotReserved:
		t.facility.Counts.Reserved += spots
	case parking.SpotFree:
	}
}

// SetService implements store.FacilityTx.
func (t *facilityTx) SetService(ctx context.Context, spot string, outOfService bool, features []string) error {
	return t.wrote("spot "+spot, t.setService(ctx, spot, outOfService, features))
}

func (t *facilityTx) setService(ctx context.Context, spot string, outOfService bool, features []string) error {
	stored, err := list("a feature", features)
	if err != nil {
		return err
	}
	id := string(t.facility.FacilityID)
	was, err := t.w.SpotsByID(ctx, dbsqlc.SpotsByIDParams{FacilityID: id, SpotIds: jsonOf([]string{spot})})
	if err := some(int64(len(was)), err); err != nil {
		return err
	}
	if _, err := t.w.SetSpotService(ctx, dbsqlc.SetSpotServiceParams{
		FacilityID: id, SpotID: spot, OutOfService: flag(outOfService), Features: stored,
	}); err != nil {
		return err
	}
	if change := was[0].OutOfService - flag(outOfService); change != 0 { // 1: into service
		t.facility.Counts.InService += change
		t.count(parking.SpotState(was[0].State), change)
	}
	return nil
}

// spots converts what a query of the change answered.
func (t *facilityTx) spots(what string, rows []dbsqlc.PlSpot, err error) ([]parking.Spot, error) {
	if err != nil {
		return nil, t.call(what, err)
	}
	var spots []parking.Spot
	for i := range rows {
		s, err := spotOf(&rows[i])
		if err != nil {
			return nil, t.call(what, err)
		}
		spots = append(spots, s)
	}
	return spots, nil
}

func spotOf(row *dbsqlc.PlSpot) (parking.Spot, error) {
	features, err := listOf(row.Features)
	return parking.Spot{
		SpotID: row.SpotID, Kind: parking.SpotKind(row.Kind), Level: row.Level, Row: row.RowNo, Position: row.Position,
		Features: features, DistanceRank: row.DistanceRank, State: parking.SpotState(row.State), OutOfService: row.OutOfService == 1,
	}, err
}

func placedOf(rows []dbsqlc.PlSpot) ([]parking.PlacedSpot, error) {
	var spots []parking.PlacedSpot
	for i := range rows {
		r := &rows[i]
		s, err := spotOf(r)
		if err != nil {
			return nil, err
		}
		spots = append(spots, parking.PlacedSpot{Spot: s, TicketID: r.TicketID, VehicleID: r.VehicleID, HeldBy: r.HeldBy})
	}
	return spots, nil
}

// maxRows is a limit; 0: none.
func maxRows(limit int) int64 {
	if limit <= 0 {
		return math.MaxInt64
	}
	return int64(limit)
}
