package garage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Bounds of reports.
const (
	maxSpan     = 366 * 24 * time.Hour
	maxSamples  = 10_000
	ticketsPage = 500
)

// OccupancyNow counts the spots of a facility by level and kind.
func (g *Garage) OccupancyNow(ctx context.Context, id parking.FacilityID) ([]parking.OccupancyRow, error) {
	if _, err := g.Facility(ctx, id); err != nil {
		return nil, err
	}
	rows, err := g.store.OccupancyNow(ctx, id)
	return rows, edge(err, nil)
}

// OccupancyHistory says how full a facility was at from, from + step, … before to, as
// far as that is past. Instants before its first spot are left out.
func (g *Garage) OccupancyHistory(
	ctx context.Context, id parking.FacilityID, from, to time.Time, step time.Duration,
) ([]parking.OccupancySample, error) {
	faults := spanFaults("query.", from, to)
	if step < time.Minute {
		faults = append(faults, domain.Fault{Location: "query.stepMinutes", Message: "must be 1 or more", Value: int64(step / time.Minute)})
	} else if to.Sub(from) > step*maxSamples {
		faults = append(faults, domain.Fault{
			Location: "query.stepMinutes", Message: fmt.Sprintf("would make more than %d samples; ask for a longer step or a shorter span", maxSamples),
			Value: int64(step / time.Minute),
		})
	}
	if len(faults) > 0 {
		return nil, refused(faults)
	}
	if _, err := g.Facility(ctx, id); err != nil {
		return nil, err
	}
	var instants []time.Time
	now := g.clock()
	for at := from.UTC().Truncate(time.Microsecond); at.Before(to) && !at.After(now); at = at.Add(step) {
		instants = append(instants, at)
	}
	samples, err := g.store.OccupancyAt(ctx, id, instants)
	return samples, edge(err, nil)
}

// Revenue adds up the tickets that ended in [from, to) by local date, strategy and
// version.
func (g *Garage) Revenue(ctx context.Context, id parking.FacilityID, from, to time.Time) ([]parking.RevenueRow, error) {
	f, err := g.reported(ctx, id, "query.", from, to)
	if err != nil {
		return nil, err
	}
	location, err := time.LoadLocation(f.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("time zone of facility %s: %w", id, err)
	}
	book := parking.NewRevenueBook(location)
	err = g.eachTicket(ctx, store.TicketFilter{Facility: id, ExitedFrom: from, ExitedTo: to}, func(t *parking.Ticket) error {
		book.Add(t)
		return nil
	})
	return book.Rows(), err
}

// aroundSpan is how far a gate's call may be from its ticket's instant.
const aroundSpan = time.Hour

// Reconcile compares gate openings, tickets and payments of [from, to). Sums are of
// the tickets that ended in it. Tickets are missed at gates only where gates tell what
// they do.
func (g *Garage) Reconcile(ctx context.Context, id parking.FacilityID, from, to time.Time) (parking.Reconciliation, error) {
	if _, err := g.reported(ctx, id, "query.", from, to); err != nil {
		return parking.Reconciliation{}, err
	}
	calls, err := g.store.GateCalls(ctx, id, from.Add(-aroundSpan), to.Add(aroundSpan))
	if err != nil {
		return parking.Reconciliation{}, edge(err, nil)
	}
	reconciler := parking.NewReconciler(from, to, calls)
	add := func(t *parking.Ticket) error {
		if !t.EntryTime.Before(to) {
			return nil
		}
		s, err := g.strategy(ctx, t.StrategyID, t.StrategyVersion)
		if err == nil {
			reconciler.Add(t, s)
		}
		return err
	}
	// Who has not left is read first: who leaves between the two reads is in the second.
	open := map[string]*parking.Ticket{}
	err = g.eachTicket(ctx, store.TicketFilter{Facility: id, Status: parking.TicketOpen}, func(t *parking.Ticket) error {
		open[t.TicketID] = t
		return nil
	})
	if err != nil {
		return parking.Reconciliation{}, err
	}
	err = g.eachTicket(ctx, store.TicketFilter{Facility: id, ExitedFrom: from}, func(t *parking.Ticket) error {
		delete(open, t.TicketID)
		return add(t)
	})
	if err != nil {
		return parking.Reconciliation{}, err
	}
	for _, ticket := range slices.Sorted(maps.Keys(open)) {
		if err := add(open[ticket]); err != nil {
			return parking.Reconciliation{}, err
		}
	}
	return reconciler.Result(), nil
}

// WhatIf prices the tickets closed in [from, to) again under a draft, until the same
// instants. It stores nothing.
func (g *Garage) WhatIf(ctx context.Context, id parking.FacilityID, request parking.WhatIf) (parking.WhatIfReport, error) {
	f, err := g.reported(ctx, id, "body.", request.From, request.To)
	if err != nil {
		return parking.WhatIfReport{}, err
	}
	draft, faults := request.Strategy.Strategy()
	for i := range faults {
		faults[i].Location = "strategy." + faults[i].Location
	}
	if draft.TimeZone != f.TimeZone {
		faults = append(faults, domain.Fault{Location: "strategy.timeZone", Message: "must be the facility's, " + f.TimeZone, Value: draft.TimeZone})
	}
	if draft.Currency != f.Currency {
		faults = append(faults, domain.Fault{Location: "strategy.currency", Message: "must be the facility's, " + f.Currency, Value: draft.Currency})
	}
	if err := invalid(faults); err != nil {
		return parking.WhatIfReport{}, err
	}
	var report parking.WhatIfReport
	filter := store.TicketFilter{Facility: id, Status: parking.TicketClosed, ExitedFrom: request.From, ExitedTo: request.To}
	err = g.eachTicket(ctx, filter, func(t *parking.Ticket) error {
		row := parking.WhatIfRow{TicketID: t.TicketID, Current: *t.Amount, Draft: parking.Compute(&draft, t.Stay(*t.PricedUntil)).Total}
		report.Tickets++
		report.CurrentTotal += row.Current
		report.DraftTotal += row.Draft
		report.Rows = append(report.Rows, row)
		return nil
	})
	return report, err
}

// reported checks the span of a report and returns its facility.
func (g *Garage) reported(ctx context.Context, id parking.FacilityID, under string, from, to time.Time) (parking.Facility, error) {
	if faults := spanFaults(under, from, to); len(faults) > 0 {
		return parking.Facility{}, refused(faults)
	}
	return g.Facility(ctx, id)
}

func spanFaults(under string, from, to time.Time) []domain.Fault {
	var faults []domain.Fault
	if from.IsZero() {
		faults = append(faults, domain.Fault{Location: under + "from", Message: "must be given"})
	}
	if to.IsZero() {
		faults = append(faults, domain.Fault{Location: under + "to", Message: "must be given"})
	}
	switch {
	case len(faults) > 0:
	case !from.Before(to):
		faults = append(faults, domain.Fault{Location: under + "to", Message: "must be after from"})
	case to.Sub(from) > maxSpan:
		faults = append(faults, domain.Fault{Location: under + "to", Message: "must be at most 366 days after from"})
	}
	return faults
}

// eachTicket calls f with every ticket of a facility that the filter selects, in order.
func (g *Garage) eachTicket(ctx context.Context, filter store.TicketFilter, f func(*parking.Ticket) error) error {
	filter.Limit, filter.AfterFacility = ticketsPage, filter.Facility
	for {
		page, err := g.store.Tickets(ctx, filter)
		if err != nil {
			return edge(err, nil)
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
