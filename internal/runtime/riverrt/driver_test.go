package riverrt

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"testing"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
)

const origin = "this process"

// silence is a connection on which nothing arrives but faults.
type silence struct {
	riverdriver.Listener

	faults  chan error
	waiting chan struct{} // told when somebody waits
}

func (s *silence) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	s.waiting <- struct{}{}
	select {
	case err := <-s.faults:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func silent() (*silence, *listener) {
	s := &silence{faults: make(chan error, 1), waiting: make(chan struct{}, 100)}
	return s, &listener{Listener: s, wakes: newWakes(), origin: origin}
}

func TestWakesAreHeardInTheFormOfRiver(t *testing.T) {
	t.Parallel()

	s, l := silent()
	l.wakes.wake("p_a") // before anybody waits
	l.wakes.wake("p_a")
	heard, err := l.WaitForNotification(t.Context())
	require.NoError(t, err)
	require.Equal(t, &riverdriver.Notification{Topic: "river_insert", Payload: `{"queue": "p_a"}`}, heard)
	require.Empty(t, s.waiting)

	go func() {
		<-s.waiting
		l.wakes.wake("p_b")
	}()
	heard, err = l.WaitForNotification(t.Context())
	require.NoError(t, err)
	require.JSONEq(t, `{"queue": "p_b"}`, heard.Payload)
	require.Empty(t, l.wakes.queues)
}

// A connection that breaks, or a wait that River ends, is told as it is, and what was woken
// meanwhile waits for the next one.
func TestFaultsOfTheConnectionLoseNoWake(t *testing.T) {
	t.Parallel()

	for name, end := range map[string]struct {
		how  func(s *silence, cancel context.CancelFunc)
		want error
	}{
		"broken": {func(s *silence, _ context.CancelFunc) { s.faults <- io.ErrUnexpectedEOF }, io.ErrUnexpectedEOF},
		"ended":  {func(_ *silence, cancel context.CancelFunc) { cancel() }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			s, l := silent()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				<-s.waiting
				end.how(s, cancel)
			}()
			_, err := l.WaitForNotification(ctx)
			require.ErrorIs(t, err, end.want)
			require.Nil(t, l.wakes.interrupt)

			l.wakes.wake("p_a")
			heard, err := l.WaitForNotification(t.Context())
			require.NoError(t, err)
			require.JSONEq(t, `{"queue": "p_a"}`, heard.Payload)
		})
	}
}

// On a real connection, with wakes and announcements at once: every wake is followed by
// a notice, every announcement of others is heard, and none of our own.
func TestWakesAndAnnouncementsAreAllHeard(t *testing.T) {
	t.Parallel()

	db := dbtest.Postgres(t)
	d := &driver{Driver: riverpgxv5.New(db.Pool), wakes: newWakes(), origin: origin}
	l := d.GetListener(&riverdriver.GetListenenerParams{Schema: db.Schema})
	require.NoError(t, l.Connect(t.Context()))
	require.NoError(t, l.Listen(t.Context(), insertTopic))

	const count = 300
	own, others := newAnnouncer(db.Pool, db.Schema, origin, nil), newAnnouncer(db.Pool, db.Schema, "another", nil)
	var sending sync.WaitGroup
	sending.Go(func() {
		for n := range count {
			d.wakes.wake("woken_" + strconv.Itoa(n))
		}
	})
	sending.Go(func() {
		for n := range count {
			if err := errors.Join(own.send([]string{"own_" + strconv.Itoa(n)}), others.send([]string{"other_" + strconv.Itoa(n)})); err != nil {
				t.Error(err)
			}
		}
		d.wakes.wake("last") // everything announced is on the connection by now
	})
	heard := map[string]int{}
	for len(heard) < 2*count+1 {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		n, err := l.WaitForNotification(ctx)
		cancel()
		require.NoError(t, err, "heard %d", len(heard))
		require.Equal(t, insertTopic, n.Topic)
		heard[n.Payload]++
	}
	sending.Wait()
	for n := range count {
		require.Equal(t, 1, heard[`{"queue": "woken_`+strconv.Itoa(n)+`"}`])
		require.Equal(t, 1, heard[`{"queue" : "other_`+strconv.Itoa(n)+`", "origin" : "another"}`])
	}
	require.NoError(t, l.Ping(t.Context()), "the connection is as good as before")
	require.NoError(t, l.Close(t.Context()))
}

// Without a Carrier of its own a listener hears everybody, also those that say no origin.
func TestWithoutAnOriginNothingIsAnEcho(t *testing.T) {
	t.Parallel()

	for payload, echo := range map[string]bool{
		`{"queue": "p_a"}`:                           false,
		`{"queue": "p_a", "origin": ""}`:             false,
		`{"queue": "p_a", "origin": "this process"}`: true,
		`{"queue": "p_a", "origin": "another"}`:      false,
		`no JSON`:                                    false,
	} {
		heard := &riverdriver.Notification{Topic: insertTopic, Payload: payload}
		require.Equal(t, echo, (&listener{origin: origin}).isEcho(heard), payload)
		require.False(t, (&listener{}).isEcho(heard), payload)
		heard.Topic = "river_control"
		require.False(t, (&listener{origin: origin}).isEcho(heard), payload)
	}
}
