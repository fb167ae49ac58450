package check

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

const eventsPage = 5000

// trail follows a facility's events: who stands where at every instant.
type trail struct {
	*checker
	last       int64
	lastAt     time.Time
	lastImport int64               // number of the last event that may have moved spots
	spots      map[string]string   // spot → live ticket
	tickets    map[string][]string // live ticket → its spots
	vehicles   map[string]string   // vehicle → live ticket
}

// trail reads the events up to the counter of f, read before.
func (c *checker) trail(ctx context.Context, f *parking.Facility) (*trail, error) {
	t := &trail{checker: c, spots: map[string]string{}, tickets: map[string][]string{}, vehicles: map[string]string{}}
	source := f.FacilityID.Source()
	filter := store.EventFilter{Pool: domain.PoolID(source), Cursor: domain.Cursor{}, Limit: eventsPage}
	for t.last < f.Sequences.Event {
		page, err := c.source.Events(ctx, filter)
		if err != nil {
			return nil, fmt.Errorf("events: %w", err)
		}
		if len(page) == 0 {
			c.add(Violation{Promise: PromiseSequence, Seq: t.last, Message: fmt.Sprintf("the last event there is; %d were numbered", f.Sequences.Event)})
			break
		}
		for i := range page {
			t.apply(&page[i])
		}
		filter.Cursor = domain.Cursor{source: t.last}
	}
	return t, nil
}

func (t *trail) apply(e *domain.Event) {
	t.current.Events++
	if t.last > 0 && e.Seq != t.last+1 {
		t.add(Violation{Promise: PromiseSequence, Seq: e.Seq, Message: fmt.Sprintf("follows number %d", t.last)})
	}
	if e.At.Before(t.lastAt) {
		t.add(Violation{Promise: PromiseSequence, Seq: e.Seq, Message: fmt.Sprintf("is of %s, before the one before it", e.At.Format(time.RFC3339Nano))})
	}
	if t.last == 0 {
		t.lastImport = e.Seq - 1 // what retention has dropped may have been one
	}
	t.last, t.lastAt = e.Seq, e.At
	switch e.Kind {
	case parking.EventEntry:
		t.enter(e)
	case parking.EventExit, parking.EventVoid:
		t.leave(e)
	case parking.EventSpots:
		t.lastImport = e.Seq
	}
}

func (t *trail) enter(e *domain.Event) {
	ticket, vehicle := subject(e, "ticket:"), subject(e, "vehicle:")
	spots := subjects(e, "spot:")
	if other := t.vehicles[vehicle]; other != "" {
		t.add(Violation{Promise: PromiseVehicles, TicketID: ticket, Seq: e.Seq, Message: fmt.Sprintf("vehicle %s still has ticket %s", vehicle, other)})
	}
	for _, spot := range spots {
		if other := t.spots[spot]; other != "" {
			t.add(Violation{Promise: PromiseSpots, TicketID: ticket, SpotID: spot, Seq: e.Seq, Message: "is still occupied by ticket " + other})
		}
		t.spots[spot] = ticket
	}
	t.tickets[ticket], t.vehicles[vehicle] = spots, ticket
	t.current.PeakTaken = max(t.current.PeakTaken, int64(len(t.spots)))
}

// leave frees what the ticket holds. A ticket that has left may be annulled; one that
// entered before the trail begins is not known.
func (t *trail) leave(e *domain.Event) {
	ticket, vehicle := subject(e, "ticket:"), subject(e, "vehicle:")
	for _, spot := range t.tickets[ticket] {
		if t.spots[spot] == ticket {
			delete(t.spots, spot)
		}
	}
	delete(t.tickets, ticket)
	if t.vehicles[vehicle] == ticket {
		delete(t.vehicles, vehicle)
	}
}

func subject(e *domain.Event, prefix string) string {
	if found := subjects(e, prefix); len(found) > 0 {
		return found[0]
	}
	return ""
}

func subjects(e *domain.Event, prefix string) []string {
	var found []string
	for _, s := range e.Subjects {
		if id, ok := strings.CutPrefix(s, prefix); ok {
			found = append(found, id)
		}
	}
	return found
}
