package garage_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/garage"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
)

// lot is a garage on a clock that tests move.
type lot struct {
	*garage.Garage
	t     *testing.T
	store *sqlite.Store

	mu  sync.Mutex
	now time.Time
	n   int
}

const lotID parking.FacilityID = "lot"

// newLot opens a facility with free parking and the kinds given, next to each other in
// one row.
func newLot(t *testing.T, change func(*parking.NewFacility), kinds ...parking.SpotKind) *lot {
	t.Helper()
	l := &lot{t: t, now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
	var err error
	l.store, err = sqlite.Open(t.Context(), sqlite.Options{Now: l.clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.store.Close()) })
	l.Garage = garage.New(garage.Options{Store: l.store, Now: l.clock})
	_, err = l.CreateStrategy(t.Context(), parking.Spec{
		StrategyID: "free", Name: "Free", TimeZone: "Europe/Berlin", Currency: "EUR",
		Tiers: []parking.TierSpec{{IncrementMinutes: 60}},
	}, "")
	require.NoError(t, err)
	facility := parking.NewFacility{FacilityID: lotID, Name: "Lot", TimeZone: "Europe/Berlin", Currency: "EUR", StrategyID: "free"}
	if change != nil {
		change(&facility)
	}
	_, err = l.CreateFacility(t.Context(), facility, "")
	require.NoError(t, err)
	spots := make([]parking.Spot, len(kinds))
	for i, kind := range kinds {
		spots[i] = parking.Spot{SpotID: fmt.Sprintf("s%02d", i+1), Kind: kind, Level: 1, Row: 1, Position: int64(i + 1)}
	}
	_, err = l.ImportSpots(t.Context(), lotID, spots, "")
	require.NoError(t, err)
	return l
}

func times(n int, kind parking.SpotKind) []parking.SpotKind {
	kinds := make([]parking.SpotKind, n)
	for i := range kinds {
		kinds[i] = kind
	}
	return kinds
}

func (l *lot) clock() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func (l *lot) sleep(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
}

// vehicle makes one of the size.
func (l *lot) vehicle(size parking.VehicleSize) string {
	l.t.Helper()
	l.mu.Lock()
	l.n++
	id := fmt.Sprintf("v%04d", l.n)
	l.mu.Unlock()
	kind := "car"
	if size == parking.SizeLarge {
		kind = "truck"
	}
	_, err := l.CreateVehicle(l.t.Context(), parking.NewVehicle{VehicleID: id, Plate: id, Jurisdiction: "DE", Size: size, Type: kind}, "")
	require.NoError(l.t, err)
	return id
}

func (l *lot) enter(size parking.VehicleSize) (parking.Entered, error) {
	l.t.Helper()
	return l.Enter(l.t.Context(), lotID, parking.NewEntry{VehicleID: l.vehicle(size)}, "")
}

// park lets a vehicle in that must find a place.
func (l *lot) park(size parking.VehicleSize) string {
	l.t.Helper()
	entered, err := l.enter(size)
	require.NoError(l.t, err)
	return entered.Ticket.TicketID
}

// wait lets a vehicle in that must not find a place, and waits.
func (l *lot) wait(size parking.VehicleSize, request parking.WaitRequest) string {
	l.t.Helper()
	if request.Deadline.IsZero() {
		request.Deadline = l.clock().Add(24 * time.Hour)
	}
	entered, err := l.Enter(l.t.Context(), lotID, parking.NewEntry{VehicleID: l.vehicle(size), Wait: &request}, "")
	require.NoError(l.t, err)
	require.NotNil(l.t, entered.Waiting, "the facility is full")
	return entered.Waiting.WaitingID
}

func (l *lot) exit(ticket string) {
	l.t.Helper()
	_, err := l.Exit(l.t.Context(), ticket, parking.NewExit{}, "")
	require.NoError(l.t, err)
}

func (l *lot) waiting(id string) parking.WaitingView {
	l.t.Helper()
	w, err := l.Waiting(l.t.Context(), id)
	require.NoError(l.t, err)
	return w
}

func (l *lot) sweep() {
	l.t.Helper()
	_, err := l.Sweep(l.t.Context(), lotID)
	require.NoError(l.t, err)
}

// statuses returns what the mailbox of a user was told, in order.
func (l *lot) statuses(user string) []domain.Status {
	l.t.Helper()
	messages, err := l.store.Messages(l.t.Context(), store.MailboxFilter{Tenant: "drivers", UserID: user, Limit: 100})
	require.NoError(l.t, err)
	var got []domain.Status
	for i := range messages {
		got = append(got, messages[i].Status)
	}
	return got
}

func requireCode(t *testing.T, code domain.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, domain.CodeOf(err), "%v", err)
}

func overtakes(n int) func(*parking.NewFacility) {
	return func(f *parking.NewFacility) { f.MaxOvertakes = &n }
}

// A bus that needs two spots in a row waits behind small cars that come and go. It may
// be overtaken three times; then what it could use is kept until there is a window.
func TestBusGetsItsWindowWithinTheBound(t *testing.T) {
	t.Parallel()
	l := newLot(t, overtakes(3), times(4, parking.KindRegular)...)
	var cars []string
	for range 4 {
		cars = append(cars, l.park(parking.SizeSmall))
	}
	bus := l.wait(parking.SizeLarge, parking.WaitRequest{Priority: domain.PriorityNormal})
	for i := range 3 {
		l.exit(cars[0]) // spot 1; spot 2 stays taken
		require.Equal(t, parking.WaitingWaits, l.waiting(bus).Status)
		cars[0] = l.park(parking.SizeSmall)
		require.Equal(t, i+1, l.waiting(bus).Overtaken)
	}
	l.exit(cars[0])
	_, err := l.enter(parking.SizeSmall)
	requireCode(t, domain.CodeFull, err)
	car := l.wait(parking.SizeSmall, parking.WaitRequest{Priority: domain.PriorityNormal})
	l.exit(cars[2]) // not next to the first
	require.Equal(t, parking.WaitingWaits, l.waiting(bus).Status)
	require.Equal(t, parking.WaitingWaits, l.waiting(car).Status)

	l.exit(cars[1])
	got := l.waiting(bus)
	require.Equal(t, parking.WaitingOffered, got.Status)
	require.Equal(t, 3, got.Overtaken)
	require.Equal(t, []string{"s01", "s02"}, got.OfferSpotIDs)
	require.Equal(t, parking.WaitingOffered, l.waiting(car).Status, "what is left goes down the line")
	ticket, err := l.AcceptOffer(t.Context(), bus, nil, "")
	require.NoError(t, err)
	require.Equal(t, []string{"s01", "s02"}, ticket.SpotIDs)
	again, err := l.AcceptOffer(t.Context(), bus, nil, "")
	require.NoError(t, err)
	require.Equal(t, ticket, again)
}

// What a saturated head cannot use is not kept for it.
func TestKeptIsOnlyWhatTheHeadCouldUse(t *testing.T) {
	t.Parallel()
	noWindows := func(f *parking.NewFacility) {
		overtakes(0)(f)
		f.WindowSizes = map[parking.SpotKind]int64{}
	}
	l := newLot(t, noWindows, parking.KindOversized, parking.KindRegular)
	l.park(parking.SizeLarge)
	l.wait(parking.SizeLarge, parking.WaitRequest{})
	l.park(parking.SizeMedium) // the regular spot
	_, err := l.enter(parking.SizeMedium)
	requireCode(t, domain.CodeFull, err)
}

func TestStrictOrder(t *testing.T) {
	t.Parallel()
	l := newLot(t, overtakes(0), times(3, parking.KindRegular)...)
	tickets := []string{l.park(parking.SizeSmall), l.park(parking.SizeSmall), l.park(parking.SizeSmall)}
	bus := l.wait(parking.SizeLarge, parking.WaitRequest{Priority: domain.PriorityNormal})
	urgent := l.wait(parking.SizeSmall, parking.WaitRequest{Priority: domain.PriorityCritical})
	line, err := l.WaitingLine(t.Context(), lotID)
	require.NoError(t, err)
	require.Equal(t, []string{urgent, bus}, []string{line[0].WaitingID, line[1].WaitingID})
	require.Equal(t, []int64{1, 2}, []int64{line[0].Position, line[1].Position})

	l.exit(tickets[0])
	require.Equal(t, parking.WaitingOffered, l.waiting(urgent).Status, "a higher class goes first")
	l.exit(tickets[2])
	_, err = l.enter(parking.SizeSmall)
	requireCode(t, domain.CodeFull, err)
	require.Zero(t, l.waiting(bus).Overtaken)
}

func TestOfferNotTakenPassesOn(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindRegular)
	ticket := l.park(parking.SizeSmall)
	mailbox := func(user string) parking.WaitRequest {
		return parking.WaitRequest{Mailbox: &domain.MailboxKey{Tenant: "drivers", UserID: user}}
	}
	first, second := l.wait(parking.SizeSmall, mailbox("ada")), l.wait(parking.SizeMedium, mailbox("bob"))
	_, err := l.AcceptOffer(t.Context(), first, nil, "")
	requireCode(t, domain.CodeNoOffer, err)
	l.exit(ticket)
	require.Equal(t, parking.WaitingOffered, l.waiting(first).Status)
	require.Equal(t, l.clock().Add(2*time.Minute), *l.waiting(first).OfferExpiresAt)
	require.Equal(t, int64(1), l.waiting(second).Position)
	_, err = l.enter(parking.SizeSmall)
	requireCode(t, domain.CodeFull, err)

	l.sleep(2 * time.Minute)
	_, err = l.AcceptOffer(t.Context(), first, nil, "")
	requireCode(t, domain.CodeOfferLapsed, err)
	got := l.waiting(first)
	require.Equal(t, parking.WaitingExpired, got.Status)
	require.Equal(t, domain.ReasonCode("offer_lapsed"), got.ReasonCode)
	require.Equal(t, parking.WaitingOffered, l.waiting(second).Status)
	l.sweep()
	taken, err := l.AcceptOffer(t.Context(), second, nil, "")
	require.NoError(t, err)
	require.Equal(t, []string{"s01"}, taken.SpotIDs)
	require.Equal(t, []domain.Status{"offered", "expired"}, l.statuses("ada"))
	require.Equal(t, []domain.Status{"offered", "taken"}, l.statuses("bob"))
}

func TestDeadlineInTheLine(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindRegular)
	ticket := l.park(parking.SizeSmall)
	id := l.wait(parking.SizeSmall, parking.WaitRequest{
		Deadline: l.clock().Add(time.Hour), Mailbox: &domain.MailboxKey{Tenant: "drivers", UserID: "ada"},
	})
	l.sleep(time.Hour)
	l.exit(ticket)
	require.Equal(t, parking.WaitingWaits, l.waiting(id).Status, "nothing is offered after the deadline")
	l.sweep()
	require.Equal(t, parking.WaitingExpired, l.waiting(id).Status)
	require.Equal(t, domain.ReasonDeadlinePassed, l.waiting(id).ReasonCode)
	require.Equal(t, []domain.Status{"expired"}, l.statuses("ada"))
	f, err := l.Facility(t.Context(), lotID)
	require.NoError(t, err)
	require.Nil(t, f.NextDueAt)
	l.park(parking.SizeSmall)

	_, err = l.Enter(t.Context(), lotID, parking.NewEntry{
		VehicleID: l.vehicle(parking.SizeSmall), Wait: &parking.WaitRequest{Deadline: l.clock()},
	}, "")
	requireCode(t, domain.CodeInvalid, err)
}

func TestCancelWaiting(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindRegular)
	ticket := l.park(parking.SizeSmall)
	first, second := l.wait(parking.SizeSmall, parking.WaitRequest{}), l.wait(parking.SizeSmall, parking.WaitRequest{})
	l.exit(ticket)
	for range 2 {
		w, err := l.CancelWaiting(t.Context(), first, "ada")
		require.NoError(t, err)
		require.Equal(t, parking.WaitingCancelled, w.Status)
	}
	require.Equal(t, parking.WaitingOffered, l.waiting(second).Status, "what was held goes to the next")
	_, err := l.CancelWaiting(t.Context(), "nobody", "")
	requireCode(t, domain.CodeUnknownWaiting, err)
}

func TestAVehicleWaitsOnce(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindRegular)
	l.park(parking.SizeSmall)
	id := l.wait(parking.SizeSmall, parking.WaitRequest{})
	_, err := l.Enter(t.Context(), lotID, parking.NewEntry{
		VehicleID: l.waiting(id).VehicleID, Wait: &parking.WaitRequest{Deadline: l.clock().Add(time.Hour)},
	}, "")
	requireCode(t, domain.CodeAlreadyWaiting, err)
}

func TestDerivedPools(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindRegular, parking.KindRegular)
	l.park(parking.SizeSmall)
	l.park(parking.SizeSmall)
	l.wait(parking.SizeSmall, parking.WaitRequest{Priority: domain.PriorityHigh})
	pools, err := l.Pools(t.Context())
	require.NoError(t, err)
	require.Len(t, pools, 1)
	pool, err := l.Pool(t.Context(), domain.PoolID(lotID))
	require.NoError(t, err)
	require.Equal(t, pools[0], pool)
	require.True(t, pool.Derived)
	require.Equal(t, domain.Units(2), pool.MaxUnits)
	require.Equal(t, domain.Units(2), pool.ActiveUnits)
	require.Equal(t, int64(1), pool.Queued)
	require.Equal(t, int64(1), pool.QueuedBy[domain.PriorityHigh])
	_, err = l.Pool(t.Context(), "other")
	requireCode(t, domain.CodeUnknownPool, err)
}

// Two processes sweep the same facility: each thing that falls due happens once.
func TestTwoProcessesSweep(t *testing.T) {
	t.Parallel()
	l := newLot(t, nil, parking.KindRegular)
	other := garage.New(garage.Options{Store: l.store, Now: l.clock})
	ticket := l.park(parking.SizeSmall)
	mailbox := &domain.MailboxKey{Tenant: "drivers", UserID: "ada"}
	first := l.wait(parking.SizeSmall, parking.WaitRequest{Mailbox: mailbox})
	second := l.wait(parking.SizeSmall, parking.WaitRequest{})
	l.exit(ticket)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, g := range []*garage.Garage{l.Garage, other} {
		running.Go(func() { g.Run(ctx) })
	}
	l.sleep(3 * time.Minute)
	require.Eventually(t, func() bool { return l.waiting(first).Status == parking.WaitingExpired }, 10*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { return l.waiting(second).Status == parking.WaitingOffered }, 10*time.Second, 10*time.Millisecond)
	stop()
	running.Wait()
	require.Equal(t, []domain.Status{"offered", "expired"}, l.statuses("ada"))
}
