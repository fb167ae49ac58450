package history

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
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

// facilitySource begins the names of what numbers the events of facilities.
const facilitySource = "facility:"

// Others implements Source.
func (s Server) Others(ctx context.Context) ([]domain.Source, error) {
	list, err := client.Read[client.PoolList](s.API.ListPools(ctx))
	if err != nil {
		return nil, err
	}
	var others []domain.Source
	for i := range list.Pools {
		if list.Pools[i].Derived {
			others = append(others, domain.Source(facilitySource+list.Pools[i].PoolID))
		}
	}
	return others, nil
}

// Origin implements Source. A server that is too old to be asked has not noted what
// retention has deleted either.
func (s Server) Origin(ctx context.Context, source domain.Source) (store.Origin, error) {
	o, err := client.Read[client.PoolOrigin](s.API.GetOrigin(ctx, strings.TrimPrefix(string(source), facilitySource)))
	if client.NotFound(err) {
		return store.Origin{}, nil
	}
	if err != nil {
		return store.Origin{}, err
	}
	origin := store.Origin{
		Audit: o.AuditFrom, Tasks: o.TasksFrom, Unread: o.UnreadFrom,
		Acknowledged: o.AcknowledgedFrom, AcknowledgedDeleted: o.AcknowledgedDeleted,
	}
	if c := o.Checkpoint; !c.At.IsZero() {
		origin.Checkpoint = &domain.Counters{
			At: c.At, EventSeq: c.EventSeq, JobSeq: c.JobSeq, ActiveUnits: domain.Units(c.ActiveUnits),
			Running: c.Running, Queued: c.Queued, Waiting: c.Waiting,
		}
	}
	return origin, nil
}

// Events implements Source.
func (s Server) Events(query EventQuery) Stream[domain.Event] {
	limit := serverPage
	params := &client.ListEventsParams{Limit: &limit, PoolID: new(string(query.Source))}
	if query.Kind != "" {
		params.Kind = new(string(query.Kind))
	}
	if !query.From.IsZero() {
		params.From = new(query.From.UTC().Format(time.RFC3339Nano))
	}
	return &serverEvents{api: s.API, params: params}
}

type serverEvents struct {
	api    client.ClientInterface
	params *client.ListEventsParams
}

// Next implements Stream.
func (s *serverEvents) Next(ctx context.Context) ([]domain.Event, error) {
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
func (s Server) Messages(pool domain.PoolID) Stream[domain.Message] {
	limit := serverPage
	return &serverMessages{api: s.API, params: &client.ListMessagesParams{Limit: &limit, PoolID: new(string(pool))}, pool: pool}
}

type serverMessages struct {
	api    client.ClientInterface
	params *client.ListMessagesParams
	pool   domain.PoolID
	last   int64 // the last page there was has no cursor: it is read again later
}

// Next implements Stream.
func (s *serverMessages) Next(ctx context.Context) ([]domain.Message, error) {
	for {
		page, err := client.Read[client.PostedPage](s.api.ListMessages(ctx, s.params))
		if err != nil {
			return nil, err
		}
		var messages []domain.Message
		for i := range page.Messages {
			message, err := messageOf(&page.Messages[i])
			if err != nil {
				return nil, err
			}
			if message.PoolID == s.pool && message.Seq > s.last { // an older server does not narrow it down
				messages = append(messages, message)
				s.last = message.Seq
			}
		}
		if page.NextCursor != "" {
			s.params.Cursor = &page.NextCursor
		}
		if len(messages) > 0 || page.NextCursor == "" {
			return messages, nil
		}
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
