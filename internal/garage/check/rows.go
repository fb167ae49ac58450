package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

const (
	spotsPage   = 1000
	ticketsPage = 500
	reads       = 5 // of a facility that changes while it is read
)

// state is what a facility's rows say at one instant.
type state struct {
	facility parking.Facility
	spots    map[string]parking.PlacedSpot
	open     map[string]parking.Ticket
	line     map[string]parking.Waiting
}

// rows compares the rows of a facility with each other and returns its spots.
func (c *checker) rows(ctx context.Context, id parking.FacilityID) (map[string]parking.PlacedSpot, error) {
	var s *state
	for range reads {
		var still bool
		var err error
		if s, still, err = c.read(ctx, id); err != nil {
			return nil, err
		}
		if still {
			c.current.Compared = true
			break
		}
	}
	c.current.Spots = int64(len(s.spots))
	if !c.current.Compared {
		return s.spots, nil
	}
	c.counts(s)
	for _, spot := range s.spots {
		if err := c.spot(ctx, s, &spot); err != nil {
			return nil, err
		}
	}
	for _, t := range s.open {
		if err := c.openTicket(ctx, s, &t); err != nil {
			return nil, err
		}
	}
	for _, w := range s.line {
		for _, spot := range w.OfferSpotIDs {
			if w.Status == parking.WaitingOffered && s.spots[spot].HeldBy != "offer:"+w.WaitingID {
				c.add(Violation{Promise: PromiseSpots, SpotID: spot, Message: "is offered to " + w.WaitingID + ", but not held for it"})
			}
		}
	}
	return s.spots, nil
}

// read reads a facility's rows; still: nothing changed meanwhile.
func (c *checker) read(ctx context.Context, id parking.FacilityID) (s *state, still bool, err error) {
	s = &state{spots: map[string]parking.PlacedSpot{}, open: map[string]parking.Ticket{}, line: map[string]parking.Waiting{}}
	if s.facility, err = c.source.Facility(ctx, id); err != nil {
		return nil, false, err
	}
	for after := ""; ; {
		page, err := c.source.Spots(ctx, store.SpotFilter{Facility: id, After: after, Limit: spotsPage})
		if err != nil {
			return nil, false, fmt.Errorf("spots: %w", err)
		}
		for _, spot := range page {
			s.spots[spot.SpotID] = spot
			after = spot.SpotID
		}
		if len(page) < spotsPage {
			break
		}
	}
	err = c.tickets(ctx, store.TicketFilter{Facility: id, Status: parking.TicketOpen}, func(t *parking.Ticket) error {
		s.open[t.TicketID] = *t
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	line, err := c.source.WaitingLine(ctx, id)
	if err != nil {
		return nil, false, fmt.Errorf("waiting line: %w", err)
	}
	for i := range line {
		s.line[line[i].WaitingID] = line[i]
	}
	after, err := c.source.Facility(ctx, id)
	return s, err == nil && after.Sequences == s.facility.Sequences, err
}

func (c *checker) counts(s *state) {
	var counted parking.Counts
	for _, spot := range s.spots {
		counted.Total++
		if spot.OutOfService {
			continue
		}
		counted.InService++
		switch spot.State {
		case parking.SpotOccupied:
			counted.Occupied++
		case parking.SpotReserved:
			counted.Reserved++
		case parking.SpotFree:
		}
	}
	if counted != s.facility.Counts {
		c.add(Violation{Promise: PromiseCounts, Message: fmt.Sprintf("the counts are %+v, the spots make %+v", s.facility.Counts, counted)})
	}
}

// spot compares a spot with the ticket or the hold that it names.
func (c *checker) spot(ctx context.Context, s *state, spot *parking.PlacedSpot) error {
	switch spot.State {
	case parking.SpotFree:
		if spot.TicketID != "" || spot.HeldBy != "" {
			c.add(Violation{Promise: PromiseSpots, SpotID: spot.SpotID, TicketID: spot.TicketID, Message: "is free, and names who has it"})
		}
	case parking.SpotOccupied:
		t, open := s.open[spot.TicketID]
		if !open || !slices.Contains(t.SpotIDs, spot.SpotID) || t.VehicleID != spot.VehicleID {
			c.add(Violation{Promise: PromiseSpots, SpotID: spot.SpotID, TicketID: spot.TicketID, Message: "is occupied by a ticket that is not open on it"})
		}
	case parking.SpotReserved:
		held, err := c.holds(ctx, s, spot)
		if err != nil {
			return err
		}
		if !held {
			c.add(Violation{Promise: PromiseSpots, SpotID: spot.SpotID, Message: fmt.Sprintf("is reserved by %q, which does not hold it", spot.HeldBy)})
		}
	}
	return nil
}

// holds asks who holds a reserved spot whether it does.
func (c *checker) holds(ctx context.Context, s *state, spot *parking.PlacedSpot) (bool, error) {
	kind, id, _ := strings.Cut(spot.HeldBy, ":")
	switch kind {
	case "offer":
		w := s.line[id]
		return w.Status == parking.WaitingOffered && slices.Contains(w.OfferSpotIDs, spot.SpotID), nil
	case "reservation":
		r, err := c.source.Reservation(ctx, id)
		if err != nil {
			return false, fmt.Errorf("reservation %s of spot %s: %w", id, spot.SpotID, err)
		}
		if r.Holding && r.Status == parking.ReservationBooked && slices.Contains(r.SpotIDs, spot.SpotID) {
			return true, nil
		}
		// It may have ended since the spots were read.
		f, err := c.source.Facility(ctx, s.facility.FacilityID)
		return err == nil && f.Sequences != s.facility.Sequences, err
	}
	return false, nil
}

func (c *checker) openTicket(ctx context.Context, s *state, t *parking.Ticket) error {
	c.current.Tickets++
	for _, id := range t.SpotIDs {
		if s.spots[id].TicketID != t.TicketID {
			c.add(Violation{Promise: PromiseSpots, TicketID: t.TicketID, SpotID: id, Message: "is not occupied by the open ticket that has it"})
		}
	}
	c.window(s.spots, t)
	other, twice := c.parked[t.VehicleID]
	c.parked[t.VehicleID] = *t
	if !twice {
		return nil
	}
	// It may have gone from the one to the other while they were read.
	now, err := c.source.Ticket(ctx, other.TicketID)
	if err != nil {
		return fmt.Errorf("ticket %s: %w", other.TicketID, err)
	}
	if now.Status == parking.TicketOpen {
		c.add(Violation{
			Promise: PromiseVehicles, TicketID: t.TicketID,
			Message: fmt.Sprintf("vehicle %s has the open ticket %s at %s as well", t.VehicleID, other.TicketID, other.FacilityID),
		})
	}
	return nil
}

// window: the spots of a ticket are next to each other and of one kind.
func (c *checker) window(spots map[string]parking.PlacedSpot, t *parking.Ticket) {
	for i, id := range t.SpotIDs {
		spot, there := spots[id]
		if !there {
			c.add(Violation{Promise: PromiseWindows, TicketID: t.TicketID, SpotID: id, Message: "is not there"})
			return
		}
		if i == 0 {
			continue
		}
		before := spots[t.SpotIDs[i-1]]
		next := before.Place()
		next.Position++
		if spot.Kind != before.Kind || spot.Place() != next {
			c.add(Violation{
				Promise: PromiseWindows, TicketID: t.TicketID, SpotID: id,
				Message: fmt.Sprintf("(%s, %+v) does not follow %s (%s, %+v)", spot.Kind, spot.Place(), before.SpotID, before.Kind, before.Place()),
			})
		}
	}
}

// ended checks the tickets that have ended: their money, and their windows where no
// import has moved spots since they entered.
func (c *checker) ended(ctx context.Context, id parking.FacilityID, spots map[string]parking.PlacedSpot, lastImport int64) error {
	return c.tickets(ctx, store.TicketFilter{Facility: id}, func(t *parking.Ticket) error {
		if t.Status == parking.TicketOpen {
			return nil
		}
		c.current.Tickets++
		if t.Seq > lastImport {
			c.window(spots, t)
		}
		s, err := c.strategy(ctx, t)
		if err != nil {
			return err
		}
		for _, fault := range t.MoneyFaults(s) {
			switch fault.Code {
			case parking.FaultAmount:
				c.add(Violation{Promise: PromisePrice, TicketID: t.TicketID, Message: fault.Message})
			case parking.FaultOverpaid: // a discount came after the payment
			default:
				c.add(Violation{Promise: PromiseMoney, TicketID: t.TicketID, Message: fault.Message})
			}
		}
		return nil
	})
}

// tickets calls f with every ticket that the filter selects.
func (c *checker) tickets(ctx context.Context, filter store.TicketFilter, f func(*parking.Ticket) error) error {
	filter.Limit, filter.AfterFacility = ticketsPage, filter.Facility
	for {
		page, err := c.source.Tickets(ctx, filter)
		if err != nil {
			return fmt.Errorf("tickets: %w", err)
		}
		for i := range page {
			if err := f(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < ticketsPage {
			return nil
		}
		filter.AfterSeq = page[len(page)-1].Seq
	}
}
