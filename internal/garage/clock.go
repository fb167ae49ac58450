package garage

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/store"
)

// measured is one reading of both clocks.
type measured struct {
	here  time.Time // what the process's clock showed
	there time.Time // what the backend's showed
}

// clock returns the time by the backend's clock, as last measured, in the stores'
// resolution. Before anything was measured it is the time of the process.
func (g *Garage) clock() time.Time {
	now := g.now()
	if m := g.measured.Load(); m != nil {
		now = m.there.Add(now.Sub(m.here))
	}
	return now.UTC().Truncate(time.Microsecond)
}

// Measure reads the backend's clock. Run does so at every look; who makes facilities
// without it, or before, calls this once.
func (g *Garage) Measure(ctx context.Context) error {
	_, err := g.due(ctx)
	return edge(err, nil)
}

// due asks what is due by the backend's clock, and measures that. The answer is taken
// for as old as half of what it took to come.
func (g *Garage) due(ctx context.Context) (store.Due, error) {
	asked := g.now()
	due, err := g.store.DueFacilities(ctx, time.Time{})
	if err == nil {
		g.measured.Store(&measured{here: asked.Add(g.now().Sub(asked) / 2), there: due.Now})
	}
	return due, err //nolint:wrapcheck // has the store's words
}
