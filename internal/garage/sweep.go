package garage

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

const (
	lookMost  = time.Second           // between two looks: what other processes have set and then died
	lookLeast = 10 * time.Millisecond // however soon something falls due
)

// alarm wakes the sweeper of this process when something here falls due earlier than
// what it sleeps for. Its zero value is ready.
type alarm struct {
	mu   sync.Mutex
	at   time.Time // until when the sweeper sleeps; zero: it does not
	wake chan struct{}
}

func (a *alarm) set(at time.Time) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at, a.wake = at, make(chan struct{})
	return a.wake
}

// due tells of an instant at which something falls due; nil: of none.
func (a *alarm) due(at *time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at != nil && at.Before(a.at) {
		a.at = time.Time{}
		close(a.wake)
	}
}

// Run does what falls due at the facilities, until ctx ends: reservations whose time
// has come or whose vehicle has not, offers nobody took, deadlines in the waiting line.
// One goroutine a process is enough; several processes do not get into each other's
// way, and any of them does what another has left.
func (g *Garage) Run(ctx context.Context) {
	for ctx.Err() == nil {
		rest := lookMost
		// The alarm is set before the look, so that nothing falls in between.
		wake := g.alarm.set(g.clock().Add(rest))
		if wait, ok := g.look(ctx); ok {
			rest = min(rest, max(wait, lookLeast))
		}
		timer := time.NewTimer(rest)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// look sweeps what is due and returns how long nothing else is.
func (g *Garage) look(ctx context.Context) (wait time.Duration, ok bool) {
	due, err := g.due(ctx)
	if err != nil {
		if ctx.Err() == nil {
			g.log.WarnContext(ctx, "cannot see what falls due at the facilities; trying again", slog.Any("error", err))
		}
		return 0, false
	}
	wait = lookMost
	if due.Next != nil {
		wait = min(wait, due.Next.Sub(due.Now))
	}
	for _, id := range due.Facilities {
		again, err := g.Sweep(ctx, id)
		switch {
		case err != nil && ctx.Err() == nil:
			g.log.WarnContext(ctx, "cannot do what falls due; trying again", slog.String("facility", string(id)), slog.Any("error", err))
		case err == nil && again != nil:
			wait = min(wait, *again)
		}
	}
	return wait, true
}

// Sweep does what is due at a facility, and returns in how long something is again;
// nil: never.
func (g *Garage) Sweep(ctx context.Context, id parking.FacilityID) (*time.Duration, error) {
	var again *time.Duration
	err := g.change(ctx, id, func(ctx context.Context, tx store.FacilityTx, _ bool) error {
		if err := g.sweep(ctx, tx); err != nil {
			return err
		}
		again = nil
		if next := tx.Facility().NextDueAt; next != nil {
			wait := next.Sub(tx.Now())
			again = &wait
		}
		return nil
	})
	return again, err
}

// sweep handles what has fallen due at the facility (reservations, offers, deadlines)
// and hands on what that gives back. It comes before the decisions of a change, so that
// they rest on what is due.
func (g *Garage) sweep(ctx context.Context, tx store.FacilityTx) error {
	if due := tx.Facility().NextDueAt; due == nil || due.After(tx.Now()) {
		return nil
	}
	waiting, err := tx.DueWaiting(ctx)
	if err != nil {
		return err
	}
	for i := range waiting {
		w := &waiting[i]
		reason := domain.Reason{Code: domain.ReasonDeadlinePassed, Message: "no spot became free before the deadline"}
		if w.Status == parking.WaitingOffered {
			reason = domain.Reason{Code: reasonOfferLapsed, Message: "the offered spot was not taken in time"}
		}
		if err := endWaiting(ctx, tx, w, parking.WaitingExpired, reason, ""); err != nil {
			return err
		}
	}
	due, err := tx.DueReservations(ctx)
	if err != nil {
		return err
	}
	for i := range due {
		if missed(&due[i], tx.Now()) {
			if err := endReservation(ctx, tx, &due[i], parking.ReservationNoShow, ""); err != nil {
				return err
			}
		}
	}
	return g.release(ctx, tx)
}
