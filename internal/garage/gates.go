package garage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// The kinds of gate calls.
const (
	gateEntry = "entry"
	gateExit  = "exit"
	gateOpen  = "open"
)

// maxGateEvents is how many events a gate may tell at once.
const maxGateEvents = 1000

// passage is something that passes a gate, asked for while it happens or told
// afterwards.
type passage struct {
	call     parking.Call
	facility parking.FacilityID
	body     passageBody
	at       *time.Time
	where    string // place of at in the request
	actor    string
}

// passageBody is what makes two calls the same, however they were made. The names
// are stored as part of a hash: they stay.
type passageBody struct {
	Kind          string               `json:"kind"`
	FacilityID    parking.FacilityID   `json:"facilityId"`
	VehicleID     string               `json:"vehicleId,omitempty"`
	Vehicle       *parking.NewVehicle  `json:"vehicle,omitempty"`
	TicketID      string               `json:"ticketId,omitempty"`
	Features      []string             `json:"features,omitempty"`
	ReservationID string               `json:"reservationId,omitempty"`
	Wait          *parking.WaitRequest `json:"wait,omitempty"`
}

// hash is that of the body, then the instant the caller named, if it named one.
func (p *passage) hash() ([]byte, error) {
	sum, err := hashOf(p.body)
	if err == nil && p.at != nil {
		sum = p.at.UTC().Truncate(time.Microsecond).AppendFormat(sum, time.RFC3339Nano)
	}
	return sum, err
}

// sameCall compares a first call with a later one. Where the first named no instant,
// the gate may well tell later when that was.
func sameCall(first, later []byte) bool {
	const sum = 32 // bytes of SHA-256
	if len(first) == sum && len(later) > sum {
		later = later[:sum]
	}
	return bytes.Equal(first, later)
}

// gateAnswer is what a gate was answered, as it is kept. Lines of a price are not:
// they can be computed again.
type gateAnswer struct {
	Ticket   *parking.Ticket  `json:"ticket,omitempty"`
	Waiting  *parking.Waiting `json:"waiting,omitempty"`
	Position int64            `json:"position,omitempty"`
	Code     domain.Code      `json:"code,omitempty"`
	Message  string           `json:"message,omitempty"`
	Due      *int64           `json:"due,omitempty"`
}

// refusal is the answer as an error; nil: it was none.
func (a *gateAnswer) refusal() error {
	if a.Code == "" {
		return nil
	}
	return &domain.Error{Code: a.Code, Message: a.Message, Due: a.Due}
}

// status is what the answer is over HTTP; it is kept for those who look into the
// table.
func (a *gateAnswer) status(kind string) int {
	switch a.Code {
	case "":
	case domain.CodePaymentRequired:
		return http.StatusPaymentRequired
	case domain.CodeUnknownVehicle, domain.CodeUnknownTicket, domain.CodeUnknownReservation:
		return http.StatusNotFound
	default:
		return http.StatusConflict
	}
	switch {
	case a.Waiting != nil:
		return http.StatusAccepted
	case kind == gateEntry:
		return http.StatusCreated
	}
	return http.StatusOK
}

func (a *gateAnswer) ticketID() string {
	if a.Ticket == nil {
		return ""
	}
	return a.Ticket.TicketID
}

// decision is what a passage comes to, under the facility's lock. A refusal is a
// *domain.Error, and has written nothing that must not stay.
type decision func(ctx context.Context, tx store.FacilityTx, again bool) (gateAnswer, error)

// pass decides a passage once: the answer to a numbered call is stored with what it
// did, refusals too, and given again to a repeat (known).
func (g *Garage) pass(ctx context.Context, p *passage, decide decision) (answer gateAnswer, known bool, err error) {
	hash, err := p.hash()
	if err != nil {
		return answer, false, err
	}
	err = g.change(ctx, p.facility, func(ctx context.Context, tx store.FacilityTx, again bool) error {
		answer, known = gateAnswer{}, false
		if p.call.Given {
			first, err := tx.GateCall(ctx, p.call.GateID, p.call.Sequence)
			if err == nil {
				known = true
				answer, err = repeat(&first, hash)
				return err
			}
			if !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		decided, err := decide(ctx, tx, again)
		if err != nil {
			refusal, ok := errors.AsType[*domain.Error](err)
			if !ok || !p.call.Given || !lasting(refusal.Code) {
				return err
			}
			decided = gateAnswer{Code: refusal.Code, Message: refusal.Message, Due: refusal.Due}
		}
		answer = decided
		return p.remember(ctx, tx, hash, &decided)
	})
	return answer, known, err
}

// lasting: a gate that repeats its call is answered so for ever. What was wrong with
// the call itself, or with us, is not.
func lasting(code domain.Code) bool {
	switch code {
	case domain.CodeInvalid, domain.CodeUnavailable, domain.CodeInternal, domain.CodeUnknownFacility, domain.CodeSequenceConflict:
		return false
	}
	return true
}

// repeat reads the first answer, if it was to the same call.
func repeat(first *parking.GateCall, hash []byte) (gateAnswer, error) {
	if !sameCall(first.BodyHash, hash) {
		return gateAnswer{}, sequenceConflict(first.GateID, first.Sequence)
	}
	var answer gateAnswer
	if err := json.Unmarshal(first.Answer, &answer); err != nil { //nolint:musttag // the names of the fields are what is stored
		return gateAnswer{}, fmt.Errorf("answer to gate %s, sequence %d: %w", first.GateID, first.Sequence, err)
	}
	return answer, nil
}

func sequenceConflict(gate string, sequence int64) *domain.Error {
	return domain.Errorf(domain.CodeSequenceConflict,
		"gate %q has used sequence %d for something else; a new call needs a new number", gate, sequence)
}

// remember stores the answer to a numbered call.
func (p *passage) remember(ctx context.Context, tx store.FacilityTx, hash []byte, answer *gateAnswer) error {
	if !p.call.Given {
		return nil
	}
	encoded, err := json.Marshal(answer) //nolint:musttag // the names of the fields are what is stored
	if err != nil {
		return fmt.Errorf("answer to a gate: %w", err)
	}
	observed := tx.Now()
	if p.at != nil {
		observed = *p.at
	}
	err = tx.InsertGateCall(ctx, &parking.GateCall{
		GateID: p.call.GateID, Sequence: p.call.Sequence, FacilityID: p.facility, Kind: p.body.Kind, BodyHash: hash,
		Status: answer.status(p.body.Kind), Answer: encoded, TicketID: cmp.Or(answer.ticketID(), p.body.TicketID), ObservedAt: observed,
	})
	if errors.Is(err, store.ErrExists) { // at another facility, this very moment
		return sequenceConflict(p.call.GateID, p.call.Sequence)
	}
	return err
}

// known looks, outside any lock, whether the call was answered already.
func (g *Garage) known(ctx context.Context, p *passage) (gateAnswer, bool, error) {
	if !p.call.Given {
		return gateAnswer{}, false, nil
	}
	first, err := g.store.GateCall(ctx, p.call.GateID, p.call.Sequence)
	if errors.Is(err, store.ErrNotFound) {
		return gateAnswer{}, false, nil
	}
	if err != nil {
		return gateAnswer{}, false, edge(err, nil)
	}
	hash, err := p.hash()
	if err != nil {
		return gateAnswer{}, false, err
	}
	answer, err := repeat(&first, hash)
	return answer, true, err
}

// fields begin the detail of the passage's event.
func (p *passage) fields(more map[string]any) map[string]any {
	if p.call.Given {
		more["gateId"], more["sequence"] = p.call.GateID, p.call.Sequence
	}
	return more
}

func callFaults(call parking.Call) []domain.Fault {
	if !call.Given {
		return nil
	}
	return gateFaults("", call.GateID, call.Sequence)
}

func gateFaults(at, gate string, sequence int64) []domain.Fault {
	faults := parking.IDFaults(at+"gateId", gate)
	if sequence < 0 {
		faults = append(faults, domain.Fault{Location: at + "sequence", Message: "must be 0 or more", Value: sequence})
	}
	return faults
}
