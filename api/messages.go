package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// PostedMessage is a message as operators see it, whoever's mailbox it is in.
type PostedMessage struct {
	MessageID      string      `doc:"Unique; messages of one pool sort by it in the order they were posted." example:"0000000000000042.llm" json:"messageId"`
	TaskID         string      `example:"req-42" json:"taskId"`
	PoolID         string      `example:"llm" json:"poolId"`
	JobID          int64       `json:"jobId"`
	Submission     int         `json:"submission"`
	MailboxKey     TaskMailbox `json:"mailboxKey"`
	Status         string      `doc:"As in a mailbox." json:"status"`
	Reason         *Reason     `json:"reason,omitempty"`
	CreatedAt      time.Time   `json:"createdAt"`
	AcknowledgedAt *time.Time  `doc:"When it was acknowledged; absent: not yet." json:"acknowledgedAt,omitempty"`
}

// PostedPage is a page of the messages of all mailboxes.
type PostedPage struct {
	Messages   []PostedMessage `doc:"Oldest first." json:"messages" nullable:"false"`
	NextCursor string          `doc:"Cursor of the next page; absent after the last message there is now." json:"nextCursor,omitempty"`
}

type listMessagesInput struct {
	PoolID string `doc:"Only messages of this pool's tasks." query:"poolId"`
	Limit  int    `default:"50" doc:"Messages of a page." maximum:"500" minimum:"1" query:"limit"`
	Cursor string `doc:"nextCursor of the page before." query:"cursor"`

	from position
}

// Resolve reads the cursor.
func (in *listMessagesInput) Resolve(huma.Context) []error {
	d := decoder{}
	in.from = d.cursor("query.cursor", in.Cursor, ofMessages)
	return d.errors()
}

type postedPageOutput struct {
	Body PostedPage
}

func (s *server) messageRoutes() {
	register(s, huma.Operation{
		OperationID: "listMessages", Method: http.MethodGet, Path: "/messages", Tags: []string{tagMailbox},
		Summary: "List the messages of all mailboxes",
		Description: "For operators, and for proof that every outcome has its message: all mailboxes, what is acknowledged included, " +
			"without payloads, until retention deletes them.",
		Errors: []int{422, 503},
	}, s.listMessages)
}

func (s *server) listMessages(ctx context.Context, in *listMessagesInput) (*postedPageOutput, error) {
	messages, err := s.service.PostedMessages(ctx, domain.PoolID(in.PoolID), in.from.After, in.Limit)
	if err != nil {
		return nil, err
	}
	page := PostedPage{Messages: make([]PostedMessage, 0, len(messages))}
	next := in.from.clone(ofMessages)
	for i := range messages {
		m := &messages[i]
		next.advance(m.Source, m.Seq)
		page.Messages = append(page.Messages, postedJSON(m))
	}
	if len(messages) == in.Limit {
		page.NextCursor = next.String()
	}
	return &postedPageOutput{Body: page}, nil
}

func postedJSON(m *domain.Message) PostedMessage {
	of := messageJSON(m)
	return PostedMessage{
		MessageID: of.MessageID, TaskID: of.TaskID, PoolID: of.PoolID, JobID: of.JobID, Submission: of.Submission,
		MailboxKey: of.MailboxKey, Status: of.Status, Reason: of.Reason, CreatedAt: of.CreatedAt,
		AcknowledgedAt: m.AckedAt,
	}
}
