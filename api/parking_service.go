package api

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// ParkingService is everything the edge asks of the parking half. Errors a client can
// act on are *domain.Error: faults carry locations under body, path or query. Creates
// answer the same id with the same request as the first time (which is why they take
// the request as it was sent, with defaults left out), another request with CodeExists.
// Ids and instants are checked here, shapes of JSON and CSV at the edge.
type ParkingService interface {
	ParkingInventory
	ParkingTickets
	ParkingLine
	ParkingReports
}

// ParkingInventory keeps facilities, spots, vehicles and pricing strategies.
type ParkingInventory interface {
	CreateFacility(ctx context.Context, request parking.NewFacility, actor string) (parking.Facility, error)
	Facility(ctx context.Context, id parking.FacilityID) (parking.Facility, error)
	Facilities(ctx context.Context) ([]parking.Facility, error) // by id
	ChangeFacility(ctx context.Context, id parking.FacilityID, change parking.FacilityChange) (parking.Facility, error)

	// ImportSpots stores all spots or none. State and the order of features do not count.
	ImportSpots(ctx context.Context, id parking.FacilityID, spots []parking.Spot, actor string) (parking.Imported, error)
	Spots(ctx context.Context, filter store.SpotFilter) ([]parking.PlacedSpot, error)
	ChangeSpot(ctx context.Context, id parking.FacilityID, spot string, change parking.SpotChange) (parking.PlacedSpot, error)

	CreateVehicle(ctx context.Context, request parking.NewVehicle, actor string) (parking.Vehicle, error)
	Vehicle(ctx context.Context, id string) (parking.Vehicle, error)
	// VehicleByPlate normalises plate and jurisdiction first.
	VehicleByPlate(ctx context.Context, plate, jurisdiction string) (parking.Vehicle, error)
	SetPermits(ctx context.Context, id string, permits []string, actor string) (parking.Vehicle, error)

	// CreateStrategy stores version 1, AddStrategyVersion the next: the version of the
	// request is 0, or the one it would be. They answer what was stored, as tiers.
	CreateStrategy(ctx context.Context, spec parking.Spec, actor string) (parking.Spec, error)
	AddStrategyVersion(ctx context.Context, id string, spec parking.Spec, actor string) (parking.Spec, error)
	// Strategy returns one version; 0: the newest.
	Strategy(ctx context.Context, id string, version int) (parking.Spec, error)
	// Price computes a stay under a version and returns its currency. It stores nothing.
	Price(ctx context.Context, id string, version int, request parking.PriceRequest) (price parking.Price, currency string, err error)
}

// ParkingTickets lets vehicles in and out and takes their money.
type ParkingTickets interface {
	// Enter answers 201 with a ticket or 202 with a place in the line.
	Enter(ctx context.Context, id parking.FacilityID, request parking.NewEntry, actor string) (parking.Entered, error)
	Ticket(ctx context.Context, id string) (parking.TicketView, error)
	Tickets(ctx context.Context, filter store.TicketFilter) ([]parking.TicketView, error)
	// Quote computes until an instant; nil: now.
	Quote(ctx context.Context, ticket string, until *time.Time) (parking.Quote, error)
	Pay(ctx context.Context, ticket string, request parking.NewPayment, actor string) (parking.TicketView, error)
	Adjust(ctx context.Context, ticket string, request parking.NewAdjustment, actor string) (parking.TicketView, error)
	ReportLost(ctx context.Context, ticket string, at *time.Time, actor string) (parking.TicketView, error)
	Exit(ctx context.Context, ticket string, request parking.NewExit, actor string) (parking.TicketView, error)
	Void(ctx context.Context, ticket, reason, actor string) (parking.TicketView, error)
	// GateEvents applies what gates did, in order, each in a transaction of its own; one
	// result an event. An error is of the whole call: what came before it is applied, and
	// the same call again goes on from there.
	GateEvents(ctx context.Context, events []parking.GateEvent, actor string) ([]parking.GateResult, error)
}

// ParkingLine keeps reservations and the waiting lines.
type ParkingLine interface {
	Reserve(ctx context.Context, id parking.FacilityID, request parking.NewReservation, actor string) (parking.Reservation, error)
	Reservation(ctx context.Context, id string) (parking.Reservation, error)
	CancelReservation(ctx context.Context, id, actor string) (parking.Reservation, error) // idempotent

	WaitingLine(ctx context.Context, id parking.FacilityID) ([]parking.WaitingView, error) // in order
	Waiting(ctx context.Context, id string) (parking.WaitingView, error)
	CancelWaiting(ctx context.Context, id, actor string) (parking.WaitingView, error) // idempotent
	// AcceptOffer turns the spots held for somebody who waited into a ticket; again: the
	// same ticket.
	AcceptOffer(ctx context.Context, id string, at *time.Time, actor string) (parking.TicketView, error)
}

// ParkingReports reads what happened.
type ParkingReports interface {
	OccupancyNow(ctx context.Context, id parking.FacilityID) ([]parking.OccupancyRow, error)
	OccupancyHistory(ctx context.Context, id parking.FacilityID, from, to time.Time, step time.Duration) ([]parking.OccupancySample, error)
	Revenue(ctx context.Context, id parking.FacilityID, from, to time.Time) ([]parking.RevenueRow, error)
	Reconcile(ctx context.Context, id parking.FacilityID, from, to time.Time) (parking.Reconciliation, error)
	WhatIf(ctx context.Context, id parking.FacilityID, request parking.WhatIf) (parking.WhatIfReport, error)
}
