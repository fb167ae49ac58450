package garage_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

func TestFacilities(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(3)
		ctx := t.Context()
		request := parking.NewFacility{FacilityID: "north", Name: "North", TimeZone: "UTC", Currency: "EUR", StrategyID: tariff}
		made, err := w.CreateFacility(ctx, request, actor)
		require.NoError(t, err)
		require.Equal(t, parking.Rules{
			Allocation: parking.FirstAvailable, WindowRule: parking.WindowNoneFree,
			WindowSizes: map[parking.SpotKind]int64{parking.KindRegular: 2, parking.KindCompact: 3},
		}, made.Rules)
		require.Equal(t, 16, made.MaxOvertakes)
		require.Equal(t, 2*time.Minute, made.OfferHold)

		again, err := w.CreateFacility(ctx, request, actor)
		require.NoError(t, err)
		require.Equal(t, made, again)
		request.Name = "Nord"
		_, err = w.CreateFacility(ctx, request, actor)
		refusedFor(t, domain.CodeExists, err)

		_, err = w.CreateFacility(ctx, parking.NewFacility{
			FacilityID: "llm", Name: "a pool", TimeZone: "UTC", Currency: "EUR", StrategyID: tariff,
		}, actor)
		refusedFor(t, domain.CodeExists, err)
		_, err = w.CreateFacility(ctx, parking.NewFacility{
			FacilityID: "a b", Name: "x\x00", TimeZone: "Mars", Currency: "euro", StrategyID: "nothing", Allocation: "random",
			WindowRule: "always", MaxOvertakes: new(-1), OfferHold: new(time.Millisecond),
			Bands: []parking.Band{{AboveBP: 20000, Strategy: parking.Dynamic}}, WindowSizes: map[parking.SpotKind]int64{"oversized": 1},
		}, actor)
		faultsAt(t, err, "body.facilityId", "body.name", "body.timeZone", "body.currency", "body.pricingStrategyId", "body.allocationStrategy",
			"body.windowRule", "body.maxOvertakes", "body.offerHoldSecs", "body.dynamicBands[0].aboveBp", "body.dynamicBands[0].strategy",
			"body.windowSizes.oversized")
		_, err = w.CreateFacility(ctx, parking.NewFacility{
			FacilityID: "tokyo", Name: "Tokyo", TimeZone: "Asia/Tokyo", Currency: "JPY", StrategyID: tariff,
		}, actor)
		faultsAt(t, err, "body.pricingStrategyId", "body.pricingStrategyId")

		changed, err := w.ChangeFacility(ctx, city, parking.FacilityChange{
			Allocation: new(parking.Dynamic), Bands: &[]parking.Band{{AboveBP: 5000, Strategy: parking.Nearest}}, MaxOvertakes: new(3), Actor: actor,
		})
		require.NoError(t, err)
		require.Equal(t, parking.Dynamic, changed.Rules.Allocation)
		require.Equal(t, 3, changed.MaxOvertakes)
		require.Equal(t, parking.Counts{Total: 3, InService: 3}, changed.Counts)
		_, err = w.ChangeFacility(ctx, city, parking.FacilityChange{OfferHold: new(48 * time.Hour)})
		faultsAt(t, err, "body.offerHoldSecs")
		_, err = w.ChangeFacility(ctx, "nowhere", parking.FacilityChange{})
		refusedFor(t, domain.CodeUnknownFacility, err)

		all, err := w.Facilities(ctx)
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Equal(t, []domain.EventKind{parking.EventFacility, parking.EventSpots, parking.EventFacility}, w.events("facility:city"))
	})
}

func TestSpots(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(2)
		ctx := t.Context()
		done, err := w.ImportSpots(ctx, city, []parking.Spot{
			{SpotID: "r-1", Kind: parking.KindRegular, Position: 2},
			{SpotID: "r-2", Kind: parking.KindRegular, Position: 1, Features: []string{"ev", "covered", "ev"}},
			{SpotID: "c-1", Kind: parking.KindCompact, Row: 1, OutOfService: true},
		}, actor)
		require.NoError(t, err, "two spots change places")
		require.Equal(t, parking.Imported{Created: 1, Updated: 2}, done)
		f, err := w.Facility(ctx, city)
		require.NoError(t, err)
		require.Equal(t, parking.Counts{Total: 3, InService: 2}, f.Counts)

		_, err = w.ImportSpots(ctx, city, []parking.Spot{
			{SpotID: "new", Kind: parking.KindRegular, Level: 9}, {SpotID: "b d", Kind: "wide"}, {SpotID: "x", Kind: parking.KindCompact, Position: 1},
		}, actor)
		faultsAt(t, err, "body.spots[1].spotId", "body.spots[1].kind", "body.spots[2].position")
		f, err = w.Facility(ctx, city)
		require.NoError(t, err)
		require.Equal(t, int64(3), f.Counts.Total, "nothing of it was stored")

		ticket := w.park("B 1")
		require.Equal(t, []string{"r-2"}, ticket.SpotIDs, "now the first position")
		spot, err := w.ChangeSpot(ctx, city, "r-2", parking.SpotChange{OutOfService: new(true), Actor: actor})
		require.NoError(t, err)
		require.Equal(t, ticket.TicketID, spot.TicketID)
		require.True(t, spot.OutOfService)
		require.Equal(t, []string{"covered", "ev"}, spot.Features)
		f, err = w.Facility(ctx, city)
		require.NoError(t, err)
		require.Equal(t, parking.Counts{Total: 3, InService: 1}, f.Counts)
		_, err = w.ImportSpots(ctx, city, []parking.Spot{{SpotID: "r-2", Kind: parking.KindCompact, Position: 1}}, actor)
		faultsAt(t, err, "body.spots[0]")
		_, err = w.ChangeSpot(ctx, city, "r-2", parking.SpotChange{Features: &[]string{"bad feature"}})
		faultsAt(t, err, "body.features[0]")
		_, err = w.ChangeSpot(ctx, city, "nope", parking.SpotChange{OutOfService: new(true)})
		refusedFor(t, domain.CodeUnknownSpot, err)
		_, err = w.Spots(ctx, store.SpotFilter{Facility: "nowhere"})
		refusedFor(t, domain.CodeUnknownFacility, err)
		_, err = w.ImportSpots(ctx, "nowhere", []parking.Spot{{SpotID: "a", Kind: parking.KindCompact}}, actor)
		refusedFor(t, domain.CodeUnknownFacility, err)
	})
}

func TestVehicles(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		request := parking.NewVehicle{
			VehicleID: "v1", Plate: "b-mw 12", Jurisdiction: "de", Size: parking.SizeSmall, Type: "car", Permits: []string{"staff", "accessible"},
		}
		made, err := w.CreateVehicle(ctx, request, actor)
		require.NoError(t, err)
		require.Equal(t, "BMW12", made.Plate)
		require.Equal(t, "DE", made.Jurisdiction)
		require.Equal(t, []string{"accessible", "staff"}, made.Permits)
		again, err := w.CreateVehicle(ctx, request, actor)
		require.NoError(t, err)
		require.Equal(t, made, again)
		other := request
		other.Size = parking.SizeLarge
		_, err = w.CreateVehicle(ctx, other, actor)
		refusedFor(t, domain.CodeExists, err)
		other = request
		other.VehicleID = ""
		_, err = w.CreateVehicle(ctx, other, actor)
		refusedFor(t, domain.CodePlateExists, err)
		_, err = w.CreateVehicle(ctx, parking.NewVehicle{VehicleID: "a b", Plate: "--", Size: "huge", Type: "tank", Permits: []string{""}}, actor)
		faultsAt(t, err, "body.vehicleId", "body.plate", "body.jurisdiction", "body.size", "body.type", "body.permits[0]")

		found, err := w.VehicleByPlate(ctx, "BM-W 1-2", "De")
		require.NoError(t, err)
		require.Equal(t, "v1", found.VehicleID)
		_, err = w.VehicleByPlate(ctx, "BMW12", "AT")
		refusedFor(t, domain.CodeUnknownVehicle, err)
		permitted, err := w.SetPermits(ctx, "v1", []string{"resident"}, actor)
		require.NoError(t, err)
		require.Equal(t, []string{"resident"}, permitted.Permits)
		_, err = w.SetPermits(ctx, "v2", nil, actor)
		refusedFor(t, domain.CodeUnknownVehicle, err)
		_, err = w.SetPermits(ctx, "v1", []string{"\x00"}, actor)
		faultsAt(t, err, "body.permits[0]")
		require.Equal(t, []domain.EventKind{parking.EventVehicle, parking.EventVehicle}, w.events("vehicle:v1"))
	})
}

func TestStrategies(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		spec := hourly()
		spec.Tiers, spec.Table = nil, []parking.TableSpec{{UpToMinute: 60, Total: 200}, {UpToMinute: 120, Total: 300}}
		first, err := w.CreateStrategy(ctx, spec, actor)
		require.NoError(t, err)
		require.Equal(t, 1, first.Version)
		require.Empty(t, first.Table)
		require.Len(t, first.Tiers, 2)
		again, err := w.CreateStrategy(ctx, spec, actor)
		require.NoError(t, err)
		require.Equal(t, first, again)
		changed := hourly()
		_, err = w.CreateStrategy(ctx, changed, actor)
		refusedFor(t, domain.CodeExists, err)

		second, err := w.AddStrategyVersion(ctx, tariff, changed, actor)
		require.NoError(t, err)
		require.Equal(t, 2, second.Version)
		again, err = w.AddStrategyVersion(ctx, tariff, changed, actor)
		require.NoError(t, err)
		require.Equal(t, 2, again.Version, "the newest again is no new version")
		spec.Version = 2
		_, err = w.AddStrategyVersion(ctx, tariff, spec, actor)
		refusedFor(t, domain.CodeExists, err)
		spec.Version = 3
		third, err := w.AddStrategyVersion(ctx, tariff, spec, actor)
		require.NoError(t, err)
		require.Equal(t, 3, third.Version)
		spec.Version, spec.Currency, spec.TimeZone, spec.StrategyID = 9, "USD", "Asia/Tokyo", "other"
		_, err = w.AddStrategyVersion(ctx, tariff, spec, actor)
		faultsAt(t, err, "body.version", "body.currency", "body.timeZone", "body.strategyId")
		_, err = w.AddStrategyVersion(ctx, "nothing", changed, actor)
		refusedFor(t, domain.CodeUnknownStrategy, err)

		newest, err := w.Strategy(ctx, tariff, 0)
		require.NoError(t, err)
		require.Equal(t, third, newest)
		_, err = w.Strategy(ctx, tariff, 4)
		refusedFor(t, domain.CodeUnknownStrategy, err)

		entry := time.Date(1999, time.December, 31, 23, 0, 0, 0, time.UTC)
		price, currency, err := w.Price(ctx, tariff, 2, parking.PriceRequest{
			Entry: entry, Until: entry.Add(minutes(90)), EntryOccupancyBP: new(int64(5001)),
			Adjustments: []parking.Adjustment{{Kind: parking.AdjustPercent, BP: 1000}},
		})
		require.NoError(t, err)
		require.Equal(t, "EUR", currency)
		require.Equal(t, parking.Money(540), price.Total)
		_, _, err = w.Price(ctx, tariff, 2, parking.PriceRequest{
			Entry: entry, Until: entry.AddDate(100, 0, 0), EntryOccupancyBP: new(int64(-1)), Adjustments: []parking.Adjustment{{Kind: "gift"}},
		})
		faultsAt(t, err, "body.until", "body.entryOccupancyBp", "body.adjustments[0].kind")
		_, _, err = w.Price(ctx, tariff, 7, parking.PriceRequest{})
		refusedFor(t, domain.CodeUnknownStrategy, err)
	})
}
