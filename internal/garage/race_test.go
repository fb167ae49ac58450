package garage_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/garage"
	"github.com/parkinglot/parkinglot/internal/garage/check"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// raceVariable sets how many entries and exits the race has on each backend. 50000 is
// what was promised.
const raceVariable = "PARKINGLOT_RACE_CALLS"

const (
	raceGates    = 64
	raceSpots    = 300
	raceVehicles = 900
	raceLot      = parking.FacilityID("race")
)

// TestRaceOfGates: 64 gates let vehicles of all sizes in and out of 300 spots at once,
// retry calls while they are under way and replay old ones. No spot has two vehicles,
// no vehicle two open tickets, windows are adjacent and of one kind, spots agree with
// tickets, a repeat gets the first answer, and full is said only when nothing fits.
func TestRaceOfGates(t *testing.T) {
	t.Parallel()
	calls := 1500
	if text := os.Getenv(raceVariable); text != "" {
		var err error
		calls, err = strconv.Atoi(text)
		require.NoError(t, err, raceVariable)
	}
	backends(t, func(t *testing.T, w *world) {
		seen := &oracle{Parking: w.store}
		w.Garage = garage.New(garage.Options{Store: seen, Now: w.clock.Now})
		r := &race{world: w, calls: int64(calls), open: map[string]string{}, busy: map[string]bool{}}
		r.prepare()
		begin := time.Now()
		var gates sync.WaitGroup
		for gate := range raceGates {
			gates.Go(func() { r.gate(gate) })
		}
		gates.Wait()
		took := time.Since(begin)
		require.NoError(t, r.failed)
		require.Empty(t, seen.wrong)

		report, err := check.Run(t.Context(), w.store, check.Options{Keep: 10})
		require.NoError(t, err)
		require.Zero(t, report.Violations, "%v", report.First)
		require.True(t, report.Facilities[0].Compared)
		require.Positive(t, r.full.Load(), "the facility was full at times")
		require.Equal(t, r.full.Load(), seen.full.Load())
		require.Positive(t, r.repeats.Load())
		t.Logf("%d entries and %d exits in %s (%.0f/s), %d full, %d already parked, %d repeats and replays, %d tickets, peak %d of %d spots",
			r.entries.Load(), r.exits.Load(), took.Round(time.Millisecond), float64(r.entries.Load()+r.exits.Load())/took.Seconds(),
			r.full.Load(), r.parked.Load(), r.repeats.Load(), report.Facilities[0].Tickets, report.Facilities[0].PeakTaken, raceSpots)
	})
}

type race struct {
	*world
	calls int64

	done, entries, exits, full, parked, repeats atomic.Int64

	mu     sync.Mutex
	open   map[string]string // vehicle → ticket
	busy   map[string]bool   // vehicles that leave now
	failed error
}

func sizeOf(vehicle int) parking.VehicleSize {
	switch vehicle % 10 {
	case 0, 1:
		return parking.SizeLarge
	case 2, 3, 4:
		return parking.SizeMedium
	}
	return parking.SizeSmall
}

func (r *race) prepare() {
	r.Helper()
	_, err := r.CreateStrategy(r.Context(), parking.Spec{
		StrategyID: "free", Name: "Free", TimeZone: "UTC", Currency: "EUR", Tiers: []parking.TierSpec{{IncrementMinutes: 60}},
	}, actor)
	require.NoError(r, err)
	_, err = r.CreateFacility(r.Context(), parking.NewFacility{
		FacilityID: raceLot, Name: "Race", TimeZone: "UTC", Currency: "EUR", StrategyID: "free",
	}, actor)
	require.NoError(r, err)
	spots := make([]parking.Spot, raceSpots)
	for i := range spots {
		kind := parking.KindRegular
		switch {
		case i%10 == 0:
			kind = parking.KindOversized
		case i%10 > 6:
			kind = parking.KindCompact
		}
		spots[i] = parking.Spot{
			SpotID: fmt.Sprintf("s%03d", i), Kind: kind, Level: int64(i / 100), Row: int64(i / 25 % 4), Position: int64(i % 25),
		}
	}
	_, err = r.ImportSpots(r.Context(), raceLot, spots, actor)
	require.NoError(r, err)
	for i := range raceVehicles {
		kind := "car"
		if sizeOf(i) == parking.SizeLarge {
			kind = "truck"
		}
		id := vehicleID(i)
		_, err := r.CreateVehicle(r.Context(), parking.NewVehicle{VehicleID: id, Plate: id, Jurisdiction: "DE", Size: sizeOf(i), Type: kind}, actor)
		require.NoError(r, err)
	}
}

func vehicleID(i int) string { return fmt.Sprintf("v%04d", i) }

func (r *race) failf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = fmt.Errorf(format, args...)
	}
}

// passed is a call of a gate and what it was answered, in a form to compare.
type passed struct {
	call   func() (string, error)
	answer string
}

// gate lets vehicles in and out until the race is over.
func (r *race) gate(gate int) {
	rng := rand.New(rand.NewPCG(7, uint64(gate)))
	var before []passed
	for sequence := int64(1); r.done.Add(1) <= r.calls; sequence++ {
		p := passed{call: r.next(rng, parking.Call{GateID: fmt.Sprintf("gate-%02d", gate), Sequence: sequence, Given: true})}
		var first, second string
		var failed error
		if rng.IntN(8) == 0 { // the gate does not wait for the answer and calls again
			var twice sync.WaitGroup
			twice.Go(func() { second, _ = p.call() })
			first, failed = p.call()
			twice.Wait()
			r.repeats.Add(1)
		} else {
			first, failed = p.call()
			second = first
		}
		if failed != nil || first != second {
			r.failf("gate %d, call %d: %q, again %q: %w", gate, sequence, first, second, failed)
			return
		}
		p.answer = first
		before = append(before, p)
		if rng.IntN(8) == 0 {
			old := before[rng.IntN(len(before))]
			r.repeats.Add(1)
			if again, err := old.call(); err != nil || again != old.answer {
				r.failf("gate %d replays: first %q, now %q: %w", gate, old.answer, again, err)
				return
			}
		}
	}
}

// next chooses a vehicle: one that is parked leaves, one that is not enters, and some
// try to enter twice.
func (r *race) next(rng *rand.Rand, call parking.Call) func() (string, error) {
	i := rng.IntN(raceVehicles)
	id := vehicleID(i)
	again := rng.IntN(20) == 0
	r.mu.Lock()
	ticket := r.open[id]
	leaves := ticket != "" && !r.busy[id] && !again
	if leaves {
		r.busy[id] = true
	}
	r.mu.Unlock()
	if leaves {
		r.exits.Add(1)
		return func() (string, error) { return r.leave(id, ticket, call) }
	}
	r.entries.Add(1)
	counted := &sync.Once{}
	return func() (string, error) { return r.enter(i, call, counted) }
}

func (r *race) leave(vehicle, ticket string, call parking.Call) (string, error) {
	view, err := r.Exit(r.Context(), ticket, parking.NewExit{Call: call}, actor)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	if r.open[vehicle] == ticket {
		delete(r.open, vehicle)
		delete(r.busy, vehicle)
	}
	r.mu.Unlock()
	return fmt.Sprintf("%s %s %s", view.TicketID, view.Status, view.ExitTime), nil
}

func (r *race) enter(vehicle int, call parking.Call, once *sync.Once) (string, error) {
	ctx := context.WithValue(r.Context(), sizeKey{}, sizeOf(vehicle))
	entered, err := r.Enter(ctx, raceLot, parking.NewEntry{Call: call, VehicleID: vehicleID(vehicle)}, actor)
	switch code := domain.CodeOf(err); {
	case code == domain.CodeFull:
		once.Do(func() { r.full.Add(1) })
		return string(code), nil
	case code == domain.CodeAlreadyParked:
		once.Do(func() { r.parked.Add(1) })
		return string(code), nil
	case err != nil:
		return "", err
	}
	t := entered.Ticket
	once.Do(func() {
		r.mu.Lock()
		r.open[t.VehicleID] = t.TicketID
		r.mu.Unlock()
	})
	return fmt.Sprintf("%s %v", t.TicketID, t.SpotIDs), nil
}

type sizeKey struct{}

// oracle looks, in the same transaction, whether really nothing fits when an entry is
// answered with full: it searches all spots by the pure rules.
type oracle struct {
	store.Parking
	full atomic.Int64

	mu    sync.Mutex
	wrong []string
}

func (o *oracle) InFacility(ctx context.Context, id parking.FacilityID, change func(context.Context, store.FacilityTx) error) error {
	return o.Parking.InFacility(ctx, id, func(ctx context.Context, tx store.FacilityTx) error {
		return change(ctx, &oracleTx{FacilityTx: tx, oracle: o})
	})
}

type oracleTx struct {
	store.FacilityTx
	oracle *oracle
}

// InsertGateCall sees the answer before it is committed.
func (tx *oracleTx) InsertGateCall(ctx context.Context, c *parking.GateCall) error {
	size, entry := ctx.Value(sizeKey{}).(parking.VehicleSize)
	if entry && bytes.Contains(c.Answer, []byte(`"code":"full"`)) {
		spots, err := tx.AllSpots(ctx)
		if err != nil {
			return err
		}
		tx.oracle.full.Add(1)
		if fits := parking.Allocate(&tx.Facility().Rules, spots, parking.Demand{Size: size}); fits != nil {
			tx.oracle.mu.Lock()
			tx.oracle.wrong = append(tx.oracle.wrong, fmt.Sprintf("%s %d: %s would fit %v", c.GateID, c.Sequence, size, fits))
			tx.oracle.mu.Unlock()
		}
	}
	return tx.FacilityTx.InsertGateCall(ctx, c)
}
