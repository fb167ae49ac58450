package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Message is an outcome left in a mailbox.
type Message struct {
	MessageID  string          `doc:"Unique; messages of one pool sort by it in the order they were posted." example:"0000000000000042.llm" json:"messageId"`
	TaskID     string          `example:"req-42" json:"taskId"`
	PoolID     string          `example:"llm" json:"poolId"`
	JobID      int64           `json:"jobId"`
	Submission int             `json:"submission"`
	MailboxKey TaskMailbox     `json:"mailboxKey"`
	Status     string          `doc:"How the task ended; of somebody in a facility's waiting line: offered, taken, expired or cancelled." enum:"completed,failed,expired,rejected,dropped,offered,taken,cancelled" json:"status"`
	Reason     *Reason         `json:"reason,omitempty"`
	Payload    json.RawMessage `doc:"The result of a completed task; else null." json:"payload"`
	CreatedAt  time.Time       `json:"createdAt"`
}

// MailboxPage is a page of a mailbox.
type MailboxPage struct {
	Messages   []Message `doc:"Oldest first." json:"messages" nullable:"false"`
	NextCursor string    `doc:"Give it as since to read on. Always there: an empty page repeats where it began." json:"nextCursor"`
}

type mailboxInput struct {
	Tenant     string `doc:"The tenant." example:"acme" maxLength:"200" path:"tenant"`
	MailboxKey string `doc:"userId (with all of the user's sessions) or userId:sessionId, each part percent-encoded; _ is all of the tenant's, and a user called _ is written %5F." example:"ada" path:"mailboxKey"`
	Since      string `doc:"A time (inclusive) or the nextCursor of a page." query:"since"`
	Limit      int    `default:"50" doc:"Messages of a page." maximum:"500" minimum:"1" query:"limit"`
	Wait       string `doc:"Hold an empty answer for a message, at most this long (at most 5m): a duration such as 30s, or a number of seconds." example:"30s" query:"wait"`

	filter store.MailboxFilter
	from   position
	wait   time.Duration
}

// Resolve reads the address from the path as it was sent, and the parameters Huma
// does not know how to.
func (in *mailboxInput) Resolve(ctx huma.Context) []error {
	d := decoder{}
	in.filter = d.mailboxPath(requestOf(ctx.Context()).escapedPath)
	in.from = d.since(in.Since)
	in.wait = d.wait(in.Wait)
	in.filter.Since, in.filter.Cursor, in.filter.Limit = in.from.since(), in.from.After, in.Limit
	return d.errors()
}

// since reads where a mailbox is to be read from: a time, or a cursor.
func (d *decoder) since(text string) position {
	if at, ok := parseTime(text); ok {
		return position{Since: &at}
	}
	return d.cursor("query.since", text, ofMessages)
}

// mailboxPath reads /mailbox/{tenant}/{mailboxKey} as it was sent: what is
// percent-encoded is never a mark.
func (d *decoder) mailboxPath(escaped string) store.MailboxFilter {
	const segments = 4 // with the empty one before the first slash
	parts := strings.Split(escaped, "/")
	if len(parts) < segments {
		d.faultf("path.mailboxKey", nil, "is required")
		return store.MailboxFilter{}
	}
	filter := store.MailboxFilter{Tenant: domain.Tenant(d.segment("path.tenant", parts[2]))}
	key := parts[3]
	if key == "_" {
		filter.AllUsers = true
		return filter
	}
	user, session, hasSession := strings.Cut(key, ":")
	filter.UserID = d.segment("path.mailboxKey", user)
	if hasSession {
		if strings.Contains(session, ":") {
			d.faultf("path.mailboxKey", nil, "has more than one colon: write a colon within a part as %%3A")
		}
		text := d.segment("path.mailboxKey", session)
		filter.SessionID = &text
	}
	return filter
}

func (d *decoder) segment(location, escaped string) string {
	text, err := url.PathUnescape(escaped)
	if n := utf8.RuneCountInString(text); err != nil || n < 1 || n > maxName {
		d.faultf(location, nil, "has to have parts of 1 to %d characters, percent-encoded", maxName)
		return ""
	}
	return text
}

type mailboxOutput struct {
	Body MailboxPage
}

func (s *server) mailboxRoutes() {
	register(s, huma.Operation{
		OperationID: "readMailbox", Method: http.MethodGet, Path: "/mailbox/{tenant}/{mailboxKey}", Tags: []string{tagMailbox},
		Summary: "Read a mailbox",
		Description: "Outcomes of tasks with this mailbox key, oldest first, from every pool and backend. A message posted is in every later " +
			"read: no cursor ever passes over one that is still being written. An empty mailbox is `200` with no messages.",
		Errors: []int{422, 503},
	}, s.readMailbox)
	s.mailboxStreamRoutes()
	s.ackRoutes()
	s.messageRoutes()
}

func (s *server) readMailbox(ctx context.Context, in *mailboxInput) (*mailboxOutput, error) {
	messages, err := s.service.Messages(ctx, in.filter, in.wait)
	if err != nil {
		return nil, err
	}
	next := in.from.clone(ofMessages)
	page := MailboxPage{Messages: make([]Message, 0, len(messages))}
	for i := range messages {
		next.advance(messages[i].Source, messages[i].Seq)
		page.Messages = append(page.Messages, messageJSON(&messages[i]))
	}
	page.NextCursor = next.String()
	return &mailboxOutput{Body: page}, nil
}

func messageJSON(m *domain.Message) Message {
	return Message{
		MessageID: m.ID(), TaskID: string(m.TaskID), PoolID: string(m.PoolID), JobID: int64(m.JobID),
		Submission: m.Submission, Status: string(m.Status), Reason: reasonJSON(m.Reason), Payload: m.Payload,
		MailboxKey: TaskMailbox{
			Tenant: string(m.Mailbox.Tenant), UserID: m.Mailbox.UserID, SessionID: m.Mailbox.SessionID,
		},
		CreatedAt: m.CreatedAt.UTC(),
	}
}
