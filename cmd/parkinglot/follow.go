package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
)

// follow calls each with every event of a stream until ctx ends, which is no error.
// open begins the stream after an id, empty at first. Once the server has answered, its
// absence is waited out: the id loses nothing.
func (s *session) follow(ctx context.Context, open func(ctx context.Context, lastID string) (*http.Response, error), each func(client.StreamEvent) error) error {
	lastID, wait := "", lull
	for first := true; ; first = false {
		events, err := client.Events(open(ctx, lastID)) //nolint:bodyclose // the reader closes it
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // interrupted, as it is meant to be
		case err != nil && !first && statusFor(err) == exitUnavailable:
			_ = pause(ctx, wait) // interrupted: the loop sees it
			continue
		case err != nil && unreachable(err):
			return failure(exitUnavailable, "%w\nIs the server running at %s? --server or PARKINGLOT_SERVER says where it is", err, s.server)
		case err != nil:
			return err //nolint:wrapcheck // the server's words
		}
		if lastID, err = drain(events, lastID, each); err != nil {
			return err
		}
		wait = max(events.Retry(), lull)
		if ctx.Err() == nil {
			_ = pause(ctx, min(wait, time.Second))
		}
	}
}

// drain reads events until the stream ends. Only each's error is one; the id returned is
// that of the last event that each has taken.
func drain(events *client.EventReader, lastID string, each func(client.StreamEvent) error) (string, error) {
	defer func() { _ = events.Close() }() // its end has been seen
	for {
		event, err := events.Next()
		if err != nil {
			return lastID, nil // the server ended, or the way to it: come back
		}
		if err := each(event); err != nil {
			return lastID, err
		}
		lastID = event.ID
	}
}

// decode reads what an event carries.
func decode[T any](event client.StreamEvent) (T, error) {
	var value T
	if err := json.Unmarshal(event.Data, &value); err != nil {
		return value, fmt.Errorf("event %q is not what was expected: %w", event.Name, err)
	}
	return value, nil
}

// line prints a value as one line of JSON.
func (s *session) line(value any) error {
	lines := json.NewEncoder(s.out)
	lines.SetEscapeHTML(false)
	return lines.Encode(value) //nolint:wrapcheck // of the terminal
}
