package parking

import (
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// FacilityID names a car park. Same charset as a pool's id.
type FacilityID string

// Source is what numbers the events and messages of the facility.
func (id FacilityID) Source() domain.Source { return domain.Source("facility:" + id) }

// RegisterSource numbers the events of what belongs to no facility: vehicles and
// pricing strategies. The colon keeps it apart from the ids of pools.
const RegisterSource domain.Source = "parking:register"

// Facility is a car park: what its operator set, and the counts of its spots.
type Facility struct {
	FacilityID   FacilityID
	BodyHash     []byte // of the creating request, canonical
	Name         string
	TimeZone     string
	Currency     string
	Rules        Rules
	StrategyID   string // pricing; the newest version at entry counts
	MaxOvertakes int
	OfferHold    time.Duration
	Counts       Counts
	Sequences    Sequences
	NextDueAt    *time.Time // earliest reservation, offer or deadline to look at
	CreatedAt    time.Time
}

// Counts are spots. Occupied and Reserved count spots in service only.
type Counts struct {
	Total     int64
	InService int64
	Occupied  int64
	Reserved  int64
}

// OutOfService returns how many spots are out of service.
func (c Counts) OutOfService() int64 { return c.Total - c.InService }

// OccupancyBP is floor(10000 × (occupied + reserved) / in service); nil with none in service.
func (c Counts) OccupancyBP() *int64 {
	if c.InService == 0 {
		return nil
	}
	bp := OneBP * (c.Occupied + c.Reserved) / c.InService
	return &bp
}

// Sequences are the numbers given out under the facility's lock.
type Sequences struct {
	Event, Message, Wait int64
	At                   time.Time // now of the last change
}

// Vehicle is immutable but for its permits.
type Vehicle struct {
	VehicleID    string
	BodyHash     []byte
	Plate        string // normalised, see NormalisePlate
	Jurisdiction string
	Size         VehicleSize
	Type         string // car, truck, van, motorcycle; a bus is large and a truck
	Permits      []string
	CreatedAt    time.Time
}

// TicketStatus is where a stay is in its life.
type TicketStatus string

// The statuses of a ticket.
const (
	TicketOpen   TicketStatus = "open"
	TicketClosed TicketStatus = "closed"
	TicketVoid   TicketStatus = "void"
)

// Ticket is one stay of one vehicle.
type Ticket struct {
	TicketID         string
	Seq              int64 // audit number of the entry
	FacilityID       FacilityID
	VehicleID        string
	SpotIDs          []string // by position; the first is the anchor
	Status           TicketStatus
	EntryTime        time.Time
	ExitTime         *time.Time
	Lost             bool
	StrategyID       string
	StrategyVersion  int
	EntryOccupancyBP *int64
	Adjustments      []RecordedAdjustment
	Payments         []Payment
	Amount           *Money     // of a closed ticket
	PricedUntil      *time.Time // what Amount was computed for
	WindowOpenedAt   *time.Time // paidAt of the payment that covered the price
	VoidReason       string
	ReservationID    string
}

// RecordedAdjustment is an adjustment of a ticket.
type RecordedAdjustment struct {
	AdjustmentID string
	BodyHash     []byte
	Adjustment
	Reason string
}

// Payment is money taken for a ticket, and what was given back of it.
type Payment struct {
	PaymentID  string
	BodyHash   []byte
	Amount     Money
	Method     string
	PaidAt     time.Time
	Refunded   Money
	RefundedAt *time.Time
}

// Paid is the sum of the payments.
func (t *Ticket) Paid() Money {
	var sum Money
	for _, p := range t.Payments {
		sum += p.Amount
	}
	return sum
}

// Stay is what the ticket's price until an instant depends on.
func (t *Ticket) Stay(until time.Time) Stay {
	stay := Stay{Entry: t.EntryTime, Until: until, EntryOccupancyBP: t.EntryOccupancyBP, Lost: t.Lost}
	for _, a := range t.Adjustments {
		stay.Adjustments = append(stay.Adjustments, a.Adjustment)
	}
	return stay
}

// ReservationStatus is where a reservation is in its life.
type ReservationStatus string

// The statuses of a reservation.
const (
	ReservationBooked    ReservationStatus = "booked"
	ReservationUsed      ReservationStatus = "used"
	ReservationCancelled ReservationStatus = "cancelled"
	ReservationNoShow    ReservationStatus = "no_show"
)

// Reservation keeps spots for a vehicle for a while.
type Reservation struct {
	ReservationID string
	FacilityID    FacilityID
	BodyHash      []byte
	VehicleID     string
	SpotIDs       []string
	From, To      time.Time
	NoShowAt      time.Time
	Features      []string
	Status        ReservationStatus
	Holding       bool // its spots are reserved for it now
	CreatedAt     time.Time
}

// WaitingStatus is where somebody in the waiting line is.
type WaitingStatus string

// The statuses of somebody waiting.
const (
	WaitingWaits     WaitingStatus = "waiting"
	WaitingOffered   WaitingStatus = "offered"
	WaitingTaken     WaitingStatus = "taken"
	WaitingExpired   WaitingStatus = "expired"
	WaitingCancelled WaitingStatus = "cancelled"
)

// Waiting is a vehicle in a facility's waiting line.
type Waiting struct {
	WaitingID      string
	FacilityID     FacilityID
	Seq            int64 // arrival number
	VehicleID      string
	Features       []string
	Priority       domain.Priority
	Overtaken      int
	Deadline       time.Time
	Mailbox        *domain.MailboxKey
	Status         WaitingStatus
	ReasonCode     domain.ReasonCode
	OfferSpotIDs   []string
	OfferExpiresAt *time.Time
	TicketID       string
	CreatedAt      time.Time
}

// GateCall is what a gate asked and the first answer it got.
type GateCall struct {
	GateID     string
	Sequence   int64
	FacilityID FacilityID
	Kind       string // entry, exit, open
	BodyHash   []byte
	Status     int    // HTTP status of the answer
	Answer     []byte // JSON
	TicketID   string
	ObservedAt time.Time
}

// PlacedSpot is a spot with what stands on it.
type PlacedSpot struct {
	Spot
	TicketID  string
	VehicleID string
	HeldBy    string // "reservation:…" or "offer:…"
}

// StrategyRow is a stored version of a pricing strategy: Spec is its JSON.
type StrategyRow struct {
	StrategyID string
	Version    int
	BodyHash   []byte
	Spec       []byte
	CreatedAt  time.Time
}

// OccupancyRow counts the spots of a level and kind.
type OccupancyRow struct {
	Level int64
	Kind  SpotKind
	Counts
}

// OccupancySample is how full a facility was at an instant.
type OccupancySample struct {
	At                            time.Time
	InService, Occupied, Reserved int64
}

// InLine is somebody who waits, with what a place for them depends on.
type InLine struct {
	Waiting
	Size VehicleSize
}
