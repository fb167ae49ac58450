package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// FirstFree implements store.FacilityTx.
func (t *facilityTx) FirstFree(ctx context.Context, kind parking.SpotKind, order parking.Allocation, features []string) (parking.Spot, error) {
	row, err := t.firstFree(ctx, kind, order, features)
	if err != nil {
		return parking.Spot{}, t.call("first free spot", err)
	}
	spot, err := spotOf(&row)
	return spot, t.call("first free spot", err)
}

func (t *facilityTx) firstFree(
	ctx context.Context, kind parking.SpotKind, order parking.Allocation, features []string,
) (row dbsqlc.PlSpot, err error) {
	wanted, err := list("a feature", features)
	if err != nil {
		return row, err
	}
	arg := dbsqlc.FirstFreeByPlaceParams{FacilityID: string(t.facility.FacilityID), Kind: string(kind), Features: wanted}
	switch order {
	case parking.Nearest:
		return t.w.FirstFreeNearest(ctx, dbsqlc.FirstFreeNearestParams(arg))
	case parking.FillIn:
		open, err := t.w.OpenLevels(ctx, arg.FacilityID)
		if err != nil {
			return row, err
		}
		for _, level := range open {
			row, err = t.w.FirstFreeOfLevel(ctx, dbsqlc.FirstFreeOfLevelParams{
				FacilityID: arg.FacilityID, Kind: arg.Kind, Features: wanted, Level: level,
			})
			if !errors.Is(err, sql.ErrNoRows) {
				return row, err
			}
		}
	case parking.FirstAvailable, parking.Dynamic:
	}
	return t.w.FirstFreeByPlace(ctx, arg)
}

// Window implements store.FacilityTx.
func (t *facilityTx) Window(
	ctx context.Context, kind parking.SpotKind, size int64, order parking.Allocation, features []string,
) ([]parking.Spot, error) {
	wanted, open, err := t.ordering(ctx, order, features)
	if err != nil {
		return nil, t.call("window", err)
	}
	rows, err := t.w.SmallestWindow(ctx, dbsqlc.SmallestWindowParams{
		FacilityID: string(t.facility.FacilityID), Kind: string(kind), Features: wanted, Size: size, MaxRows: size,
		OpenLevels: open, Nearest: flag(order == parking.Nearest),
	})
	return t.spots("window", rows, some(int64(len(rows)), err))
}

// Bookable implements store.FacilityTx.
func (t *facilityTx) Bookable(
	ctx context.Context, kind parking.SpotKind, size int64, order parking.Allocation, features []string, from, to time.Time,
) ([]parking.Spot, error) {
	wanted, open, err := t.ordering(ctx, order, features)
	if err != nil {
		return nil, t.call("bookable", err)
	}
	arg := dbsqlc.BookableWindowParams{
		FacilityID: string(t.facility.FacilityID), Kind: string(kind), Features: wanted, Size: size, MaxRows: size,
		OpenLevels: open, Nearest: flag(order == parking.Nearest),
		FromAt: micros(from), ToAt: micros(to), MustBeFree: flag(!from.After(t.now)),
	}
	if size > 1 {
		rows, err := t.w.BookableWindow(ctx, arg)
		return t.spots("bookable window", rows, some(int64(len(rows)), err))
	}
	row, err := t.w.BookableSpot(ctx, dbsqlc.BookableSpotParams{
		FacilityID: arg.FacilityID, Kind: arg.Kind, Features: arg.Features, OpenLevels: arg.OpenLevels, Nearest: arg.Nearest,
		FromAt: arg.FromAt, ToAt: arg.ToAt, MustBeFree: arg.MustBeFree,
	})
	return t.spots("bookable spot", []dbsqlc.PlSpot{row}, err)
}

// ordering returns the wanted features, and for FillIn the open levels, as JSON.
func (t *facilityTx) ordering(ctx context.Context, order parking.Allocation, features []string) (wanted, open string, err error) {
	if wanted, err = list("a feature", features); err != nil || order != parking.FillIn {
		return wanted, "[]", err
	}
	levels, err := t.w.OpenLevels(ctx, string(t.facility.FacilityID))
	if err != nil || len(levels) == 0 {
		return wanted, "[]", err
	}
	return wanted, jsonOf(levels), nil
}

// KindInService implements store.FacilityTx.
func (t *facilityTx) KindInService(ctx context.Context, kind parking.SpotKind) (bool, error) {
	found, err := t.w.KindInService(ctx, dbsqlc.KindInServiceParams{FacilityID: string(t.facility.FacilityID), Kind: string(kind)})
	return found, t.call("kind in service", err)
}
