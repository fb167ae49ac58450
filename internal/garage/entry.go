package garage

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// errChanged: what was read before the lock is no longer so.
var errChanged = errors.New("the facility was changed meanwhile")

// Enter lets a vehicle in: it gets a ticket for its spots, or a place in the waiting
// line where it asked for one.
func (g *Garage) Enter(ctx context.Context, id parking.FacilityID, request parking.NewEntry, actor string) (parking.Entered, error) {
	request.Features = parking.SortedSet(request.Features)
	if err := invalid(entryFaults(&request)); err != nil {
		return parking.Entered{}, err
	}
	answer, _, err := g.enter(ctx, &passage{
		call: request.Call, facility: id, at: request.At, where: "body.at", actor: actor,
		body: passageBody{
			Kind: gateEntry, FacilityID: id, VehicleID: request.VehicleID, Vehicle: request.Vehicle,
			Features: request.Features, ReservationID: request.ReservationID, Wait: request.Wait,
		},
	}, &request)
	if err == nil {
		err = answer.refusal()
	}
	if err != nil {
		return parking.Entered{}, err
	}
	if answer.Waiting != nil {
		return parking.Entered{Waiting: &parking.WaitingView{Waiting: *answer.Waiting, Position: answer.Position}}, nil
	}
	return parking.Entered{Ticket: &parking.TicketView{Ticket: *answer.Ticket}}, nil
}

func entryFaults(request *parking.NewEntry) []domain.Fault {
	faults := callFaults(request.Call)
	faults = append(faults, whoFaults("", request.VehicleID, request.Vehicle)...)
	faults = append(faults, parking.FeatureFaults("features", request.Features)...)
	if request.ReservationID != "" {
		faults = append(faults, parking.IDFaults("reservationId", request.ReservationID)...)
		if request.Wait != nil {
			faults = append(faults, domain.Fault{Location: "wait", Message: "has no use with a reservation; leave it out"})
		}
	}
	if request.Wait != nil && (request.Wait.Priority < 0 || request.Wait.Priority >= domain.PriorityClasses) {
		faults = append(faults, domain.Fault{Location: "wait.priority", Message: "must be low, normal, high or critical"})
	}
	return faults
}

// arrival is a vehicle at a gate, as far as it is known before the lock.
type arrival struct {
	passage  *passage
	request  *parking.NewEntry
	strategy *parking.Strategy
	vehicle  parking.Vehicle
	refusal  error // why the vehicle is not let in, whatever is free

	ticketID string    // if it gets one
	at       time.Time // set under the lock
}

func (a *arrival) demand() parking.Demand {
	return parking.Demand{Size: a.vehicle.Size, Features: a.request.Features}
}

// enter decides an entry. What is not the facility's (tariff, vehicle) is read before
// its lock.
func (g *Garage) enter(ctx context.Context, p *passage, request *parking.NewEntry) (gateAnswer, bool, error) {
	if answer, known, err := g.known(ctx, p); known || err != nil {
		return answer, known, err
	}
	a := arrival{passage: p, request: request, ticketID: g.newID()}
	for {
		if err := g.prepare(ctx, &a); err != nil {
			return gateAnswer{}, false, err
		}
		answer, known, err := g.pass(ctx, p, func(ctx context.Context, tx store.FacilityTx, again bool) (gateAnswer, error) {
			return g.admit(ctx, tx, &a, again)
		})
		if !errors.Is(err, errChanged) {
			return answer, known, err
		}
	}
}

// prepare reads the facility's tariff and the vehicle. What refuses the vehicle is kept
// for the facility to answer.
func (g *Garage) prepare(ctx context.Context, a *arrival) error {
	var err error
	if a.strategy, err = g.facilityStrategy(ctx, a.passage.facility); err != nil {
		return err
	}
	if a.vehicle.VehicleID != "" {
		return nil
	}
	a.vehicle, a.refusal = g.identify(ctx, a.request.VehicleID, a.request.Vehicle, a.passage.actor)
	if a.refusal != nil {
		if refusal, ok := errors.AsType[*domain.Error](a.refusal); ok && lasting(refusal.Code) {
			return nil
		}
		return a.refusal
	}
	open, err := g.store.Tickets(ctx, store.TicketFilter{Vehicle: a.vehicle.VehicleID, Status: parking.TicketOpen, Limit: 1})
	if err == nil && len(open) > 0 {
		a.refusal = alreadyParked(a.vehicle.VehicleID)
	}
	return edge(err, nil)
}

func alreadyParked(vehicle string) *domain.Error {
	return domain.Errorf(domain.CodeAlreadyParked, "the vehicle %q has an open ticket; it must leave first", vehicle)
}

// admit decides under the lock.
func (g *Garage) admit(ctx context.Context, tx store.FacilityTx, a *arrival, again bool) (gateAnswer, error) {
	if again {
		if answer, err := a.admitted(ctx, tx); !errors.Is(err, store.ErrNotFound) {
			return answer, err
		}
	}
	if a.refusal != nil {
		return gateAnswer{}, a.refusal
	}
	if tx.Facility().StrategyID != a.strategy.StrategyID {
		return gateAnswer{}, errChanged
	}
	var err error
	if a.at, err = instant(a.passage.where, a.request.At, tx.Now(), tx.Now().Add(-maxPast)); err != nil {
		return gateAnswer{}, err
	}
	if err := g.sweep(ctx, tx); err != nil {
		return gateAnswer{}, err
	}
	if a.request.ReservationID != "" {
		return g.admitReserved(ctx, tx, a)
	}
	spots, line, err := g.place(ctx, tx, a)
	if err != nil {
		return gateAnswer{}, err
	}
	if len(spots) > 0 {
		answer, err := g.letIn(ctx, tx, a, idsOf(spots), "")
		if err == nil {
			err = line.passed(ctx, spots)
		}
		return answer, err
	}
	fits, err := g.fitsEver(ctx, tx, a.demand())
	switch {
	case err != nil:
		return gateAnswer{}, err
	case !fits:
		return gateAnswer{}, domain.Errorf(domain.CodeNoFitEver,
			"a %s vehicle would not fit the facility %q with these features if it were empty", a.vehicle.Size, a.passage.facility)
	case a.request.Wait != nil:
		w, err := g.join(ctx, tx, a)
		return gateAnswer{Waiting: &w.Waiting, Position: w.Position}, err
	}
	return gateAnswer{}, domain.Errorf(domain.CodeFull,
		"nothing in %q fits a %s vehicle now; ask again later, or with wait", a.passage.facility, a.vehicle.Size)
}

// admitted finds what an earlier try did whose commit was lost.
func (a *arrival) admitted(ctx context.Context, tx store.FacilityTx) (gateAnswer, error) {
	ticket, err := tx.Ticket(ctx, a.ticketID)
	if err == nil {
		return gateAnswer{Ticket: &ticket}, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return gateAnswer{}, err
	}
	line, err := tx.Line(ctx, maxLine)
	if err != nil {
		return gateAnswer{}, err
	}
	for i := range line {
		if line[i].VehicleID == a.vehicle.VehicleID {
			return gateAnswer{Waiting: &line[i].Waiting, Position: int64(i + 1)}, nil
		}
	}
	return gateAnswer{}, store.ErrNotFound
}

// letIn writes the arrival's ticket.
func (g *Garage) letIn(ctx context.Context, tx store.FacilityTx, a *arrival, spots []string, heldBy string) (gateAnswer, error) {
	t, err := g.issue(ctx, tx, issuing{
		ticketID: a.ticketID, vehicle: a.vehicle.VehicleID, spots: spots, heldBy: heldBy, entry: a.at, strategy: a.strategy,
		reservationID: a.request.ReservationID, actor: a.passage.actor, passage: a.passage,
	})
	return gateAnswer{Ticket: &t}, err
}

// admitReserved lets the vehicle onto the spots that are held for it.
func (g *Garage) admitReserved(ctx context.Context, tx store.FacilityTx, a *arrival) (gateAnswer, error) {
	r, err := tx.Reservation(ctx, a.request.ReservationID)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && r.FacilityID != a.passage.facility:
		return gateAnswer{}, domain.Errorf(domain.CodeUnknownReservation,
			"the facility %q has no reservation %q", a.passage.facility, a.request.ReservationID)
	case err != nil:
		return gateAnswer{}, err
	case r.VehicleID != a.vehicle.VehicleID:
		return gateAnswer{}, domain.Errorf(domain.CodeReservationVehicle, "the reservation %q is for another vehicle", r.ReservationID)
	case r.Status != parking.ReservationBooked:
		return gateAnswer{}, domain.Errorf(domain.CodeReservationEnded, "the reservation %q is %s", r.ReservationID, r.Status)
	case a.at.Before(r.From):
		return gateAnswer{}, domain.Errorf(domain.CodeReservationNotDue, "the reservation %q begins at %s; enter without it, or then",
			r.ReservationID, r.From.Format(time.RFC3339))
	case !r.Holding:
		return gateAnswer{}, domain.Errorf(domain.CodeFull,
			"what is reserved by %q is still occupied; it gets the next spots that become free", r.ReservationID)
	}
	answer, err := g.letIn(ctx, tx, a, r.SpotIDs, reservationHold(r.ReservationID))
	if err != nil {
		return gateAnswer{}, err
	}
	r.Status, r.Holding = parking.ReservationUsed, false
	if err := tx.SetReservation(ctx, &r); err != nil {
		return gateAnswer{}, err
	}
	return answer, schedule(ctx, tx)
}

// reservationHold is who holds the spots of a reservation.
func reservationHold(id string) string { return "reservation:" + id }

// issuing is a ticket to be written.
type issuing struct {
	ticketID      string // empty: one is made up
	vehicle       string
	spots         []string // lowest position first
	heldBy        string   // who holds them; empty: they are free
	entry         time.Time
	strategy      *parking.Strategy
	reservationID string
	actor         string
	passage       *passage // nil: at no gate
}

// issue writes the ticket. The vehicle may have parked elsewhere a moment ago, which is
// found out before a spot changes.
func (g *Garage) issue(ctx context.Context, tx store.FacilityTx, i issuing) (parking.Ticket, error) {
	t := parking.Ticket{
		TicketID: i.ticketID, FacilityID: tx.Facility().FacilityID, VehicleID: i.vehicle, SpotIDs: i.spots, Status: parking.TicketOpen,
		EntryTime: i.entry, StrategyID: i.strategy.StrategyID, StrategyVersion: i.strategy.Version,
		EntryOccupancyBP: tx.Facility().Counts.OccupancyBP(), ReservationID: i.reservationID,
	}
	if t.TicketID == "" {
		t.TicketID = g.newID()
	}
	err := tx.InsertTicket(ctx, &t)
	if errors.Is(err, store.ErrConflict) {
		return t, alreadyParked(i.vehicle)
	}
	if err != nil {
		return t, err
	}
	if err := tx.Occupy(ctx, i.spots, t.TicketID, t.VehicleID, i.heldBy); err != nil {
		return t, err
	}
	fields := map[string]any{
		"spotIds": i.spots, "entryTime": t.EntryTime, "strategyId": t.StrategyID, "strategyVersion": t.StrategyVersion,
		"entryOccupancyBp": t.EntryOccupancyBP,
	}
	if t.ReservationID != "" {
		fields["reservationId"] = t.ReservationID
	}
	if i.passage != nil {
		fields = i.passage.fields(fields)
	}
	return t, record(ctx, tx, parking.EventEntry, i.actor, ticketSubjects(&t), fields)
}

func ticketSubjects(t *parking.Ticket) []string {
	return append([]string{parking.TicketSubject(t.TicketID), parking.VehicleSubject(t.VehicleID)}, parking.SpotSubjects(t.SpotIDs...)...)
}

// idsOf names spots, lowest position first.
func idsOf(spots []parking.Spot) []string {
	sorted := slices.SortedFunc(slices.Values(spots), func(a, b parking.Spot) int { return int(a.Position - b.Position) })
	ids := make([]string, len(sorted))
	for i := range sorted {
		ids[i] = sorted[i].SpotID
	}
	return ids
}
