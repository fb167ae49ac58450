package riverrt

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver"
)

// insertTopic is River's topic for jobs that have been inserted.
const insertTopic = "river_insert"

// driver is River's driver with a listener that also hears what this process itself has
// put into its queues, without the way through the database.
type driver struct {
	riverdriver.Driver[pgx.Tx]

	wakes  *wakes
	origin string // of the Carrier that wakes
}

// GetListener implements riverdriver.Driver.
func (d *driver) GetListener(params *riverdriver.GetListenenerParams) riverdriver.Listener {
	return &listener{Listener: d.Driver.GetListener(params), wakes: d.wakes, origin: d.origin}
}

// listener adds wakes to what a listener of River's hears. Who waits is interrupted, in the
// way in which River itself interrupts it for a ping: the connection stays as it is, and what
// arrives at that moment is heard by the next wait. The queues that were woken wait through
// reconnects.
type listener struct {
	riverdriver.Listener

	wakes  *wakes
	origin string
}

// WaitForNotification implements riverdriver.Listener.
func (l *listener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	for {
		if queue, woken := l.wakes.take(); woken {
			// The name of a queue needs no escapes.
			return &riverdriver.Notification{Topic: insertTopic, Payload: `{"queue": "` + queue + `"}`}, nil
		}
		heard, err := l.wait(ctx)
		if err != nil || heard != nil {
			return heard, err
		}
	}
}

// wait waits on the connection. It returns nothing when a queue was woken, or was announced
// that had been woken here.
func (l *listener) wait(ctx context.Context) (heard *riverdriver.Notification, err error) {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	l.wakes.during(stop, func() { heard, err = l.Listener.WaitForNotification(waiting) })
	switch {
	case err != nil && ctx.Err() == nil && errors.Is(err, context.Canceled):
		return nil, nil //nolint:nilnil // woken
	case err != nil:
		return nil, err //nolint:wrapcheck // River looks at it
	case l.isEcho(heard):
		return nil, nil //nolint:nilnil // nothing new
	}
	return heard, nil
}

// isEcho reports whether the notification tells what this process was the first to know.
// What it has announced it has woken before, or has put in before the client's first fetch.
func (l *listener) isEcho(heard *riverdriver.Notification) bool {
	if heard.Topic != insertTopic || l.origin == "" {
		return false
	}
	var announced struct {
		Origin string `json:"origin"` // none: River, or an older program
	}
	return json.Unmarshal([]byte(heard.Payload), &announced) == nil && announced.Origin == l.origin
}
