package parking

import (
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Call is what a gate says of itself, so that asking again does nothing twice. The
// zero Call is a request that no gate made.
type Call struct {
	GateID   string
	Sequence int64
	Given    bool
}

// NewFacility is a request for a facility. Zero fields take the defaults of the
// contract; WindowSizes nil too, while an absent kind in it has no windows.
type NewFacility struct {
	FacilityID   FacilityID // empty: one is made up
	Name         string
	TimeZone     string
	Currency     string
	Allocation   Allocation
	Bands        []Band
	StrategyID   string
	WindowSizes  map[SpotKind]int64
	WindowRule   WindowRule
	MaxOvertakes *int
	OfferHold    *time.Duration
}

// FacilityChange is what an operator may change; nil stays as it is.
type FacilityChange struct {
	Allocation   *Allocation
	Bands        *[]Band
	StrategyID   *string
	WindowSizes  map[SpotKind]int64
	WindowRule   *WindowRule
	MaxOvertakes *int
	OfferHold    *time.Duration
	Actor        string
}

// Imported counts what an import of spots did.
type Imported struct {
	Created, Updated int
}

// SpotChange is what may change of a spot; nil stays as it is.
type SpotChange struct {
	OutOfService *bool
	Features     *[]string
	Actor        string
}

// NewVehicle is a request for a vehicle. The plate is normalised.
type NewVehicle struct {
	VehicleID    string // empty: one is made up
	Plate        string
	Jurisdiction string
	Size         VehicleSize
	Type         string
	Permits      []string
}

// PriceRequest asks what a stay would cost.
type PriceRequest struct {
	Entry            time.Time
	Until            time.Time
	EntryOccupancyBP *int64
	Adjustments      []Adjustment
	Lost             bool
}

// NewEntry is a vehicle at a gate: known by its id, or by its plate.
type NewEntry struct {
	Call          Call `json:"-"`
	VehicleID     string
	Vehicle       *NewVehicle
	At            *time.Time
	Features      []string
	ReservationID string
	Wait          *WaitRequest
}

// WaitRequest says that the vehicle would wait where there is no spot now.
type WaitRequest struct {
	Priority domain.Priority
	Deadline time.Time
	Mailbox  *domain.MailboxKey
}

// Entered is the answer to an entry: a ticket, or a place in the waiting line.
type Entered struct {
	Ticket  *TicketView
	Waiting *WaitingView
}

// NewPayment is money offered for a ticket.
type NewPayment struct {
	PaymentID string // empty: one is made up
	Amount    Money
	Method    string
	PaidAt    *time.Time
}

// NewAdjustment is a validation or a discount for a ticket.
type NewAdjustment struct {
	AdjustmentID string // empty: one is made up
	Adjustment
	Reason string
}

// NewExit is a vehicle that wants to leave.
type NewExit struct {
	Call Call `json:"-"`
	At   *time.Time
}

// GateEvent is what a gate did, told afterwards: Kind is entry, exit or open.
type GateEvent struct {
	GateID     string
	Sequence   int64
	ObservedAt time.Time
	FacilityID FacilityID
	Kind       string
	VehicleID  string
	Vehicle    *NewVehicle
	TicketID   string
}

// GateResult is what became of a gate event.
type GateResult struct {
	GateID   string
	Sequence int64
	Status   GateStatus
	Code     domain.Code // why it was refused
	Message  string
	TicketID string
}

// GateStatus says what became of a gate event.
type GateStatus string

// What becomes of a gate event.
const (
	GateApplied   GateStatus = "applied"
	GateDuplicate GateStatus = "duplicate" // known: the first answer again
	GateRefused   GateStatus = "refused"
)

// NewReservation is a request for spots in a span of time to come.
type NewReservation struct {
	ReservationID string // empty: one is made up
	VehicleID     string
	From, To      time.Time
	NoShow        *time.Duration // default 30 minutes
	Features      []string
}

// TicketView is a ticket as a reader sees it. Lines are those of a closed ticket's
// amount; lists leave them out.
type TicketView struct {
	Ticket
	Lines []Line
}

// Quote is what a ticket costs until an instant.
type Quote struct {
	Entry     time.Time
	Until     time.Time
	Currency  string
	Price     Price
	Paid      Money
	Due       Money
	FreeUntil *time.Time // leaving is free until then; nil: no exit window is open
}

// WaitingView is somebody who waits, as a reader sees it.
type WaitingView struct {
	Waiting
	Position int64 // 1 for the first; 0: not in the line
}

// RevenueRow is what a strategy version brought on a local date.
type RevenueRow struct {
	Date                   string // 2006-01-02
	StrategyID             string
	Version                int
	Tickets                int64
	Amount, Paid, Refunded Money
}

// Reconciliation compares gate openings, tickets and payments.
type Reconciliation struct {
	Openings, Tickets       int64
	Charged, Paid, Refunded Money
	Faults                  []ReconciliationFault
}

// ReconciliationFault is something that does not add up.
type ReconciliationFault struct {
	Code     string // stable
	TicketID string
	GateID   string
	Sequence int64
	Message  string
}

// WhatIf asks what past stays would have cost under another strategy.
type WhatIf struct {
	From, To time.Time
	Strategy Spec
}

// WhatIfReport is the answer, a row a ticket that left in the span.
type WhatIfReport struct {
	Tickets                  int64
	CurrentTotal, DraftTotal Money
	Rows                     []WhatIfRow
}

// WhatIfRow compares one ticket.
type WhatIfRow struct {
	TicketID       string
	Current, Draft Money
}
