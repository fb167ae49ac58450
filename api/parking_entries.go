package api

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
)

// NewEntry is a vehicle at a gate: known by its id, or given with its plate.
type NewEntry struct {
	GateID        string       `doc:"With sequence: the same call again gets the first answer." example:"north" json:"gateId,omitempty" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Sequence      *int64       `doc:"With gateId: numbers the gate's calls." json:"sequence,omitempty" maximum:"9007199254740991" minimum:"0"`
	VehicleID     string       `example:"v-1" json:"vehicleId,omitempty" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Vehicle       *NewVehicle  `doc:"Found by its plate, or made." json:"vehicle,omitempty"`
	At            *time.Time   `doc:"Default: now." json:"at,omitempty"`
	Features      []string     `doc:"The spot has to have all of them." json:"features,omitempty" maxItems:"32"`
	ReservationID string       `json:"reservationId,omitempty" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Wait          *WaitRequest `doc:"Wait in line when nothing fits now." json:"wait,omitempty"`
	_             struct{}     `additionalProperties:"false" json:"-"`
}

// WaitRequest says how to wait for a spot.
type WaitRequest struct {
	Priority   string      `default:"normal" enum:"low,normal,high,critical" json:"priority,omitempty"`
	Deadline   time.Time   `doc:"Until when." json:"deadline"`
	MailboxKey *MailboxKey `doc:"Where offers are left." json:"mailboxKey,omitempty"`
	_          struct{}    `additionalProperties:"false" json:"-"`
}

// NewExit is a vehicle that wants to leave.
type NewExit struct {
	GateID   string     `doc:"With sequence: the same call again gets the first answer." json:"gateId,omitempty" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Sequence *int64     `doc:"With gateId: numbers the gate's calls." json:"sequence,omitempty" maximum:"9007199254740991" minimum:"0"`
	At       *time.Time `doc:"Default: now." json:"at,omitempty"`
	_        struct{}   `additionalProperties:"false" json:"-"`
}

// GateEventList is what gates did while they were on their own.
type GateEventList struct {
	Events []GateEvent `json:"events" maxItems:"1000" minItems:"1" nullable:"false"`
	_      struct{}    `additionalProperties:"false" json:"-"`
}

// GateEvent is one thing a gate did.
type GateEvent struct {
	GateID     string      `json:"gateId" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Sequence   int64       `json:"sequence" maximum:"9007199254740991" minimum:"0"`
	ObservedAt time.Time   `json:"observedAt"`
	FacilityID string      `json:"facilityId" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Kind       string      `enum:"entry,exit,open" json:"kind"`
	VehicleID  string      `json:"vehicleId,omitempty" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Vehicle    *NewVehicle `json:"vehicle,omitempty"`
	TicketID   string      `json:"ticketId,omitempty" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	_          struct{}    `additionalProperties:"false" json:"-"`
}

// GateResults has one result an event, in order.
type GateResults struct {
	Results []GateResult `json:"results" nullable:"false"`
}

// GateResult is what became of a gate event.
type GateResult struct {
	GateID   string `json:"gateId"`
	Sequence int64  `json:"sequence"`
	Status   string `enum:"applied,duplicate,refused" json:"status"`
	Code     string `doc:"Why it was refused." json:"code,omitempty"`
	Message  string `doc:"The same for people." json:"message,omitempty"`
	TicketID string `json:"ticketId,omitempty"`
}

type enterInput struct {
	formBody[NewEntry]

	FacilityID string `doc:"The facility." example:"central" path:"facilityId"`
}

// enterOutput is a Ticket with 201, or a Waiting with 202.
type enterOutput struct {
	Status int
	Body   any
}

type gateEventsInput struct {
	formBody[GateEventList]
}

func (s *server) entryRoutes() {
	enter := writing("enterFacility", http.MethodPost, facilityPath+"/entries", tagTickets, http.StatusCreated, "Let a vehicle in",
		"`201` with a ticket, or `202` with a place in the line where `wait` was given. `409 full`: nothing fits now; `no_fit_ever`: waiting "+
			"is no use; `vehicle_already_parked`; `sequence_conflict`: the gate used the number for something else.")
	registerForm[NewEntry](s, enter, maxSmallBody, `{"gateId": "north", "sequence": 17, "vehicle": {"plate": "B-AB 1234",
		"jurisdiction": "DE", "size": "medium", "type": "car"}}`, s.enter)
	documentAnswer[Ticket](s.api, enter.Path, "201", "The vehicle has its spots.")
	documentAnswer[Waiting](s.api, enter.Path, "202", "The vehicle waits in line.")
	registerForm[GateEventList](s, writing("tellGateEvents", http.MethodPost, "/gate-events", tagTickets, http.StatusOK,
		"Tell what gates did", "Up to 1,000, applied in order, each by itself. Telling it again changes nothing."), maxEventsBody,
		`{"events": [{"gateId": "north", "sequence": 17, "observedAt": "2026-03-01T08:00:00Z", "facilityId": "central", "kind": "entry",
		"vehicleId": "v-1"}]}`, s.tellGateEvents)
}

// documentAnswer says in the document what a POST answers with a status.
func documentAnswer[T any](api huma.API, path, status, description string) {
	api.OpenAPI().Paths[path].Post.Responses[status] = &huma.Response{
		Description: description,
		Content: map[string]*huma.MediaType{
			mediaJSON: {Schema: api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")},
		},
	}
}

// gateCall reads gateId and sequence, which go together.
func gateCall(gate string, sequence *int64) (parking.Call, []domain.Fault) {
	switch {
	case gate == "" && sequence == nil:
		return parking.Call{}, nil
	case gate == "":
		return parking.Call{}, []domain.Fault{{Location: "body.gateId", Message: "is required beside sequence"}}
	case sequence == nil:
		return parking.Call{}, []domain.Fault{{Location: "body.sequence", Message: "is required beside gateId"}}
	}
	return parking.Call{GateID: gate, Sequence: *sequence, Given: true}, nil
}

func (s *server) enter(ctx context.Context, in *enterInput) (*enterOutput, error) {
	b := &in.sent
	call, faults := gateCall(b.GateID, b.Sequence)
	if (b.VehicleID == "") == (b.Vehicle == nil) {
		faults = append(faults, domain.Fault{Location: "body.vehicleId", Message: "give vehicleId or vehicle, and not both"})
	}
	request := parking.NewEntry{
		Call: call, VehicleID: b.VehicleID, At: micros(b.At), Features: b.Features, ReservationID: b.ReservationID,
	}
	if b.Vehicle != nil {
		vehicle := b.Vehicle.request()
		request.Vehicle = &vehicle
	}
	if b.Wait != nil {
		wait, wrong := b.Wait.request()
		request.Wait, faults = wait, append(faults, wrong...)
	}
	if len(faults) > 0 {
		return nil, invalid(faults)
	}
	entered, err := s.parking.Enter(ctx, parking.FacilityID(in.FacilityID), request, requestOf(ctx).actor)
	switch {
	case err != nil:
		return nil, err
	case entered.Waiting != nil:
		return &enterOutput{Status: http.StatusAccepted, Body: waitingJSON(entered.Waiting)}, nil
	}
	return &enterOutput{Status: http.StatusCreated, Body: ticketJSON(entered.Ticket)}, nil
}

func (w *WaitRequest) request() (*parking.WaitRequest, []domain.Fault) {
	request := &parking.WaitRequest{Priority: domain.PriorityNormal, Deadline: *micros(&w.Deadline)}
	if w.Priority != "" {
		priority, err := domain.ParsePriority(w.Priority)
		if err != nil {
			return request, []domain.Fault{{Location: "body.wait.priority", Message: err.Error(), Value: w.Priority}}
		}
		request.Priority = priority
	}
	if k := w.MailboxKey; k != nil {
		if k.UserID == "" && k.SessionID != "" {
			return request, []domain.Fault{{Location: "body.wait.mailboxKey.sessionId", Message: "needs a userId beside it"}}
		}
		request.Mailbox = &domain.MailboxKey{Tenant: domain.Tenant(k.Tenant), UserID: k.UserID, SessionID: k.SessionID}
	}
	return request, nil
}

func (s *server) tellGateEvents(ctx context.Context, in *gateEventsInput) (*out[GateResults], error) {
	events := make([]parking.GateEvent, 0, len(in.sent.Events))
	for i := range in.sent.Events {
		e := &in.sent.Events[i]
		event := parking.GateEvent{
			GateID: e.GateID, Sequence: e.Sequence, ObservedAt: *micros(&e.ObservedAt), FacilityID: parking.FacilityID(e.FacilityID),
			Kind: e.Kind, VehicleID: e.VehicleID, TicketID: e.TicketID,
		}
		if e.Vehicle != nil {
			vehicle := e.Vehicle.request()
			event.Vehicle = &vehicle
		}
		events = append(events, event)
	}
	results, err := s.parking.GateEvents(ctx, events, requestOf(ctx).actor)
	answer := GateResults{Results: []GateResult{}}
	for _, r := range results {
		answer.Results = append(answer.Results, GateResult{
			GateID: r.GateID, Sequence: r.Sequence, Status: string(r.Status), Code: string(r.Code), Message: r.Message, TicketID: r.TicketID,
		})
	}
	return answered(answer, err)
}
