package garage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// maxLines bounds what a price is itemised into where nobody parked: a year of
// minutes.
const maxLines = 600_000

// CreateStrategy stores version 1 of a strategy.
func (g *Garage) CreateStrategy(ctx context.Context, spec parking.Spec, actor string) (parking.Spec, error) {
	if spec.StrategyID == "" {
		spec.StrategyID = g.newID()
	}
	faults := parking.IDFaults("strategyId", spec.StrategyID)
	if spec.Version > 1 {
		faults = append(faults, domain.Fault{Location: "version", Message: "must be 1, or left out: versions are counted here", Value: spec.Version})
	}
	return g.storeVersion(ctx, spec, 1, faults, actor)
}

// AddStrategyVersion stores the next version of a strategy. Zone and currency are
// those of the first, so that a facility never finds its tariff in another currency.
// The newest version again is no new version.
func (g *Garage) AddStrategyVersion(ctx context.Context, id string, spec parking.Spec, actor string) (parking.Spec, error) {
	for {
		newest, err := g.store.StrategyVersion(ctx, id, 0)
		if err != nil {
			return parking.Spec{}, edge(err, unknownStrategy(id, 0))
		}
		var faults []domain.Fault
		if spec.StrategyID != "" && spec.StrategyID != id {
			faults = append(faults, domain.Fault{Location: "strategyId", Message: "must be that of the path, or left out", Value: spec.StrategyID})
		}
		next := newest.Version + 1
		hash, err := specHash(&spec)
		if err != nil {
			return parking.Spec{}, err
		}
		switch same := bytes.Equal(hash, newest.BodyHash); {
		case spec.Version == 0 && same:
			next = newest.Version
		case spec.Version > next:
			faults = append(faults, domain.Fault{
				Location: "version", Message: fmt.Sprintf("must be %d, the next, or left out", next), Value: spec.Version,
			})
		case spec.Version > 0:
			next = spec.Version
		}
		first, err := g.strategy(ctx, id, 1)
		if err != nil {
			return parking.Spec{}, err
		}
		if spec.TimeZone != first.TimeZone {
			faults = append(faults, domain.Fault{Location: "timeZone", Message: "must stay " + first.TimeZone, Value: spec.TimeZone})
		}
		if spec.Currency != first.Currency {
			faults = append(faults, domain.Fault{Location: "currency", Message: "must stay " + first.Currency, Value: spec.Currency})
		}
		asked := spec
		asked.StrategyID = id
		stored, err := g.storeVersion(ctx, asked, next, faults, actor)
		if spec.Version == 0 && domain.CodeOf(err) == domain.CodeExists {
			continue // somebody else added that version meanwhile
		}
		return stored, err
	}
}

// specHash tells the content of versions apart.
func specHash(spec *parking.Spec) ([]byte, error) {
	content := *spec
	content.StrategyID, content.Version = "", 0
	return hashOf(content)
}

func (g *Garage) storeVersion(
	ctx context.Context, spec parking.Spec, version int, faults []domain.Fault, actor string,
) (parking.Spec, error) {
	hash, err := specHash(&spec)
	if err != nil {
		return parking.Spec{}, err
	}
	id := spec.StrategyID
	spec.Version = version
	s, wrong := spec.Strategy()
	if err := invalid(append(faults, wrong...)); err != nil {
		return parking.Spec{}, err
	}
	stored := parking.SpecOf(&s)
	encoded, err := json.Marshal(stored)
	if err != nil {
		return parking.Spec{}, fmt.Errorf("encode pricing strategy: %w", err)
	}
	fields, err := detail(map[string]any{"strategyId": id, "version": version})
	if err != nil {
		return parking.Spec{}, err
	}
	err = g.store.CreateStrategy(ctx,
		parking.StrategyRow{StrategyID: id, Version: version, BodyHash: hash, Spec: encoded, CreatedAt: g.clock()},
		domain.Event{Kind: parking.EventStrategy, Actor: actor, Subjects: []string{"strategy:" + id}, Detail: fields})
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrCommitUnknown) {
		row, err := g.store.StrategyVersion(ctx, id, version)
		if err != nil {
			return parking.Spec{}, edge(err, nil)
		}
		if !bytes.Equal(row.BodyHash, hash) {
			return parking.Spec{}, exists("pricing strategy", fmt.Sprintf("%s, version %d", id, version))
		}
		return stored, nil
	}
	return stored, edge(err, nil)
}

// Strategy returns a version, as tiers; 0: the newest.
func (g *Garage) Strategy(ctx context.Context, id string, version int) (parking.Spec, error) {
	s, err := g.strategy(ctx, id, version)
	if err != nil {
		return parking.Spec{}, err
	}
	return parking.SpecOf(s), nil
}

// Price computes what a stay would cost under a version.
func (g *Garage) Price(ctx context.Context, id string, version int, request parking.PriceRequest) (parking.Price, string, error) {
	s, err := g.strategy(ctx, id, version)
	if err != nil {
		return parking.Price{}, "", err
	}
	if err := invalid(priceFaults(s, &request)); err != nil {
		return parking.Price{}, "", err
	}
	return parking.Compute(s, parking.Stay(request)), s.Currency, nil
}

func priceFaults(s *parking.Strategy, request *parking.PriceRequest) []domain.Fault {
	var faults []domain.Fault
	if wrong := tooLong(s, request.Until.Sub(request.Entry)); wrong != "" {
		faults = append(faults, domain.Fault{Location: "until", Message: wrong})
	}
	if bp := request.EntryOccupancyBP; bp != nil && (*bp < 0 || *bp > parking.OneBP) {
		faults = append(faults, domain.Fault{Location: "entryOccupancyBp", Message: "must be 0 to 10000", Value: *bp})
	}
	if len(request.Adjustments) > maxAdjustments {
		return append(faults, domain.Fault{Location: "adjustments", Message: fmt.Sprintf("must be at most %d", maxAdjustments)})
	}
	for i, a := range request.Adjustments {
		faults = append(faults, a.Faults(fmt.Sprintf("adjustments[%d]", i))...)
	}
	return faults
}
