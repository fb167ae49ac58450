package garage

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// allocate chooses spots that are free now, by the rules of parking.Allocate but with
// indexes; nil: nothing fits. It changes nothing.
func (g *Garage) allocate(ctx context.Context, tx store.FacilityTx, d parking.Demand) ([]parking.Spot, error) {
	f := tx.Facility()
	var bp int64
	if occupancy := f.Counts.OccupancyBP(); occupancy != nil {
		bp = *occupancy
	}
	order := f.Rules.Effective(bp)
	for _, kind := range d.Size.Kinds() {
		spot, err := tx.FirstFree(ctx, kind, order, d.Features)
		if err == nil {
			return []parking.Spot{spot}, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	if !d.Size.NeedsWindow() {
		return nil, nil
	}
	if f.Rules.WindowRule == parking.WindowNoneExist {
		if exists, err := tx.KindInService(ctx, parking.KindOversized); exists || err != nil {
			return nil, err
		}
	}
	for _, kind := range []parking.SpotKind{parking.KindCompact, parking.KindRegular} {
		size := f.Rules.WindowSizes[kind]
		if size < 1 {
			continue
		}
		window, err := tx.Window(ctx, kind, size, order, d.Features)
		if err == nil {
			return window, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	return nil, nil
}

// layoutTTL is how long "it would fit an empty facility" is believed. Another process
// may have changed the spots; then somebody is told full instead of never.
const layoutTTL = time.Minute

// layouts remembers which demands would fit an empty facility. What would not is looked
// at each time.
type layouts struct {
	mu   sync.Mutex
	fits map[parking.FacilityID]map[string]time.Time // until when
}

func (l *layouts) known(id parking.FacilityID, demand string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fits[id][demand].After(now)
}

func (l *layouts) learn(id parking.FacilityID, demand string, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fits == nil {
		l.fits = map[parking.FacilityID]map[string]time.Time{}
	}
	if l.fits[id] == nil || len(l.fits[id]) >= maxRemembered {
		l.fits[id] = map[string]time.Time{}
	}
	l.fits[id][demand] = until
}

func (l *layouts) forget(id parking.FacilityID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.fits, id)
}

// fitsEver reports whether the demand would fit the facility if it were empty.
func (g *Garage) fitsEver(ctx context.Context, tx store.FacilityTx, d parking.Demand) (bool, error) {
	f := tx.Facility()
	demand := string(d.Size) + " " + strings.Join(d.Features, " ")
	if g.layouts.known(f.FacilityID, demand, tx.Now()) {
		return true, nil
	}
	spots, err := tx.AllSpots(ctx)
	if err != nil {
		return false, err
	}
	fits := parking.FitsEver(&f.Rules, spots, d)
	if fits {
		g.layouts.learn(f.FacilityID, demand, tx.Now().Add(layoutTTL))
	}
	return fits, nil
}
