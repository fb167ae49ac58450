package garage_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/garage"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// looked counts the looks of a sweeper.
type looked struct {
	*postgres.Store
	n atomic.Int64
}

func (l *looked) DueFacilities(ctx context.Context, now time.Time) (store.Due, error) {
	l.n.Add(1)
	return l.Store.DueFacilities(ctx, now)
}

// A process whose clock is wrong makes and ends everything at the database's time, and does
// not look more often than another one.
func TestDatabaseTimeDecides(t *testing.T) {
	t.Parallel()
	for name, skew := range map[string]time.Duration{"ahead": 10 * time.Minute, "behind": -10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := dbtest.Postgres(t)
			opened, err := postgres.Open(t.Context(), postgres.Options{URL: db.URL, Schema: db.Schema})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, opened.Close()) })
			require.NoError(t, opened.EnsureAudit(t.Context(), time.Time{}))
			s := &looked{Store: opened}
			g := garage.New(garage.Options{Store: s, Now: func() time.Time { return time.Now().Add(skew) }})
			databaseTime := func() time.Time {
				due, err := opened.DueFacilities(t.Context(), time.Time{})
				require.NoError(t, err)
				return due.Now
			}
			from := databaseTime()
			require.NoError(t, g.Measure(t.Context()))
			_, err = g.CreateStrategy(t.Context(), hourly(), actor)
			require.NoError(t, err)
			f, err := g.CreateFacility(t.Context(), parking.NewFacility{
				FacilityID: city, Name: "City", TimeZone: "UTC", Currency: "EUR", StrategyID: tariff,
			}, actor)
			require.NoError(t, err)
			require.WithinDuration(t, from, f.CreatedAt, time.Minute)
			_, err = g.ImportSpots(t.Context(), city, []parking.Spot{{SpotID: "only", Kind: parking.KindRegular, Position: 1}}, actor)
			require.NoError(t, err)

			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { g.Run(ctx) })
			defer running.Wait()
			defer stop()
			entered, err := g.Enter(t.Context(), city, parking.NewEntry{Vehicle: car("in")}, actor)
			require.NoError(t, err)
			require.NotNil(t, entered.Ticket)
			require.WithinDuration(t, databaseTime(), entered.Ticket.EntryTime, time.Minute)
			deadline := databaseTime().Add(3 * time.Second)
			entered, err = g.Enter(t.Context(), city, parking.NewEntry{
				Vehicle: car("late"), Wait: &parking.WaitRequest{Priority: domain.PriorityNormal, Deadline: deadline},
			}, actor)
			require.NoError(t, err)
			require.NotNil(t, entered.Waiting)

			var wait parking.WaitingView
			require.Eventually(t, func() bool {
				wait, err = g.Waiting(t.Context(), entered.Waiting.WaitingID)
				return err == nil && wait.Status == parking.WaitingExpired
			}, 20*time.Second, 10*time.Millisecond, "nobody ends the wait")
			took := databaseTime().Sub(from)
			require.Less(t, s.n.Load(), int64(50+took/(100*time.Millisecond)), "looks, in %s", took)

			events, err := opened.Events(t.Context(), store.EventFilter{Limit: 100})
			require.NoError(t, err)
			ended := 0
			for i := range events {
				require.WithinDuration(t, databaseTime(), events[i].At, time.Minute)
				if events[i].Kind == parking.EventWaitEnd {
					ended++
					require.False(t, events[i].At.Before(deadline), "not before its time by the database's clock")
				}
			}
			require.Equal(t, 1, ended)
		})
	}
}
