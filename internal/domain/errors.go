package domain

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code is the stable code of an error, as a client sees it. One table in the
// API turns it into a status.
type Code string

// The codes. Those of a rejection equal the ReasonCode of the rejected task.
const (
	CodeInvalid         Code = "invalid"   // the request breaks rules; Faults names each
	CodeMalformed       Code = "malformed" // not parseable at all
	CodeUnknownPool     Code = "pool_not_found"
	CodeUnknownTask     Code = "task_not_found"
	CodeTaskExists      Code = "task_exists" // the id is known with another body
	CodeQueueFull       Code = "queue_full"
	CodeTenantQueueFull Code = "tenant_queue_full"
	CodeCapacityZero    Code = "capacity_zero"
	CodePoolDraining    Code = "pool_draining"
	CodePoolDisabled    Code = "pool_disabled"
	CodeTaskFinal       Code = "task_final" // the task is already terminal
	CodeConflict        Code = "conflict"
	CodePoolNotWeb      Code = "pool_not_web"    // the pool's tasks are not leased over HTTP
	CodeLeaseLost       Code = "lease_lost"      // the attempt has ended, or somebody else has it
	CodeUnknownLease    Code = "lease_not_found" // no such lease was given out
	CodeUnavailable     Code = "unavailable"     // the backend does not answer now; try again
	CodeTooLarge        Code = "too_large"
	CodeUnsupported     Code = "unsupported_media_type"
	CodeInternal        Code = "internal"
)

// The codes of the parking half.
const (
	CodeUnknownFacility    Code = "facility_not_found"
	CodeUnknownSpot        Code = "spot_not_found"
	CodeUnknownVehicle     Code = "vehicle_not_found"
	CodeUnknownStrategy    Code = "strategy_not_found"
	CodeUnknownTicket      Code = "ticket_not_found"
	CodeUnknownReservation Code = "reservation_not_found"
	CodeUnknownWaiting     Code = "waiting_not_found"
	CodeExists             Code = "exists"       // the id is known with another body
	CodePlateExists        Code = "plate_exists" // another vehicle has the plate
	CodePlaceTaken         Code = "place_taken"  // another spot has the level, row and position
	CodeFull               Code = "full"
	CodeNoFitEver          Code = "no_fit_ever" // the vehicle would not fit an empty facility either
	CodeAlreadyParked      Code = "vehicle_already_parked"
	CodeAlreadyWaiting     Code = "vehicle_already_waiting"
	CodeSequenceConflict   Code = "sequence_conflict" // the gate used the number for something else
	CodeTicketClosed       Code = "ticket_closed"
	CodeOverpaid           Code = "overpaid"
	CodePaymentRequired    Code = "payment_required" // Due says how much
	CodeNoSpot             Code = "no_spot"          // nothing can be booked for the span
	CodeReservationNotDue  Code = "reservation_not_due"
	CodeReservationVehicle Code = "reservation_vehicle"
	CodeReservationEnded   Code = "reservation_ended" // used, cancelled or missed
	CodeOfferLapsed        Code = "offer_lapsed"
	CodeNoOffer            Code = "no_offer" // still waiting
	CodePoolDerived        Code = "pool_derived"
)

// Fault is one thing wrong with an input, and where: a JSON path such as
// "body.resourceCost.units" or "pools[2].max_units".
type Fault struct {
	Location string
	Message  string
	Value    any // what was there; nil: nothing worth repeating
}

// Error is an error a client can act on. Anything else that reaches the edge is
// CodeInternal, logged and not shown.
type Error struct {
	Code       Code
	Message    string // what happened and what to do about it
	Faults     []Fault
	RetryAfter time.Duration // 0: no advice
	Due        *int64        // of CodePaymentRequired: what is to be paid, in minor units
	Err        error         // cause, for the log; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Code, e.Message)
	for _, f := range e.Faults {
		fmt.Fprintf(&b, "; %s: %s", f.Location, f.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of code with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the first *Error in err's chain, CodeInternal when
// there is none, and the empty code for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
