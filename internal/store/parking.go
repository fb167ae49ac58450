package store

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
)

// Due is what falls due at facilities.
type Due struct {
	Now        time.Time            // as given, or as the backend's clock showed
	Facilities []parking.FacilityID // whose NextDueAt is not after Now
	Next       *time.Time           // the earliest NextDueAt after Now; nil: none
}

// Parking keeps facilities, spots, vehicles, tariffs, tickets, reservations and the
// waiting lines. Every dialect has it; a program uses the one it is configured for.
//
// Errors besides ErrUnavailable are ErrNotFound, ErrExists (an id or a unique
// property is taken), ErrConflict (an index refused what the caller should not have
// asked for; nothing was written) and ErrData. After ErrExists, ErrConflict and
// ErrNotFound a FacilityTx goes on as if the call had not been made; after any other
// error it can only end.
//
// Events handed to the calls that create are numbered and written in the same
// transaction: a facility's own in its source, others in parking.RegisterSource.
type Parking interface {
	// InFacility runs change in one transaction that holds the facility's row
	// (FOR NO KEY UPDATE in a statement of its own, so that what is read afterwards is
	// what the last holder left). What change writes is committed when it returns nil,
	// else rolled back and its error returned. ErrNotFound: no such facility.
	// A commit whose outcome is unknown is ErrCommitUnknown: ask again by id.
	InFacility(ctx context.Context, id parking.FacilityID, change func(ctx context.Context, tx FacilityTx) error) error

	CreateFacility(ctx context.Context, f parking.Facility, now time.Time, events ...domain.Event) error // ErrExists
	Facility(ctx context.Context, id parking.FacilityID) (parking.Facility, error)
	ListFacilities(ctx context.Context) ([]parking.Facility, error)
	// DueFacilities says what falls due at now; zero: the backend's clock.
	DueFacilities(ctx context.Context, now time.Time) (Due, error)

	// Spots returns spots by id after exclusive; zero filter fields do not select.
	Spots(ctx context.Context, f SpotFilter) ([]parking.PlacedSpot, error)

	CreateVehicle(ctx context.Context, v parking.Vehicle, events ...domain.Event) error // ErrExists: the id; ErrConflict: the plate
	Vehicle(ctx context.Context, id string) (parking.Vehicle, error)
	VehicleByPlate(ctx context.Context, plate, jurisdiction string) (parking.Vehicle, error)
	SetPermits(ctx context.Context, id string, permits []string, events ...domain.Event) error

	CreateStrategy(ctx context.Context, s parking.StrategyRow, events ...domain.Event) error // ErrExists: the (id, version)
	// StrategyVersion returns one version; 0: the newest.
	StrategyVersion(ctx context.Context, id string, version int) (parking.StrategyRow, error)

	Ticket(ctx context.Context, id string) (parking.Ticket, error)
	// Tickets returns tickets with payments and adjustments, by (facility, seq) after the cursor.
	Tickets(ctx context.Context, f TicketFilter) ([]parking.Ticket, error)
	Reservation(ctx context.Context, id string) (parking.Reservation, error)
	Waiting(ctx context.Context, id string) (parking.Waiting, error)
	// WaitingLine returns who waits or holds an offer, in order.
	WaitingLine(ctx context.Context, id parking.FacilityID) ([]parking.Waiting, error)
	GateCall(ctx context.Context, gate string, sequence int64) (parking.GateCall, error)
	GateCalls(ctx context.Context, id parking.FacilityID, from, to time.Time) ([]parking.GateCall, error)

	// OccupancyNow counts spots by level and kind.
	OccupancyNow(ctx context.Context, id parking.FacilityID) ([]parking.OccupancyRow, error)
	// OccupancyAt returns the newest occupancy at or before each instant (ascending);
	// instants before the first one are left out. At is the instant asked for.
	OccupancyAt(ctx context.Context, id parking.FacilityID, instants []time.Time) ([]parking.OccupancySample, error)
}

// FacilityTx is what may be read and written under a facility's lock. It must not be
// used outside the change function, nor by several goroutines.
type FacilityTx interface {
	// Now is read after the lock was granted and never before the last change.
	Now() time.Time
	// Facility is the row as it is now; SetFacility changes what an operator may change,
	// and NextDueAt. Counts and sequences are kept by the methods below.
	Facility() *parking.Facility
	SetFacility(ctx context.Context) error

	// FirstFree returns the first free spot in service of the kind with all the features,
	// in the order of the allocation (not Dynamic). It passes over none. ErrNotFound.
	FirstFree(ctx context.Context, kind parking.SpotKind, order parking.Allocation, features []string) (parking.Spot, error)
	// Window returns the first size spots of the smallest island of free spots in service
	// of the kind with the features, ties in the order of the allocation. ErrNotFound.
	Window(ctx context.Context, kind parking.SpotKind, size int64, order parking.Allocation, features []string) ([]parking.Spot, error)
	// KindInService reports whether any spot of the kind is in service.
	KindInService(ctx context.Context, kind parking.SpotKind) (bool, error)
	// Bookable is FirstFree and Window for a reservation: spots in service without a booked
	// reservation that overlaps [from, to); state counts only when from is not after Now.
	// A size up to 1 asks for a single spot.
	Bookable(ctx context.Context, kind parking.SpotKind, size int64, order parking.Allocation, features []string, from, to time.Time) ([]parking.Spot, error)
	AllSpots(ctx context.Context) ([]parking.Spot, error)
	SpotsByID(ctx context.Context, ids []string) ([]parking.PlacedSpot, error)
	// PutSpots inserts or updates spots (everything but state), and counts them anew.
	// Two of them may change places. ErrConflict: a place is taken by another spot.
	PutSpots(ctx context.Context, spots []parking.Spot) (created, updated int, err error)
	// Occupy, Hold and Free change the state of spots, keep the counts, and write a row
	// of occupancy history with the transaction's last event. ErrConflict: a spot was not
	// as the caller believed (Occupy: free and in service, or held by heldBy; Hold: free
	// and in service; Free: taken).
	Occupy(ctx context.Context, spots []string, ticket, vehicle, heldBy string) error
	Hold(ctx context.Context, spots []string, heldBy string) error
	Free(ctx context.Context, spots []string) error
	SetService(ctx context.Context, spot string, outOfService bool, features []string) error

	InsertTicket(ctx context.Context, t *parking.Ticket) error // ErrExists: the id; ErrConflict: the vehicle has an open one
	Ticket(ctx context.Context, id string) (parking.Ticket, error)
	// SetTicket writes what changes of a ticket (status, exit, lost, amount, pricedUntil, window, reason) and,
	// when it is no longer open, ends its hold on its spots' rows.
	SetTicket(ctx context.Context, t *parking.Ticket) error
	InsertPayment(ctx context.Context, ticket string, p *parking.Payment) error
	RefundPayments(ctx context.Context, ticket string, at time.Time) error
	InsertAdjustment(ctx context.Context, ticket string, a *parking.RecordedAdjustment) error

	InsertGateCall(ctx context.Context, c *parking.GateCall) error // ErrExists
	GateCall(ctx context.Context, gate string, sequence int64) (parking.GateCall, error)

	InsertReservation(ctx context.Context, r *parking.Reservation) error // ErrExists; ErrConflict: overlap
	Reservation(ctx context.Context, id string) (parking.Reservation, error)
	SetReservation(ctx context.Context, r *parking.Reservation) error // status, holding, spots
	// DueReservations returns booked ones whose From, NoShowAt or To has come, by From.
	DueReservations(ctx context.Context) ([]parking.Reservation, error)

	InsertWaiting(ctx context.Context, w *parking.Waiting) error // numbers it; ErrExists; ErrConflict: the vehicle waits already
	Waiting(ctx context.Context, id string) (parking.Waiting, error)
	SetWaiting(ctx context.Context, w *parking.Waiting) error
	// Line returns those that wait, in order (Priority descending, Seq), with their vehicles' sizes, at most limit.
	Line(ctx context.Context, limit int) ([]parking.InLine, error)
	// DueWaiting returns those whose offer or deadline has passed.
	DueWaiting(ctx context.Context) ([]parking.Waiting, error)
	// NextDue computes the earliest instant at which something of the facility falls due:
	// reservations' From and, once that has come, NoShowAt or To; offers and deadlines. Ask
	// after having handled what is due now: a From that has come is not told again.
	NextDue(ctx context.Context) (*time.Time, error)

	// Record numbers and writes an audit event; Post numbers and leaves a message (through
	// the store's own mailbox). Both fill in Source, Seq and the time.
	Record(ctx context.Context, e *domain.Event) error
	Post(ctx context.Context, m *domain.Message) error
}

// SpotFilter selects spots.
type SpotFilter struct {
	Facility parking.FacilityID
	Kind     parking.SpotKind
	State    parking.SpotState
	Level    *int64
	After    string
	Limit    int
}

// TicketFilter selects tickets.
type TicketFilter struct {
	Facility parking.FacilityID
	Vehicle  string
	Status   parking.TicketStatus
	// EnteredFrom and ExitedFrom … select by time where set: [from, to).
	ExitedFrom, ExitedTo time.Time
	AfterFacility        parking.FacilityID
	AfterSeq             int64
	Limit                int
}
