package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/garage"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// newGarage opens the parking half on its backend. A facility and a pool never have
// the same id: a facility is shown among the pools. written is told where there are
// new events or messages.
func newGarage(ctx context.Context, cfg *config.Config, b *backends, pools []domain.Pool, written func(domain.Backend, domain.Source), log *slog.Logger) (*parkingHalf, error) {
	backend := cfg.ParkingBackend()
	parkingStore, ok := b.stores[backend].(store.Parking)
	if !ok {
		return nil, fmt.Errorf("parking: the %s backend keeps no facilities", backend)
	}
	ids := poolIDs(pools)
	p := &parkingHalf{backend: backend, Garage: garage.New(garage.Options{
		Store: parkingStore, Now: now, Log: log.With("backend", string(backend)), Pools: func() []domain.PoolID { return ids },
		Written: func(source domain.Source) { written(backend, source) },
	})}
	if err := p.Measure(ctx); err != nil {
		return nil, fmt.Errorf("parking: read the clock of the %s backend: %w", backend, err)
	}
	var faults []error
	for _, id := range ids {
		derived, err := p.Derived(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("look for a facility %q: %w", id, err)
		}
		if derived {
			faults = append(faults, fmt.Errorf("pool %q has the id of a facility: give it another pool_id", id))
		}
	}
	return p, errors.Join(faults...)
}

// parkingHalf is the garage of a process, and where it lives.
type parkingHalf struct {
	*garage.Garage
	backend domain.Backend
}

// pools shows the facilities as pools.
func (p *parkingHalf) pools(ctx context.Context) ([]store.PoolView, error) {
	views, err := p.Pools(ctx)
	for i := range views {
		views[i].QueueBackend, views[i].MailboxBackend = p.backend, p.backend
	}
	return views, err //nolint:wrapcheck // has its code
}

func (p *parkingHalf) pool(ctx context.Context, id domain.PoolID) (store.PoolView, error) {
	view, err := p.Pool(ctx, id)
	view.QueueBackend, view.MailboxBackend = p.backend, p.backend
	return view, err //nolint:wrapcheck // has its code
}

// origin returns where the history of a facility begins; unknown is what to say of an id
// that is none.
func (p *parkingHalf) origin(ctx context.Context, stores map[domain.Backend]store.Store, id domain.PoolID, unknown error) (store.Origin, error) {
	if domain.CodeOf(unknown) != domain.CodeUnknownPool {
		return store.Origin{}, unknown
	}
	derived, err := p.Derived(ctx, id)
	if err != nil {
		return store.Origin{}, err //nolint:wrapcheck // has its code
	}
	if !derived {
		return store.Origin{}, unknown
	}
	origin, err := stores[p.backend].Origin(ctx, domain.PoolID(parking.FacilityID(id).Source()))
	return origin, edge(err, nil)
}

// readOnly says of a pool that is not known whether it is a facility, which takes no
// tasks and is changed elsewhere.
func (p *parkingHalf) readOnly(ctx context.Context, id domain.PoolID, err error) error {
	if domain.CodeOf(err) != domain.CodeUnknownPool {
		return err
	}
	derived, failed := p.Derived(ctx, id)
	switch {
	case failed != nil:
		return failed //nolint:wrapcheck // has its code
	case derived:
		return domain.Errorf(domain.CodePoolDerived,
			"pool %q shows a facility and can only be read: vehicles enter at /facilities/%s/entries, and PATCH /facilities/%s changes it", id, id, id)
	}
	return err
}
