package garage

import (
	"context"
	"slices"
	"strings"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// maxLine bounds a facility's waiting line, which is read whole.
const maxLine = 10_000

// line is one walk down a facility's waiting line. It shares the scheduler's rule of
// bounded overtaking (plan.Overtaking): the first of each class and demand that finds
// no place is a head. Somebody behind it may take a spot that it could use at most
// maxOvertakes times; then such spots are kept for it, singles until they make a window.
type line struct {
	garage  *Garage
	tx      store.FacilityTx
	waiting []parking.InLine
	books   plan.Overtaking[lineKey, *parking.InLine]
	windows bool // large vehicles may use windows
}

// lineKey is what makes two that wait alike: where the first finds no place, the
// second finds none either.
type lineKey struct {
	class    domain.Priority
	size     parking.VehicleSize
	features string
}

func keyOf(w *parking.InLine) lineKey {
	return lineKey{class: w.Priority, size: w.Size, features: strings.Join(w.Features, " ")}
}

func demandOf(w *parking.InLine) parking.Demand {
	return parking.Demand{Size: w.Size, Features: w.Features}
}

// quiet reports that a facility has nobody waiting and no reservation to come: both
// always have an instant at which they fall due.
func quiet(tx store.FacilityTx) bool { return tx.Facility().NextDueAt == nil }

// line begins a walk.
func (g *Garage) line(ctx context.Context, tx store.FacilityTx) (*line, error) {
	f := tx.Facility()
	l := &line{garage: g, tx: tx, windows: true}
	l.books.Max = f.MaxOvertakes
	if quiet(tx) {
		return l, nil
	}
	var err error
	if l.waiting, err = tx.Line(ctx, maxLine); err != nil || len(l.waiting) == 0 {
		return l, err
	}
	if f.Rules.WindowRule == parking.WindowNoneExist {
		exists, err := tx.KindInService(ctx, parking.KindOversized)
		if err != nil {
			return nil, err
		}
		l.windows = !exists
	}
	return l, nil
}

// place chooses spots for somebody behind the heads, without what is kept for them;
// none: nothing fits.
func (l *line) place(ctx context.Context, d parking.Demand) ([]parking.Spot, error) {
	spots, err := l.garage.allocate(ctx, l.tx, d)
	if err != nil || !slices.ContainsFunc(spots, l.kept) {
		return spots, err
	}
	all, err := l.tx.AllSpots(ctx)
	if err != nil {
		return nil, err
	}
	d.Kept = map[string]bool{}
	for i := range all {
		if l.kept(all[i]) {
			d.Kept[all[i].SpotID] = true
		}
	}
	return parking.Allocate(&l.tx.Facility().Rules, all, d), nil
}

// kept reports whether a spot is kept for a head that was overtaken often enough.
func (l *line) kept(s parking.Spot) bool {
	for w := range l.books.Saturated() {
		if l.useful(w, &s) {
			return true
		}
	}
	return false
}

func (l *line) useful(w *parking.InLine, s *parking.Spot) bool {
	d := demandOf(w)
	return d.CouldUse(&l.tx.Facility().Rules, l.windows, s)
}

// passed counts spots given to somebody behind on every head that could use one.
func (l *line) passed(ctx context.Context, spots []parking.Spot) error {
	var first error
	l.books.Pass(func(w *parking.InLine) bool {
		return slices.ContainsFunc(spots, func(s parking.Spot) bool { return l.useful(w, &s) })
	}, func(w *parking.InLine, overtaken int) {
		w.Overtaken = overtaken
		if err := l.tx.SetWaiting(ctx, &w.Waiting); first == nil {
			first = err
		}
	})
	return first
}

// place chooses spots for an arrival, who stands behind the line: one that is ready to
// wait behind its class, anybody else behind all. None: nothing that it may have fits.
// The line is told (passed) once the arrival has them.
//
// Everybody in the line who could have a place has been offered one: release runs after
// each change that may let somebody in.
func (g *Garage) place(ctx context.Context, tx store.FacilityTx, a *arrival) ([]parking.Spot, *line, error) {
	l, err := g.line(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	for i := range l.waiting {
		w := &l.waiting[i]
		if a.request.Wait == nil || w.Priority >= a.request.Wait.Priority {
			l.books.Block(keyOf(w), w, w.Overtaken)
		}
	}
	spots, err := l.place(ctx, a.demand())
	return spots, l, err
}

// release is called after spots became free or usable, and their event was recorded: it
// gives them to due reservations, then down the waiting line.
func (g *Garage) release(ctx context.Context, tx store.FacilityTx) error {
	if quiet(tx) {
		return nil
	}
	if err := holdDue(ctx, tx); err != nil {
		return err
	}
	l, err := g.line(ctx, tx)
	if err != nil {
		return err
	}
	for i := range l.waiting {
		if c := tx.Facility().Counts; c.Occupied+c.Reserved >= c.InService {
			break
		}
		w := &l.waiting[i]
		if !w.Deadline.After(tx.Now()) || l.books.Blocked(keyOf(w)) {
			continue // whose time is over is about to be ended
		}
		spots, err := l.place(ctx, demandOf(w))
		if err != nil {
			return err
		}
		if len(spots) == 0 {
			l.books.Block(keyOf(w), w, w.Overtaken)
			continue
		}
		if err := offer(ctx, tx, &w.Waiting, spots); err != nil {
			return err
		}
		if err := l.passed(ctx, spots); err != nil {
			return err
		}
	}
	return schedule(ctx, tx)
}

// schedule notes when the facility has to be looked at next.
func schedule(ctx context.Context, tx store.FacilityTx) error {
	next, err := tx.NextDue(ctx)
	if err != nil {
		return err
	}
	tx.Facility().NextDueAt = next
	return tx.SetFacility(ctx)
}
