package garage_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/garage"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// lossy is a store whose connection is lost while committing: right before or right
// after what was written became durable.
type lossy struct {
	store.Parking
	before, after int // how many commits are lost
}

func (l *lossy) InFacility(ctx context.Context, id parking.FacilityID, change func(context.Context, store.FacilityTx) error) error {
	lost := fmt.Errorf("test: %w", store.ErrCommitUnknown)
	err := l.Parking.InFacility(ctx, id, func(ctx context.Context, tx store.FacilityTx) error {
		err := change(ctx, tx)
		if err == nil && l.before > 0 {
			l.before--
			return lost
		}
		return err
	})
	if err == nil && l.after > 0 {
		l.after--
		return lost
	}
	return err
}

func TestLostCommit(t *testing.T) {
	t.Parallel()
	backends(t, func(t *testing.T, w *world) {
		w.open(4)
		ctx := t.Context()
		l := &lossy{Parking: w.store}
		g := garage.New(garage.Options{Store: l, Now: w.clock.Now})
		for n, lose := range []func(){func() { l.after = 1 }, func() { l.before = 1 }, func() { l.before, l.after = 1, 1 }} {
			lose()
			entered, err := g.Enter(ctx, city, parking.NewEntry{Vehicle: car(fmt.Sprintf("B %d", n))}, actor)
			require.NoError(t, err)
			stored, err := w.Ticket(ctx, entered.Ticket.TicketID)
			require.NoError(t, err)
			require.Equal(t, entered.Ticket.Ticket, stored.Ticket)

			w.clock.Advance(minutes(30))
			lose()
			_, err = g.Pay(ctx, stored.TicketID, parking.NewPayment{PaymentID: "p", Amount: 200}, actor)
			require.NoError(t, err)
			lose()
			left, err := g.Exit(ctx, stored.TicketID, parking.NewExit{}, actor)
			require.NoError(t, err)
			require.Equal(t, parking.TicketClosed, left.Status)
			require.Equal(t, []domain.EventKind{parking.EventEntry, parking.EventPayment, parking.EventExit}, w.events("ticket:"+stored.TicketID))
		}
		f, err := w.Facility(ctx, city)
		require.NoError(t, err)
		require.Zero(t, f.Counts.Occupied)

		for n := range 2 {
			_, err := g.Enter(ctx, city, parking.NewEntry{Vehicle: bus(fmt.Sprintf("L %d", n))}, actor)
			require.NoError(t, err)
		}
		l.after = 1
		entered, err := g.Enter(ctx, city, parking.NewEntry{
			Vehicle: car("W 1"), Wait: &parking.WaitRequest{Priority: domain.PriorityNormal, Deadline: w.clock.Now().Add(time.Hour)},
		}, actor)
		require.NoError(t, err)
		require.NotNil(t, entered.Waiting)
		require.Equal(t, int64(1), entered.Waiting.Position)

		l.after = 9
		_, err = g.Enter(ctx, city, parking.NewEntry{Call: call("in", 1), Vehicle: car("W 2")}, actor)
		require.Positive(t, refusedFor(t, domain.CodeUnavailable, err).RetryAfter)
	})
}
