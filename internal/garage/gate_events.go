package garage

import (
	"context"
	"errors"
	"fmt"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// GateEvents applies what gates did while they were on their own, in order, each in a
// transaction of its own. Telling it again changes nothing. What is wrong with the
// form of any event refuses them all; what a facility refuses is in its result.
func (g *Garage) GateEvents(ctx context.Context, events []parking.GateEvent, actor string) ([]parking.GateResult, error) {
	if err := invalid(g.eventFaults(events)); err != nil {
		return nil, err
	}
	results := make([]parking.GateResult, 0, len(events))
	for i := range events {
		result, err := g.gateEvent(ctx, &events[i], fmt.Sprintf("body.events[%d].observedAt", i), actor)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

func (g *Garage) eventFaults(events []parking.GateEvent) []domain.Fault {
	if len(events) < 1 || len(events) > maxGateEvents {
		return []domain.Fault{{Location: "events", Message: fmt.Sprintf("must be 1 to %d", maxGateEvents), Value: len(events)}}
	}
	now := g.clock()
	var faults []domain.Fault
	add := func(at, message string) { faults = append(faults, domain.Fault{Location: at, Message: message}) }
	for i := range events {
		e := &events[i]
		at := fmt.Sprintf("events[%d].", i)
		faults = append(faults, gateFaults(at, e.GateID, e.Sequence)...)
		faults = append(faults, parking.IDFaults(at+"facilityId", string(e.FacilityID))...)
		if e.ObservedAt.After(now.Add(clockSkew)) {
			add(at+"observedAt", "is in the future")
		}
		if e.ObservedAt.Before(now.Add(-maxPast)) {
			add(at+"observedAt", "is more than ten years ago")
		}
		if e.TicketID != "" {
			faults = append(faults, parking.IDFaults(at+"ticketId", e.TicketID)...)
		}
		switch e.Kind {
		case gateEntry:
			faults = append(faults, whoFaults(at, e.VehicleID, e.Vehicle)...)
			if e.TicketID != "" {
				add(at+"ticketId", "is made by the entry; leave it out")
			}
		case gateExit:
			if e.TicketID == "" {
				faults = append(faults, whoFaults(at, e.VehicleID, e.Vehicle)...)
			}
		case gateOpen:
		default:
			add(at+"kind", "must be entry, exit or open")
		}
	}
	return faults
}

// whoFaults: a vehicle is named by its id or by its plate.
func whoFaults(at, id string, vehicle *parking.NewVehicle) []domain.Fault {
	switch {
	case (id == "") == (vehicle == nil):
		return []domain.Fault{{Location: at + "vehicleId", Message: "give vehicleId or vehicle, and not both"}}
	case vehicle == nil:
		return parking.IDFaults(at+"vehicleId", id)
	}
	_, faults := vehicle.Vehicle(at + "vehicle.")
	return faults
}

func (g *Garage) gateEvent(ctx context.Context, e *parking.GateEvent, where, actor string) (parking.GateResult, error) {
	p := passage{
		call:     parking.Call{GateID: e.GateID, Sequence: e.Sequence, Given: true},
		facility: e.FacilityID, at: &e.ObservedAt, where: where, actor: actor,
		body: passageBody{Kind: e.Kind, FacilityID: e.FacilityID, VehicleID: e.VehicleID, Vehicle: e.Vehicle, TicketID: e.TicketID},
	}
	result := parking.GateResult{GateID: e.GateID, Sequence: e.Sequence, Status: parking.GateApplied}
	var answer gateAnswer
	var known bool
	var err error
	switch e.Kind {
	case gateEntry:
		answer, known, err = g.enter(ctx, &p, &parking.NewEntry{VehicleID: e.VehicleID, Vehicle: e.Vehicle, At: &e.ObservedAt})
	case gateExit:
		answer, known, err = g.leave(ctx, &p)
	default:
		answer, known, err = g.open(ctx, &p)
	}
	if err == nil {
		err = answer.refusal()
	}
	result.TicketID = answer.ticketID()
	var refusal *domain.Error
	switch {
	case err == nil:
	case errors.As(err, &refusal) && refusal.Code != domain.CodeUnavailable:
		result.Status, result.Code, result.Message = parking.GateRefused, refusal.Code, refusal.Message
	default:
		return result, err
	}
	if known && result.Code != domain.CodeSequenceConflict {
		result.Status = parking.GateDuplicate
	}
	return result, nil
}

// open records that somebody opened the gate by hand.
func (g *Garage) open(ctx context.Context, p *passage) (gateAnswer, bool, error) {
	return g.pass(ctx, p, func(ctx context.Context, tx store.FacilityTx, _ bool) (gateAnswer, error) {
		var subjects []string
		if p.body.TicketID != "" {
			subjects = append(subjects, parking.TicketSubject(p.body.TicketID))
		}
		if p.body.VehicleID != "" {
			subjects = append(subjects, parking.VehicleSubject(p.body.VehicleID))
		}
		return gateAnswer{}, record(ctx, tx, parking.EventGateOpen, p.actor, subjects, p.fields(map[string]any{"observedAt": p.at}))
	})
}
