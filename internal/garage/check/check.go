// Package check proves from what a store keeps that the parking half kept its
// promises: the audit trail is read event by event, and the rows are compared with it
// and with each other.
//
// What it is not: it repairs nothing and writes nothing. What retention has dropped of
// the trail it cannot prove; it begins with the first event that is there. Rows are read
// while facilities go on working: what changed meanwhile is read again, and a facility
// that never holds still has its rows reported as not compared.
package check

import (
	"context"
	"fmt"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Promise names what a violation breaks.
type Promise string

// The promises that are checked.
const (
	PromiseSequence Promise = "parking.sequence" // events are numbered without a gap, in the order of time
	PromiseSpots    Promise = "parking.spots"    // a spot is taken by at most one ticket or hold, and says by which
	PromiseVehicles Promise = "parking.vehicles" // a vehicle has at most one open ticket, anywhere
	PromiseWindows  Promise = "parking.windows"  // the spots of a ticket are next to each other and of one kind
	PromiseCounts   Promise = "parking.counts"   // a facility's counts equal its spots
	PromisePrice    Promise = "parking.price"    // the price of what a ticket stores is what it stores
	PromiseMoney    Promise = "parking.money"    // what was charged was paid, what was annulled refunded
)

// Source is what is read.
type Source interface {
	store.Parking
	Events(ctx context.Context, f store.EventFilter) ([]domain.Event, error)
}

// Options bounds a check. The zero value checks all facilities and keeps no violation.
type Options struct {
	Facilities []parking.FacilityID // empty: all
	Keep       int                  // violations to keep; all are counted
}

// Violation is one broken promise, in a sentence.
type Violation struct {
	Promise  Promise            `json:"promise"`
	Facility parking.FacilityID `json:"facilityId"`
	TicketID string             `json:"ticketId,omitempty"`
	SpotID   string             `json:"spotId,omitempty"`
	Seq      int64              `json:"seq,omitempty"` // of the event that shows it; 0: none
	Message  string             `json:"message"`
}

// String returns the violation as one line.
func (v Violation) String() string {
	where := "facility " + string(v.Facility)
	if v.Seq > 0 {
		where += fmt.Sprintf(" #%d", v.Seq)
	}
	if v.TicketID != "" {
		where += " ticket " + v.TicketID
	}
	if v.SpotID != "" {
		where += " spot " + v.SpotID
	}
	return fmt.Sprintf("%s: %s: %s", v.Promise, where, v.Message)
}

// FacilityReport is what was found of a facility.
type FacilityReport struct {
	Facility   parking.FacilityID `json:"facilityId"`
	Events     int64              `json:"events"`
	Tickets    int64              `json:"tickets"`
	Spots      int64              `json:"spots"`
	PeakTaken  int64              `json:"peakTaken"` // spots occupied at once, by the trail
	Compared   bool               `json:"compared"`  // rows with each other; false: it never held still
	Violations int                `json:"violations"`
}

// Report is what was found.
type Report struct {
	Facilities []FacilityReport `json:"facilities"`
	Violations int              `json:"violations"`
	First      []Violation      `json:"first,omitempty"`
}

// Run checks the facilities of a store. An error is of the reading; broken promises are
// in the report.
func Run(ctx context.Context, source Source, options Options) (Report, error) {
	c := &checker{source: source, options: options, strategies: map[strategyKey]*parking.Strategy{}, parked: map[string]parking.Ticket{}}
	ids := options.Facilities
	if len(ids) == 0 {
		all, err := source.ListFacilities(ctx)
		if err != nil {
			return Report{}, fmt.Errorf("read the facilities: %w", err)
		}
		for i := range all {
			ids = append(ids, all[i].FacilityID)
		}
	}
	for _, id := range ids {
		if err := c.facility(ctx, id); err != nil {
			return Report{}, fmt.Errorf("facility %s: %w", id, err)
		}
	}
	return c.report, nil
}

type checker struct {
	source     Source
	options    Options
	report     Report
	current    *FacilityReport
	strategies map[strategyKey]*parking.Strategy
	parked     map[string]parking.Ticket // open tickets by vehicle
}

type strategyKey struct {
	id      string
	version int
}

func (c *checker) add(v Violation) {
	v.Facility = c.current.Facility
	c.current.Violations++
	c.report.Violations++
	if len(c.report.First) < c.options.Keep {
		c.report.First = append(c.report.First, v)
	}
}

// facility checks one: the trail up to what its counter said before, then the rows.
func (c *checker) facility(ctx context.Context, id parking.FacilityID) error {
	c.report.Facilities = append(c.report.Facilities, FacilityReport{Facility: id})
	c.current = &c.report.Facilities[len(c.report.Facilities)-1]
	f, err := c.source.Facility(ctx, id)
	if err != nil {
		return err
	}
	trail, err := c.trail(ctx, &f)
	if err != nil {
		return err
	}
	spots, err := c.rows(ctx, id)
	if err != nil {
		return err
	}
	return c.ended(ctx, id, spots, trail.lastImport)
}

// strategy returns the version that a ticket entered under.
func (c *checker) strategy(ctx context.Context, t *parking.Ticket) (*parking.Strategy, error) {
	key := strategyKey{t.StrategyID, t.StrategyVersion}
	if known := c.strategies[key]; known != nil {
		return known, nil
	}
	row, err := c.source.StrategyVersion(ctx, key.id, key.version)
	if err != nil {
		return nil, fmt.Errorf("pricing strategy %s, version %d: %w", key.id, key.version, err)
	}
	s, err := parking.StrategyOf(&row)
	if err != nil {
		return nil, err
	}
	c.strategies[key] = &s
	return &s, nil
}
