package garage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// What a facility has when nothing else is said.
const (
	defaultOvertakes = 16
	defaultOfferHold = 120 * time.Second

	mostOvertakes = 1_000_000
	longestHold   = 24 * time.Hour
)

func defaultWindows() map[parking.SpotKind]int64 {
	return map[parking.SpotKind]int64{parking.KindRegular: 2, parking.KindCompact: 3}
}

// CreateFacility makes a facility without spots.
func (g *Garage) CreateFacility(ctx context.Context, request parking.NewFacility, actor string) (parking.Facility, error) {
	if request.FacilityID == "" {
		request.FacilityID = parking.FacilityID(g.newID())
	}
	hash, err := hashOf(request)
	if err != nil {
		return parking.Facility{}, err
	}
	f := facilityOf(&request)
	f.BodyHash, f.CreatedAt = hash, g.clock()
	faults := parking.IDFaults("facilityId", string(f.FacilityID))
	faults = append(faults, parking.NameFaults("name", f.Name)...)
	faults = append(faults, parking.CurrencyFaults("currency", f.Currency)...)
	_, wrong := parking.Zone("timeZone", f.TimeZone)
	faults = append(faults, wrong...)
	wrong, err = g.settingFaults(ctx, &f)
	if err != nil {
		return parking.Facility{}, err
	}
	if err := invalid(append(faults, wrong...)); err != nil {
		return parking.Facility{}, err
	}
	if slices.Contains(g.pools(), domain.PoolID(f.FacilityID)) {
		return parking.Facility{}, domain.Errorf(domain.CodeExists,
			"%q is a pool; a facility is shown among the pools and needs an id of its own", f.FacilityID)
	}
	fields, err := detail(map[string]any{"change": "created"})
	if err != nil {
		return parking.Facility{}, err
	}
	err = g.store.CreateFacility(ctx, f, f.CreatedAt, domain.Event{
		Kind: parking.EventFacility, Actor: actor, Subjects: []string{parking.FacilitySubject(f.FacilityID)}, Detail: fields,
	})
	if err != nil && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrCommitUnknown) {
		return parking.Facility{}, edge(err, nil)
	}
	stored, err := g.Facility(ctx, f.FacilityID)
	if err == nil && !bytes.Equal(stored.BodyHash, hash) {
		err = exists("facility", string(f.FacilityID))
	}
	return stored, err
}

// facilityOf fills in the defaults.
func facilityOf(request *parking.NewFacility) parking.Facility {
	f := parking.Facility{
		FacilityID: request.FacilityID, Name: request.Name, TimeZone: request.TimeZone, Currency: request.Currency,
		StrategyID: request.StrategyID, MaxOvertakes: defaultOvertakes, OfferHold: defaultOfferHold,
		Rules: parking.Rules{
			Allocation: request.Allocation, Bands: request.Bands, WindowSizes: request.WindowSizes, WindowRule: request.WindowRule,
		},
	}
	if f.Rules.Allocation == "" {
		f.Rules.Allocation = parking.FirstAvailable
	}
	if f.Rules.WindowSizes == nil {
		f.Rules.WindowSizes = defaultWindows()
	}
	if f.Rules.WindowRule == "" {
		f.Rules.WindowRule = parking.WindowNoneFree
	}
	if request.MaxOvertakes != nil {
		f.MaxOvertakes = *request.MaxOvertakes
	}
	if request.OfferHold != nil {
		f.OfferHold = *request.OfferHold
	}
	return f
}

// settingFaults says what is wrong with what an operator may change. The tariff must
// have the facility's zone and currency.
func (g *Garage) settingFaults(ctx context.Context, f *parking.Facility) ([]domain.Fault, error) {
	faults := f.Rules.Faults()
	if f.MaxOvertakes < 0 || f.MaxOvertakes > mostOvertakes {
		faults = append(faults, domain.Fault{Location: "maxOvertakes", Message: "must be 0 to 1000000", Value: f.MaxOvertakes})
	}
	if f.OfferHold < time.Second || f.OfferHold > longestHold || f.OfferHold%time.Second != 0 {
		faults = append(faults, domain.Fault{
			Location: "offerHoldSecs", Message: "must be whole seconds, 1 to 86400", Value: f.OfferHold.Seconds(),
		})
	}
	const at = "pricingStrategyId"
	if wrong := parking.IDFaults(at, f.StrategyID); len(wrong) > 0 {
		return append(faults, wrong...), nil
	}
	s, err := g.strategy(ctx, f.StrategyID, 0)
	switch {
	case domain.CodeOf(err) == domain.CodeUnknownStrategy:
		return append(faults, domain.Fault{Location: at, Message: "is not there; POST it to /pricing-strategies first", Value: f.StrategyID}), nil
	case err != nil:
		return nil, err
	}
	if s.TimeZone != f.TimeZone {
		faults = append(faults, domain.Fault{
			Location: at, Message: fmt.Sprintf("is for the time zone %q, the facility is in %q", s.TimeZone, f.TimeZone), Value: f.StrategyID,
		})
	}
	if s.Currency != f.Currency {
		faults = append(faults, domain.Fault{
			Location: at, Message: fmt.Sprintf("is in %s, the facility in %s", s.Currency, f.Currency), Value: f.StrategyID,
		})
	}
	return faults, nil
}

// Facility returns a facility with its counts.
func (g *Garage) Facility(ctx context.Context, id parking.FacilityID) (parking.Facility, error) {
	f, err := g.store.Facility(ctx, id)
	return f, edge(err, unknownFacility(id))
}

// Facilities returns all facilities by id.
func (g *Garage) Facilities(ctx context.Context) ([]parking.Facility, error) {
	found, err := g.store.ListFacilities(ctx)
	slices.SortFunc(found, func(a, b parking.Facility) int { return strings.Compare(string(a.FacilityID), string(b.FacilityID)) })
	return found, edge(err, nil)
}

// ChangeFacility changes what the operator may change. Tickets keep the tariff they
// entered under.
func (g *Garage) ChangeFacility(ctx context.Context, id parking.FacilityID, change parking.FacilityChange) (parking.Facility, error) {
	before, err := g.Facility(ctx, id)
	if err != nil {
		return parking.Facility{}, err
	}
	// What is not changed was right before, and so is the whole if the parts are.
	apply(&before, &change)
	faults, err := g.settingFaults(ctx, &before)
	if err != nil {
		return parking.Facility{}, err
	}
	if err := invalid(faults); err != nil {
		return parking.Facility{}, err
	}
	err = g.change(ctx, id, func(ctx context.Context, tx store.FacilityTx, _ bool) error {
		f := tx.Facility()
		fields := apply(f, &change)
		if len(fields) == 0 {
			return nil
		}
		if err := tx.SetFacility(ctx); err != nil {
			return err
		}
		if err := record(ctx, tx, parking.EventFacility, change.Actor, nil, fields); err != nil {
			return err
		}
		// Other windows or another rule may let in who waits.
		return g.release(ctx, tx)
	})
	if err != nil {
		return parking.Facility{}, err
	}
	g.layouts.forget(id)
	return g.Facility(ctx, id)
}

// apply makes the change and names what it set.
func apply(f *parking.Facility, change *parking.FacilityChange) map[string]any {
	fields := map[string]any{}
	if change.Allocation != nil {
		f.Rules.Allocation = *change.Allocation
		fields["allocationStrategy"] = f.Rules.Allocation
	}
	if change.Bands != nil {
		f.Rules.Bands = slices.Clone(*change.Bands)
		fields["dynamicBands"] = len(f.Rules.Bands)
	}
	if change.StrategyID != nil {
		f.StrategyID = *change.StrategyID
		fields["pricingStrategyId"] = f.StrategyID
	}
	if change.WindowSizes != nil {
		f.Rules.WindowSizes = change.WindowSizes
		fields["windowSizes"] = f.Rules.WindowSizes
	}
	if change.WindowRule != nil {
		f.Rules.WindowRule = *change.WindowRule
		fields["windowRule"] = f.Rules.WindowRule
	}
	if change.MaxOvertakes != nil {
		f.MaxOvertakes = *change.MaxOvertakes
		fields["maxOvertakes"] = f.MaxOvertakes
	}
	if change.OfferHold != nil {
		f.OfferHold = *change.OfferHold
		fields["offerHoldSecs"] = f.OfferHold.Seconds()
	}
	return fields
}
