package parking

import "github.com/parkinglot/parkinglot/internal/domain"

// The kinds of audit events of the parking half. Those of a facility are numbered by
// its source, those of vehicles and strategies by RegisterSource.
const (
	EventFacility        domain.EventKind = "parking.facility" // made or changed
	EventSpots           domain.EventKind = "parking.spots"    // an import
	EventSpot            domain.EventKind = "parking.spot"
	EventVehicle         domain.EventKind = "parking.vehicle"
	EventStrategy        domain.EventKind = "parking.strategy"
	EventEntry           domain.EventKind = "parking.entry"
	EventExit            domain.EventKind = "parking.exit"
	EventPayment         domain.EventKind = "parking.payment"
	EventAdjustment      domain.EventKind = "parking.adjustment"
	EventLost            domain.EventKind = "parking.lost"
	EventVoid            domain.EventKind = "parking.void"
	EventReservation     domain.EventKind = "parking.reservation"
	EventReservationHold domain.EventKind = "parking.reservation_hold"
	EventNoShow          domain.EventKind = "parking.no_show"
	EventWait            domain.EventKind = "parking.wait"
	EventOffer           domain.EventKind = "parking.offer"
	EventOfferLapsed     domain.EventKind = "parking.offer_lapsed"
	EventWaitEnd         domain.EventKind = "parking.wait_end"
	EventGateOpen        domain.EventKind = "parking.gate_open"
)

// FacilitySubject names a facility in an event's subjects.
func FacilitySubject(id FacilityID) string { return "facility:" + string(id) }

// TicketSubject names a ticket in an event's subjects.
func TicketSubject(id string) string { return "ticket:" + id }

// VehicleSubject names a vehicle in an event's subjects.
func VehicleSubject(id string) string { return "vehicle:" + id }

// SpotSubjects name spots in an event's subjects. Ids of spots are a facility's own,
// so the event's source says which spot is meant.
func SpotSubjects(ids ...string) []string {
	subjects := make([]string, len(ids))
	for i, id := range ids {
		subjects[i] = "spot:" + id
	}
	return subjects
}
