package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/store"
)

// Acknowledgement is the body of an acknowledgement.
type Acknowledgement struct {
	UpTo string   `doc:"The nextCursor of a page, or the id of an event: everything that reading this mailbox returned up to there." example:"eyJrIjoibSIsImEiOnsibGxtIjo0Mn19" json:"upTo"`
	_    struct{} `additionalProperties:"false" json:"-"`
}

// Acknowledged counts what an acknowledgement reached.
type Acknowledged struct {
	Acknowledged int64 `doc:"Messages that nobody had acknowledged before." json:"acknowledged"`
}

type ackInput struct {
	Tenant     string `doc:"The tenant." example:"acme" maxLength:"200" path:"tenant"`
	MailboxKey string `doc:"As for reading the mailbox." example:"ada" path:"mailboxKey"`

	filter store.MailboxFilter
	upTo   position
}

// Resolve reads the address from the path as it was sent, and the body.
func (in *ackInput) Resolve(ctx huma.Context) []error {
	var address, body decoder
	in.filter = address.mailboxPath(requestOf(ctx.Context()).escapedPath)
	faults := small(ctx, &body, field{"upTo", true, func(at string, raw []byte) {
		if text := body.text(at, raw, 1, maxCursor); len(body.faults) == 0 {
			in.upTo = body.cursor(at, text, ofMessages)
		}
	}})
	in.filter.Since = in.upTo.since()
	return append(address.errors(), faults...)
}

// maxCursor is the longest cursor taken in a body, in characters: thousands of sources.
const maxCursor = 60_000

type ackOutput struct {
	Body Acknowledged
}

func (s *server) ackRoutes() {
	op := huma.Operation{
		OperationID: "acknowledgeMailbox", Method: http.MethodPost, Path: "/mailbox/{tenant}/{mailboxKey}/ack", Tags: []string{tagMailbox},
		Summary: "Acknowledge messages",
		Description: "What reading this mailbox returned up to the cursor is in no later read, whatever its key, and is deleted sooner. " +
			"A user's key acknowledges the messages of all the user's sessions, `_` all of the tenant's. Doing it again changes nothing.",
		Errors: []int{400, 408, 413, 415, 422, 503},
	}
	register(s, op, s.acknowledge)
	documentBody[Acknowledgement](s.api, op, `{"upTo": "eyJrIjoibSIsImEiOnsibGxtIjo0Mn19"}`)
}

func (s *server) acknowledge(ctx context.Context, in *ackInput) (*ackOutput, error) {
	n, err := s.service.Acknowledge(ctx, in.filter, in.upTo.After)
	if err != nil {
		return nil, err
	}
	return &ackOutput{Body: Acknowledged{Acknowledged: n}}, nil
}
