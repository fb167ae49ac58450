package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// StreamEvent is one server-sent event.
type StreamEvent struct {
	ID   string // the cursor after it: send it as Last-Event-ID to go on from here
	Name string // "message" of a mailbox, "event" of the trail
	Data []byte // a Message or an Event as JSON
}

// EventReader reads the server-sent events of FollowMailbox and FollowEvents. It is for
// one goroutine at a time. It does not reconnect by itself.
type EventReader struct {
	body  io.Closer
	lines *bufio.Reader
	event StreamEvent
	retry time.Duration
}

// Events reads the answer of FollowMailbox or FollowEvents: its events, or the error, an
// *Error when the server refused. The caller closes the reader; ending the request's
// context ends a Next that waits.
func Events(res *http.Response, err error) (*EventReader, error) {
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer func() { _ = res.Body.Close() }() // the answer says why, whatever its end
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return nil, fmt.Errorf("read the answer of %s: %w", res.Request.URL, err)
		}
		return nil, Check(res, body)
	}
	return &EventReader{body: res.Body, lines: bufio.NewReader(res.Body)}, nil
}

// Next waits for the next event. Any error ends the stream; io.EOF, or
// io.ErrUnexpectedEOF within an event, when the server ended it.
func (r *EventReader) Next() (StreamEvent, error) {
	var data []byte
	r.event.Name = ""
	for {
		line, err := r.lines.ReadBytes('\n')
		if err != nil {
			if errors.Is(err, io.EOF) && (len(line) > 0 || data != nil) {
				err = io.ErrUnexpectedEOF
			}
			return StreamEvent{}, err //nolint:wrapcheck // the caller knows what it follows
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			if data == nil {
				r.event.Name = ""
				continue // a comment, an id or a retry alone
			}
			r.event.Data = bytes.TrimSuffix(data, []byte("\n"))
			return r.event, nil
		}
		name, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "data":
			data = append(append(data, value...), '\n')
		case "event":
			r.event.Name = value
		case "id":
			r.event.ID = value
		case "retry":
			if ms, err := strconv.Atoi(value); err == nil && ms >= 0 {
				r.retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
}

// Retry returns how long the server asks clients to wait before they come back; 0: it
// has not said.
func (r *EventReader) Retry() time.Duration { return r.retry }

// Close ends the stream.
func (r *EventReader) Close() error { return r.body.Close() } //nolint:wrapcheck // there is nothing to add
