package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Server-sent events, as the HTML standard has them (WHATWG, "Server-sent events").
// Huma's own sse package numbers events with integers; here an event's id is the cursor
// after it, which is what a client has to send back.
const (
	mediaEvents = "text/event-stream"
	// heartbeat is how often a stream that is quiet says that it lives: proxies cut
	// connections that say nothing for a minute.
	heartbeat = 15 * time.Second
	// sendTimeout is how long a client may take to make room for what it is sent.
	sendTimeout = 15 * time.Second
	// reconnect is what clients are asked to wait before they come back.
	reconnect = time.Second

	streamText = "Server-sent events (`" + mediaEvents + "`). The `id` of each is a cursor: a client that comes back with it in " +
		"`Last-Event-ID` gets everything after it, without a gap and nothing twice, from any server. A quiet stream sends a comment " +
		"every 15 seconds. It ends when the server stops, or when the client does not read; come back then."
)

// subscription is what a stream writes.
type subscription[T any] struct {
	name   string // of its events
	from   position
	stream Stream[T]
	within time.Duration // to make room for what is sent
	place  func(*T) (domain.Source, int64)
	view   func(*T) any
}

// response is the answer that writes the stream until its end, which is the client's,
// the server's or an error's.
func (s *subscription[T]) response() *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer s.stream.Close()
		hctx.SetHeader("Content-Type", mediaEvents)
		hctx.SetHeader("Cache-Control", "no-store")
		hctx.SetHeader("X-Accel-Buffering", "no") // nginx would keep events for itself
		ctx := hctx.Context()
		if err := s.serve(ctx, newSender(hctx.BodyWriter(), s.within)); err != nil && ctx.Err() == nil {
			requestOf(ctx).log().InfoContext(ctx, "a stream has ended", slog.Any("error", err))
		}
	}}
}

func (s *subscription[T]) serve(ctx context.Context, out *sender) error {
	defer out.done()
	fmt.Fprintf(&out.text, "retry: %d\n\n", reconnect.Milliseconds())
	if err := out.send(); err != nil {
		return err
	}
	for {
		values, err := s.stream.Next(ctx, heartbeat)
		switch {
		case errors.Is(err, io.EOF), ctx.Err() != nil:
			return nil
		case domain.CodeOf(err) == domain.CodeUnavailable:
			out.text.WriteString(": the backend does not answer; what is new comes when it does\n\n")
			pause(ctx, retryUnavailable)
		case err != nil:
			return err
		case len(values) == 0:
			out.text.WriteString(":\n\n")
		}
		for i := range values {
			s.from.advance(s.place(&values[i]))
			if err := out.event(s.name, s.from.String(), s.view(&values[i])); err != nil {
				return err
			}
		}
		if err := out.send(); err != nil {
			return err
		}
	}
}

// sender writes to a client that may not read.
type sender struct {
	out     io.Writer
	control *http.ResponseController // nil: the writer is no connection
	within  time.Duration
	text    bytes.Buffer
}

func newSender(out io.Writer, within time.Duration) *sender {
	s := &sender{out: out, within: within}
	if w, ok := out.(http.ResponseWriter); ok {
		s.control = http.NewResponseController(w)
	}
	return s
}

// event adds an event. JSON has no line breaks, so it is one line of data.
func (s *sender) event(name, id string, value any) error {
	fmt.Fprintf(&s.text, "id: %s\nevent: %s\ndata: ", id, name)
	if err := encode(&s.text, value); err != nil {
		return fmt.Errorf("encode an event: %w", err)
	}
	s.text.WriteByte('\n')
	return nil
}

// send writes what was added, or fails when the client takes too long.
func (s *sender) send() error {
	if s.control != nil {
		// Writers that know no deadline (tests) have nobody slow behind them.
		_ = s.control.SetWriteDeadline(time.Now().Add(s.within))
	}
	_, err := s.out.Write(s.text.Bytes())
	s.text.Reset()
	if s.text.Cap() > keepBuffer {
		s.text = bytes.Buffer{}
	}
	if err == nil && s.control != nil {
		err = s.control.Flush()
	}
	if err != nil {
		return fmt.Errorf("send to the client: %w", err)
	}
	return nil
}

// keepBuffer is how much of a buffer a quiet stream keeps, in bytes.
const keepBuffer = 4 << 10

// done leaves the connection as it was: another request may come on it.
func (s *sender) done() {
	if s.control != nil {
		_ = s.control.SetWriteDeadline(time.Time{})
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// documentStream says in the document what the events of an operation carry.
func documentStream(op *huma.Operation, schema *huma.Schema, example string) {
	op.Responses = map[string]*huma.Response{"200": {
		Description: "A stream of events, each with the cursor after it as id and JSON as data.",
		Content: map[string]*huma.MediaType{mediaEvents: {
			Schema:  &huma.Schema{Type: huma.TypeString, Description: "Each event's data is of this schema: " + schema.Ref},
			Example: example,
		}},
	}}
}
