package postgres

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// Spots implements store.Parking.
func (s *Store) Spots(ctx context.Context, f store.SpotFilter) ([]parking.PlacedSpot, error) {
	var spots []parking.PlacedSpot
	err := s.read(ctx, "spots of facility "+string(f.Facility), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListSpots(ctx, dbsqlc.ListSpotsParams{
			FacilityID: string(f.Facility), After: f.After, Kind: string(f.Kind), State: string(f.State), Level: f.Level, MaxRows: maxRows(f.Limit),
		})
		spots = placedOf(rows)
		return err
	})
	return spots, err
}

// OccupancyNow implements store.Parking.
func (s *Store) OccupancyNow(ctx context.Context, id parking.FacilityID) ([]parking.OccupancyRow, error) {
	var found []parking.OccupancyRow
	err := s.read(ctx, "occupancy of facility "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
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
func (s *Store) OccupancyAt(ctx context.Context, id parking.FacilityID, instants []time.Time) ([]parking.OccupancySample, error) {
	asked := make([]pgtype.Timestamptz, len(instants))
	for i, at := range instants {
		asked[i] = instant(at)
	}
	var samples []parking.OccupancySample
	err := s.read(ctx, "occupancy history of facility "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.OccupancyAt(ctx, dbsqlc.OccupancyAtParams{FacilityID: string(id), Instants: asked})
		for _, r := range rows {
			samples = append(samples, parking.OccupancySample{
				At: r.At.Time.UTC(), InService: r.InService, Occupied: r.Occupied, Reserved: r.Reserved,
			})
		}
		return err
	})
	return samples, err
}

// AllSpots implements store.FacilityTx.
func (t *facilityTx) AllSpots(ctx context.Context) ([]parking.Spot, error) {
	rows, err := t.q.AllSpots(ctx, string(t.facility.FacilityID))
	return spotsOf(rows), t.call("all spots", err)
}

// SpotsByID implements store.FacilityTx.
func (t *facilityTx) SpotsByID(ctx context.Context, ids []string) ([]parking.PlacedSpot, error) {
	rows, err := t.q.SpotsByID(ctx, dbsqlc.SpotsByIDParams{FacilityID: string(t.facility.FacilityID), SpotIds: texts(ids)})
	return placedOf(rows), t.call("spots by id", err)
}

// PutSpots implements store.FacilityTx. The savepoint lets the transaction go on
// after a place was refused.
func (t *facilityTx) PutSpots(ctx context.Context, spots []parking.Spot) (created, updated int, err error) {
	arg := putSpotsParams(t.facility.FacilityID, spots)
	var put dbsqlc.PutSpotsRow
	var counts dbsqlc.CountSpotsRow
	err = pipelined(ctx, t.conn, func(p pipe) (err error) {
		if err = p.exec(ctx, "SAVEPOINT put_spots"); err != nil {
			return err
		}
		if put, err = p.PutSpots(ctx, *arg); err != nil {
			return err
		}
		if counts, err = p.CountSpots(ctx, arg.FacilityID); err != nil {
			return err
		}
		return p.exec(ctx, "RELEASE put_spots")
	})
	if hasCode(err, codeUnique, codeCardinality) {
		if _, err := t.conn.Exec(ctx, "ROLLBACK TO put_spots"); err != nil {
			return 0, 0, t.wrote("put spots", err)
		}
		return 0, 0, t.wrote("put spots", fmt.Errorf("%w: %s", store.ErrConflict, err.Error()))
	}
	if err != nil {
		return 0, 0, t.wrote("put spots", err)
	}
	t.facility.Counts = parking.Counts(counts)
	return int(put.Stored - put.Updated), int(put.Updated), t.wrote("put spots", nil)
}

func putSpotsParams(id parking.FacilityID, spots []parking.Spot) *dbsqlc.PutSpotsParams {
	n := len(spots)
	arg := &dbsqlc.PutSpotsParams{
		FacilityID: string(id), SpotIds: make([]string, n), Kinds: make([]string, n), Levels: make([]int64, n),
		RowNos: make([]int64, n), Positions: make([]int64, n), Features: make([]string, n),
		DistanceRanks: make([]int64, n), OutOfServices: make([]bool, n),
	}
	for i := range spots {
		s := &spots[i]
		arg.SpotIds[i], arg.Kinds[i], arg.Features[i] = s.SpotID, string(s.Kind), arrayLiteral(s.Features)
		arg.Levels[i], arg.RowNos[i], arg.Positions[i] = s.Level, s.Row, s.Position
		arg.DistanceRanks[i], arg.OutOfServices[i] = s.DistanceRank, s.OutOfService
	}
	return arg
}

// Occupy implements store.FacilityTx.
func (t *facilityTx) Occupy(ctx context.Context, spots []string, ticket, vehicle, heldBy string) error {
	rows, err := t.q.OccupySpots(ctx, dbsqlc.OccupySpotsParams{
		FacilityID: string(t.facility.FacilityID), SpotIds: texts(spots), Want: int64(len(spots)),
		TicketID: ticket, VehicleID: vehicle, HeldBy: heldBy,
	})
	if err == nil {
		err = all("occupy", len(rows), spots)
	}
	for _, was := range rows {
		if was.OutOfService {
			continue
		}
		t.facility.Counts.Occupied++
		if was.State == string(parking.SpotReserved) {
			t.facility.Counts.Reserved--
		}
	}
	return t.wrote("occupy spots", err)
}

// Hold implements store.FacilityTx.
func (t *facilityTx) Hold(ctx context.Context, spots []string, heldBy string) error {
	rows, err := t.q.HoldSpots(ctx, dbsqlc.HoldSpotsParams{
		FacilityID: string(t.facility.FacilityID), SpotIds: texts(spots), Want: int64(len(spots)), HeldBy: heldBy,
	})
	if err == nil {
		err = all("hold", len(rows), spots)
	}
	t.facility.Counts.Reserved += int64(len(rows))
	return t.wrote("hold spots", err)
}

// Free implements store.FacilityTx.
func (t *facilityTx) Free(ctx context.Context, spots []string) error {
	rows, err := t.q.FreeSpots(ctx, dbsqlc.FreeSpotsParams{
		FacilityID: string(t.facility.FacilityID), SpotIds: texts(spots), Want: int64(len(spots)),
	})
	if err == nil {
		err = all("free", len(rows), spots)
	}
	for _, was := range rows {
		switch {
		case was.OutOfService:
		case was.State == string(parking.SpotReserved):
			t.facility.Counts.Reserved--
		default:
			t.facility.Counts.Occupied--
		}
	}
	return t.wrote("free spots", err)
}

// all tells a caller whose belief about some of the spots was wrong.
func all(verb string, got int, spots []string) error {
	if got == len(spots) {
		return nil
	}
	return fmt.Errorf("%w: not all of the spots %q can be changed as asked (%s)", store.ErrConflict, spots, verb)
}

// SetService implements store.FacilityTx.
func (t *facilityTx) SetService(ctx context.Context, spot string, outOfService bool, features []string) error {
	was, err := t.q.SetSpotService(ctx, dbsqlc.SetSpotServiceParams{
		FacilityID: string(t.facility.FacilityID), SpotID: spot, OutOfService: outOfService, Features: texts(features),
	})
	if err == nil && was.WasOutOfService != outOfService {
		change := int64(1)
		if outOfService {
			change = -1
		}
		t.facility.Counts.InService += change
		switch parking.SpotState(was.State) {
		case parking.SpotOccupied:
			t.facility.Counts.Occupied += change
		case parking.SpotReserved:
			t.facility.Counts.Reserved += change
		case parking.SpotFree:
		}
	}
	return t.wrote("spot "+spot, err)
}

func spotOf(row *dbsqlc.PlSpot) parking.Spot {
	spot := parking.Spot{
		SpotID: row.SpotID, Kind: parking.SpotKind(row.Kind), Level: row.Level, Row: row.RowNo, Position: row.Position,
		DistanceRank: row.DistanceRank, State: parking.SpotState(row.State), OutOfService: row.OutOfService,
	}
	if len(row.Features) > 0 {
		spot.Features = row.Features
	}
	return spot
}

func spotsOf(rows []dbsqlc.PlSpot) []parking.Spot {
	spots := make([]parking.Spot, 0, len(rows))
	for i := range rows {
		spots = append(spots, spotOf(&rows[i]))
	}
	return spots
}

func placedOf(rows []dbsqlc.PlSpot) []parking.PlacedSpot {
	spots := make([]parking.PlacedSpot, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		spots = append(spots, parking.PlacedSpot{Spot: spotOf(r), TicketID: r.TicketID, VehicleID: r.VehicleID, HeldBy: r.HeldBy})
	}
	return spots
}

// texts is an array that is never NULL.
func texts(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// maxRows is a limit; 0: none.
func maxRows(limit int) int32 {
	if limit <= 0 || limit > math.MaxInt32 {
		return math.MaxInt32
	}
	return int32(limit)
}
