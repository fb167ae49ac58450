package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/migrate"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// BenchmarkParkingEntry measures the transaction of an entry, with everything that a
// gate's call writes, at a facility of 10,000 spots on a server that syncs. What was
// entered leaves again outside the measured time.
func BenchmarkParkingEntry(b *testing.B) {
	s := durable(b)
	furnishBench(b, s, "least", parking.Nearest, 0)
	b.Run("a change that only records", func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			start := time.Now()
			require.NoError(b, s.InFacility(b.Context(), "least", func(ctx context.Context, tx store.FacilityTx) error {
				return tx.Record(ctx, &domain.Event{Kind: "parking.gate_open"})
			}))
			took = append(took, time.Since(start))
		}
		report(b, took)
	})
	for _, full := range []int{3, 50, 90} {
		for _, order := range []parking.Allocation{parking.FirstAvailable, parking.Nearest, parking.FillIn} {
			id := parking.FacilityID(fmt.Sprintf("%s-%d", order, full))
			furnishBench(b, s, id, order, full)
			for _, size := range []parking.VehicleSize{parking.SizeMedium, parking.SizeLarge} {
				b.Run(fmt.Sprintf("%s/%d%%/%s", order, full, size), func(b *testing.B) { benchEntries(b, s, id, size) })
			}
		}
	}
}

func durable(b *testing.B) *postgres.Store {
	b.Helper()
	dsn, stop, err := dbtest.StartServer(b.Context(), dbtest.Options{Durable: true})
	require.NoError(b, err)
	b.Cleanup(stop)
	config, err := pgxpool.ParseConfig(dsn)
	require.NoError(b, err)
	config.ConnConfig.RuntimeParams["search_path"] = "bench"
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	require.NoError(b, err)
	defer pool.Close()
	migrator, err := migrate.NewPostgres(pool, "bench", nil)
	require.NoError(b, err)
	_, err = migrator.Up(b.Context())
	require.NoError(b, err)
	s, err := postgres.Open(b.Context(), postgres.Options{URL: dsn, Schema: "bench"})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	require.NoError(b, s.CreateStrategy(b.Context(), parking.StrategyRow{StrategyID: "tariff", Version: 1, Spec: []byte("{}"), CreatedAt: time.Now()}))
	for i := range 2_000 {
		require.NoError(b, s.CreateVehicle(b.Context(), parking.Vehicle{
			VehicleID: fmt.Sprint("v", i), Plate: fmt.Sprint(i), Size: parking.SizeMedium, Type: "car", CreatedAt: time.Now(),
		}))
	}
	return s
}

// furnishBench makes the facility; spots that are taken are so at random, oversized ones all.
func furnishBench(b *testing.B, s *postgres.Store, id parking.FacilityID, order parking.Allocation, full int) {
	b.Helper()
	require.NoError(b, s.CreateFacility(b.Context(), parking.Facility{
		FacilityID: id, Name: "Bench", TimeZone: "UTC", Currency: "EUR", StrategyID: "tariff", OfferHold: time.Minute,
		Rules: parking.Rules{Allocation: order, WindowRule: parking.WindowNoneFree},
	}, time.Now()))
	var spots []parking.Spot
	var taken []string
	rnd := rand.New(rand.NewPCG(7, uint64(full))) // the same garage every time
	for i := range 10_000 {
		kind := parking.KindRegular
		if i/50%10 == 3 {
			kind = parking.KindOversized
		}
		spot := parking.Spot{
			SpotID: fmt.Sprintf("s%05d", i), Kind: kind, Level: int64(i / 1000), Row: int64(i / 50 % 20), Position: int64(i % 50),
			DistanceRank: int64(i * 7919 % 10_000),
		}
		spots = append(spots, spot)
		if kind == parking.KindOversized || rnd.IntN(100) < full {
			taken = append(taken, spot.SpotID)
		}
	}
	require.NoError(b, s.InFacility(b.Context(), id, func(ctx context.Context, tx store.FacilityTx) error {
		if _, _, err := tx.PutSpots(ctx, spots); err != nil {
			return err
		}
		return tx.Occupy(ctx, taken, "k", "v", "")
	}))
}

func benchEntries(b *testing.B, s *postgres.Store, id parking.FacilityID, size parking.VehicleSize) {
	b.Helper()
	var took []time.Duration
	run := fmt.Sprint(time.Now().UnixNano())
	var inside []string
	for b.Loop() {
		i := len(took)
		ticket := fmt.Sprintf("%s-%s-%d", id, run, i)
		start := time.Now()
		err := s.InFacility(b.Context(), id, func(ctx context.Context, tx store.FacilityTx) error {
			return benchEntry(ctx, tx, ticket, fmt.Sprint("v", i%2_000), size, int64(i))
		})
		took = append(took, time.Since(start))
		require.NoError(b, err)
		if inside = append(inside, ticket); len(inside) == 20 {
			b.StopTimer()
			require.NoError(b, s.InFacility(b.Context(), id, func(ctx context.Context, tx store.FacilityTx) error {
				return benchExits(ctx, tx, inside)
			}))
			inside = inside[:0]
			b.StartTimer()
		}
	}
	b.StopTimer()
	require.NoError(b, s.InFacility(b.Context(), id, func(ctx context.Context, tx store.FacilityTx) error { return benchExits(ctx, tx, inside) }))
	report(b, took)
}

func report(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

func benchEntry(ctx context.Context, tx store.FacilityTx, ticket, vehicle string, size parking.VehicleSize, n int64) error {
	if _, err := tx.GateCall(ctx, ticket, n); !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("gate call: %w", err)
	}
	if _, err := tx.Line(ctx, 100); err != nil {
		return err
	}
	order := tx.Facility().Rules.Allocation
	var window []parking.Spot
	for _, kind := range size.Kinds() {
		spot, err := tx.FirstFree(ctx, kind, order, nil)
		if err == nil {
			window = []parking.Spot{spot}
			break
		}
	}
	if window == nil {
		var err error
		if window, err = tx.Window(ctx, parking.KindRegular, 2, order, nil); err != nil {
			return err
		}
	}
	var spots []string
	for i := range window {
		spots = append(spots, window[i].SpotID)
	}
	e := &domain.Event{Kind: "parking.entry", Subjects: []string{"ticket:" + ticket, "vehicle:" + vehicle}}
	k := &parking.Ticket{
		TicketID: ticket, FacilityID: tx.Facility().FacilityID, VehicleID: vehicle, SpotIDs: spots, Status: parking.TicketOpen,
		EntryTime: tx.Now(), StrategyID: "tariff", StrategyVersion: 1,
	}
	for _, err := range []error{
		tx.Record(ctx, e),
		tx.Occupy(ctx, spots, ticket, vehicle, ""),
		tx.InsertTicket(ctx, k),
		tx.InsertGateCall(ctx, &parking.GateCall{
			GateID: ticket, Sequence: n, FacilityID: k.FacilityID, Kind: "entry", Status: 201, Answer: []byte("{}"), TicketID: ticket, ObservedAt: tx.Now(),
		}),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func benchExits(ctx context.Context, tx store.FacilityTx, tickets []string) error {
	for _, id := range tickets {
		k, err := tx.Ticket(ctx, id)
		if err != nil {
			return err
		}
		now, amount := tx.Now(), parking.Money(0)
		k.Status, k.ExitTime, k.PricedUntil, k.Amount = parking.TicketClosed, &now, &now, &amount
		if err := tx.SetTicket(ctx, &k); err != nil {
			return err
		}
		if err := tx.Free(ctx, k.SpotIDs); err != nil {
			return err
		}
	}
	return tx.Record(ctx, &domain.Event{Kind: "parking.exit"})
}
