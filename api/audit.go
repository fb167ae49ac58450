package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Event is one entry of the audit trail.
type Event struct {
	EventID    string          `doc:"Unique; events of one pool sort by it in the order they happened." example:"0000000000000042.llm" json:"eventId"`
	At         time.Time       `json:"at"`
	Kind       string          `doc:"submit, enqueue, start, complete, fail, expire, reject, drop, retry, cancel, lost, refused; pool_change; parking.…" example:"start" json:"kind"`
	PoolID     string          `example:"llm" json:"poolId,omitempty"`
	TaskID     string          `example:"req-42" json:"taskId,omitempty"`
	Submission int             `doc:"Which submission of the task id." json:"submission,omitempty"`
	JobID      int64           `json:"jobId,omitempty"`
	Tenant     string          `example:"acme" json:"tenant,omitempty"`
	Attempt    int             `json:"attempt,omitempty"`
	Units      int64           `doc:"What a start took or the end of an attempt gave back; of other kinds the task's weight." json:"units,omitempty"`
	Status     string          `doc:"Of the task after the transition." json:"status,omitempty"`
	Reason     *Reason         `json:"reason,omitempty"`
	Actor      string          `doc:"Who asked; absent: the scheduler." json:"actor,omitempty"`
	Subjects   []string        `doc:"What the event is about." example:"[\"task:req-42\",\"pool:llm\",\"tenant:acme\"]" json:"subjects" nullable:"false"`
	Detail     json.RawMessage `doc:"An object with more, where there is more." json:"detail,omitempty"`
}

// AuditPage is a page of the audit trail.
type AuditPage struct {
	Events     []Event `doc:"Oldest first." json:"events" nullable:"false"`
	NextCursor string  `doc:"Continues after this page, now or when more has happened; absent on an empty page." json:"nextCursor,omitempty"`
}

type auditInput struct {
	TaskID  string `doc:"Only events of this task." query:"taskId"`
	Tenant  string `doc:"Only events of this tenant." query:"tenant"`
	PoolID  string `doc:"Only events of this pool." query:"poolId"`
	Kind    string `doc:"Only events of this kind." example:"start" query:"kind"`
	Subject string `doc:"Only events about this." example:"task:req-42" query:"subject"`
	From    string `doc:"A time as RFC 3339 has it, inclusive." example:"2026-03-01T00:00:00Z" query:"from"`
	To      string `doc:"A time as RFC 3339 has it, exclusive." example:"2026-03-02T00:00:00Z" query:"to"`
	Limit   int    `default:"50" doc:"Events of a page." maximum:"500" minimum:"1" query:"limit"`
	Cursor  string `doc:"nextCursor of the page before." query:"cursor"`

	from   position
	filter store.EventFilter
}

// Resolve reads the parameters Huma does not know how to.
func (in *auditInput) Resolve(huma.Context) []error {
	d := decoder{}
	in.from = d.cursor("query.cursor", in.Cursor, ofEvents)
	in.filter = d.eventFilter(in.From, in.To)
	in.filter.Pool, in.filter.TaskID, in.filter.Tenant = domain.PoolID(in.PoolID), domain.TaskID(in.TaskID), domain.Tenant(in.Tenant)
	in.filter.Kind, in.filter.Subject = domain.EventKind(in.Kind), in.Subject
	in.filter.Cursor, in.filter.Limit = in.from.After, in.Limit
	return d.errors()
}

// eventFilter begins a filter with its range of time.
func (d *decoder) eventFilter(from, to string) store.EventFilter {
	f := store.EventFilter{From: d.queryTime("from", from), To: d.queryTime("to", to)}
	if !f.From.IsZero() && !f.To.IsZero() && f.To.Before(f.From) {
		d.faultf("query.to", to, "is before from")
	}
	return f
}

type auditOutput struct {
	Body AuditPage
}

func (s *server) auditRoutes() {
	register(s, huma.Operation{
		OperationID: "listEvents", Method: http.MethodGet, Path: "/audit", Tags: []string{tagAudit},
		Summary: "Read the audit trail",
		Description: "Lifecycle events, oldest first, from every pool and backend. Adding up units in the order of `eventId` (taken by start, given " +
			"back by complete, fail, expire, retry or lost) gives a pool's use at every instant.",
		Errors: []int{422, 503},
	}, s.listEvents)
	s.auditStreamRoutes()
}

func (s *server) listEvents(ctx context.Context, in *auditInput) (*auditOutput, error) {
	events, err := s.service.Events(ctx, in.filter)
	if err != nil {
		return nil, err
	}
	page := AuditPage{Events: make([]Event, 0, len(events))}
	next := in.from.clone(ofEvents)
	for i := range events {
		next.advance(events[i].Source, events[i].Seq)
		page.Events = append(page.Events, eventJSON(&events[i]))
	}
	if len(events) > 0 {
		page.NextCursor = next.String()
	}
	return &auditOutput{Body: page}, nil
}

func eventJSON(e *domain.Event) Event {
	return Event{
		EventID: e.ID(), At: e.At.UTC(), Kind: string(e.Kind), PoolID: string(e.PoolID), TaskID: string(e.TaskID),
		Submission: e.Submission, JobID: int64(e.JobID), Tenant: string(e.Tenant), Attempt: e.Attempt,
		Units: int64(e.Units), Status: string(e.Status), Reason: reasonJSON(e.Reason), Actor: e.Actor,
		Subjects: append([]string{}, e.Subjects...), Detail: e.Detail,
	}
}
