package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// FirstFree implements store.FacilityTx.
func (t *facilityTx) FirstFree(ctx context.Context, kind parking.SpotKind, order parking.Allocation, features []string) (parking.Spot, error) {
	arg := dbsqlc.FirstFreeByPlaceParams{FacilityID: string(t.facility.FacilityID), Kind: string(kind), Features: texts(features)}
	var row dbsqlc.PlSpot
	var err error
	switch order {
	case parking.Nearest:
		row, err = t.q.FirstFreeNearest(ctx, dbsqlc.FirstFreeNearestParams(arg))
	case parking.FillIn:
		row, err = t.q.FirstFreeOnOpenLevel(ctx, dbsqlc.FirstFreeOnOpenLevelParams(arg))
		if errors.Is(err, pgx.ErrNoRows) { // then every free one is on a level that is not open
			row, err = t.q.FirstFreeByPlace(ctx, arg)
		}
	case parking.FirstAvailable, parking.Dynamic:
		row, err = t.q.FirstFreeByPlace(ctx, arg)
	}
	return spotOf(&row), t.call("first free spot", err)
}

// Window implements store.FacilityTx.
func (t *facilityTx) Window(
	ctx context.Context, kind parking.SpotKind, size int64, order parking.Allocation, features []string,
) ([]parking.Spot, error) {
	rows, err := t.q.SmallestWindow(ctx, dbsqlc.SmallestWindowParams{
		FacilityID: string(t.facility.FacilityID), Kind: string(kind), Features: texts(features), Size: size,
		FillIn: order == parking.FillIn, Nearest: order == parking.Nearest,
	})
	return spotsOf(rows), t.call("window", some(len(rows), err))
}

// KindInService implements store.FacilityTx.
func (t *facilityTx) KindInService(ctx context.Context, kind parking.SpotKind) (bool, error) {
	exists, err := t.q.KindInService(ctx, dbsqlc.KindInServiceParams{FacilityID: string(t.facility.FacilityID), Kind: string(kind)})
	return exists, t.call("kind in service", err)
}

// Bookable implements store.FacilityTx.
func (t *facilityTx) Bookable(
	ctx context.Context, kind parking.SpotKind, size int64, order parking.Allocation, features []string, from, to time.Time,
) ([]parking.Spot, error) {
	arg := dbsqlc.BookableWindowParams{
		FacilityID: string(t.facility.FacilityID), Kind: string(kind), Features: texts(features), Size: size,
		FillIn: order == parking.FillIn, Nearest: order == parking.Nearest,
		FromAt: instant(from), ToAt: instant(to), MustBeFree: !from.After(t.now),
	}
	if size > 1 {
		rows, err := t.q.BookableWindow(ctx, arg)
		return spotsOf(rows), t.call("bookable window", some(len(rows), err))
	}
	row, err := t.q.BookableSpot(ctx, dbsqlc.BookableSpotParams{
		FacilityID: arg.FacilityID, Kind: arg.Kind, Features: arg.Features, MustBeFree: arg.MustBeFree,
		FromAt: arg.FromAt, ToAt: arg.ToAt, FillIn: arg.FillIn, Nearest: arg.Nearest,
	})
	if err != nil {
		return nil, t.call("bookable spot", err)
	}
	return []parking.Spot{spotOf(&row)}, nil
}

// some makes an empty answer ErrNotFound.
func some(rows int, err error) error {
	if err == nil && rows == 0 {
		return store.ErrNotFound
	}
	return err
}
