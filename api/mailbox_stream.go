package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

type mailboxStreamInput struct {
	Tenant      string `doc:"The tenant." example:"acme" maxLength:"200" path:"tenant"`
	MailboxKey  string `doc:"As for reading the mailbox." example:"ada" path:"mailboxKey"`
	Since       string `doc:"A time (inclusive), the nextCursor of a page, or the id of an event." query:"since"`
	LastEventID string `doc:"The id of the last event received; it comes before since." header:"Last-Event-ID"`

	filter store.MailboxFilter
	from   position
}

// Resolve reads the address from the path as it was sent, and the parameters Huma
// does not know how to.
func (in *mailboxStreamInput) Resolve(ctx huma.Context) []error {
	d := decoder{}
	in.filter = d.mailboxPath(requestOf(ctx.Context()).escapedPath)
	in.from = d.since(in.Since)
	if in.LastEventID != "" {
		in.from = d.cursor("header.Last-Event-ID", in.LastEventID, ofMessages)
	}
	in.filter.Since, in.filter.Cursor = in.from.since(), in.from.After
	return d.errors()
}

func (s *server) mailboxStreamRoutes() {
	op := huma.Operation{
		OperationID: "followMailbox", Method: http.MethodGet, Path: "/mailbox/{tenant}/{mailboxKey}/events", Tags: []string{tagMailbox},
		Summary: "Follow a mailbox",
		Description: "What reading the mailbox returns, from the beginning, a time or a cursor on, and then every message as it is posted. " +
			streamText,
		Errors: []int{422, 503},
	}
	documentStream(&op, s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Message](), true, ""),
		"retry: 1000\n\nid: eyJrIjoibSIsImEiOnsibGxtIjo0Mn19\nevent: message\ndata: {\"messageId\":\"0000000000000042.llm\",…}\n\n")
	register(s, op, s.followMailbox)
}

func (s *server) followMailbox(ctx context.Context, in *mailboxStreamInput) (*huma.StreamResponse, error) {
	stream, err := s.service.FollowMessages(ctx, in.filter)
	if err != nil {
		return nil, followError(err)
	}
	return (&subscription[domain.Message]{
		name: "message", from: in.from.clone(ofMessages), stream: stream, within: s.within,
		place: func(m *domain.Message) (domain.Source, int64) { return m.Source, m.Seq },
		view:  func(m *domain.Message) any { return messageJSON(m) },
	}).response(), nil
}

// followError words why a stream does not begin.
func followError(err error) error {
	if errors.Is(err, io.EOF) {
		return domain.Errorf(domain.CodeUnavailable, "This server is stopping: follow on another one, or here when it is back.")
	}
	return err
}
