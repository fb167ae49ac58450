package history

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
)

// serverPage is what a server gives at a time.
const serverPage int64 = 500

// Server reads a history through the HTTP API.
type Server struct {
	API client.ClientInterface
}

// Pools implements Source.
func (s Server) Pools(ctx context.Context) ([]Pool, error) {
	list, err := client.Read[client.PoolList](s.API.ListPools(ctx))
	if err != nil {
		return nil, err
	}
	pools := make([]Pool, 0, len(list.Pools))
	for i := range list.Pools {
		p := &list.Pools[i]
		if p.Derived {
			continue // a facility: it has no tasks, and a check of its own
		}
		pools = append(pools, Pool{
			ID: domain.PoolID(p.PoolID), State: domain.PoolState(p.State),
			MaxUnits: domain.Units(p.MaxUnits), MaxOvertakes: int(p.MaxOvertakes),
			Counters: Counters{
				EventSeq: p.EventSeq, ActiveUnits: domain.Units(p.ActiveUnits),
				Running: p.Running, Queued: p.Queued, Waiting: p.Waiting,
			},
		})
	}
	return pools, nil
}

// Events implements Source.
func (s Server) Events(query EventQuery) Stream {
	limit := serverPage
	params := &client.ListEventsParams{Limit: &limit}
	if query.Pool != "" {
		params.PoolID = new(string(query.Pool))
	}
	if query.Kind != "" {
		params.Kind = new(string(query.Kind))
	}
	if !query.From.IsZero() {
		params.From = new(query.From.UTC().Format(time.RFC3339Nano))
	}
	return &serverStream{api: s.API, params: params}
}

type serverStream struct {
	api    client.ClientInterface
	params *client.ListEventsParams
}

// Next implements Stream.
func (s *serverStream) Next(ctx context.Context) ([]domain.Event, error) {
	page, err := client.Read[client.AuditPage](s.api.ListEvents(ctx, s.params))
	if err != nil {
		return nil, err
	}
	if page.NextCursor != "" {
		s.params.Cursor = &page.NextCursor
	}
	events := make([]domain.Event, len(page.Events))
	for i := range page.Events {
		if events[i], err = eventOf(&page.Events[i]); err != nil {
			return nil, err
		}
	}
	return events, nil
}

func eventOf(e *client.Event) (domain.Event, error) {
	source, seq, err := parseID(e.EventID)
	if err != nil {
		return domain.Event{}, err
	}
	return domain.Event{
		Source: source, Seq: seq, At: e.At, Kind: domain.EventKind(e.Kind),
		PoolID: domain.PoolID(e.PoolID), TaskID: domain.TaskID(e.TaskID), JobID: domain.JobID(e.JobID),
		Submission: int(e.Submission), Tenant: domain.Tenant(e.Tenant), Attempt: int(e.Attempt),
		Units: domain.Units(e.Units), Status: domain.Status(e.Status), Reason: reasonOf(e.Reason),
		Actor: e.Actor, Subjects: e.Subjects, Detail: e.Detail,
	}, nil
}

// parseID takes an event's or a message's id apart.
func parseID(id string) (domain.Source, int64, error) {
	number, source, found := strings.Cut(id, ".")
	seq, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil {
		return "", 0, fmt.Errorf("id %q is not a sequence number and its source", id)
	}
	return domain.Source(source), seq, nil
}

func reasonOf(r *client.Reason) domain.Reason {
	if r == nil {
		return domain.Reason{}
	}
	return domain.Reason{Code: domain.ReasonCode(r.Code), Message: r.Message}
}

// Tasks implements Source.
func (s Server) Tasks(ctx context.Context, pool domain.PoolID, each func(*domain.Task)) error {
	limit := serverPage
	params := &client.ListTasksParams{Limit: &limit}
	for {
		page, err := client.Read[client.TaskPage](s.API.ListTasks(ctx, string(pool), params))
		if err != nil {
			return err
		}
		for i := range page.Tasks {
			task, err := taskOf(&page.Tasks[i])
			if err != nil {
				return err
			}
			each(&task)
		}
		if page.NextCursor == "" {
			return nil
		}
		params.Cursor = &page.NextCursor
	}
}

func taskOf(t *client.Task) (domain.Task, error) {
	priority, err := domain.ParsePriority(string(t.Priority))
	if err != nil {
		return domain.Task{}, fmt.Errorf("task %s: %w", t.TaskID, err)
	}
	task := domain.Task{
		PoolID: domain.PoolID(t.PoolID), JobID: domain.JobID(t.JobID), TaskID: domain.TaskID(t.TaskID),
		Submission: int(t.Submission), Tenant: domain.Tenant(t.Tenant), Requested: priority, Priority: priority,
		Units: domain.Units(t.ResourceCost.Units), Status: domain.Status(t.Status), Reason: reasonOf(t.Reason),
		Attempt: int(t.Attempt), CreatedAt: t.CreatedAt, StartedAt: t.StartedAt, FinishedAt: t.FinishedAt,
	}
	if m := t.MailboxKey; m != nil {
		task.Mailbox = &domain.MailboxKey{Tenant: domain.Tenant(m.Tenant), UserID: m.UserID, SessionID: m.SessionID}
	}
	return task, nil
}

// Messages implements Source.
func (s Server) Messages(ctx context.Context, each func(*domain.Message)) error {
	limit := serverPage
	params := &client.ListMessagesParams{Limit: &limit}
	for {
		page, err := client.Read[client.PostedPage](s.API.ListMessages(ctx, params))
		if err != nil {
			return err
		}
		for i := range page.Messages {
			message, err := messageOf(&page.Messages[i])
			if err != nil {
				return err
			}
			each(&message)
		}
		if page.NextCursor == "" {
			return nil
		}
		params.Cursor = &page.NextCursor
	}
}

func messageOf(m *client.PostedMessage) (domain.Message, error) {
	source, seq, err := parseID(m.MessageID)
	if err != nil {
		return domain.Message{}, err
	}
	return domain.Message{
		Source: source, Seq: seq, PoolID: domain.PoolID(m.PoolID), TaskID: domain.TaskID(m.TaskID),
		JobID: domain.JobID(m.JobID), Submission: int(m.Submission), Status: domain.Status(m.Status),
		Reason: reasonOf(m.Reason), CreatedAt: m.CreatedAt,
		Mailbox: domain.MailboxKey{
			Tenant: domain.Tenant(m.MailboxKey.Tenant), UserID: m.MailboxKey.UserID, SessionID: m.MailboxKey.SessionID,
		},
	}, nil
}
