package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

type auditStreamInput struct {
	TaskID      string `doc:"Only events of this task." query:"taskId"`
	Tenant      string `doc:"Only events of this tenant." query:"tenant"`
	PoolID      string `doc:"Only events of this pool." query:"poolId"`
	Kind        string `doc:"Only events of this kind." example:"start" query:"kind"`
	Subject     string `doc:"Only events about this." example:"task:req-42" query:"subject"`
	From        string `doc:"A time as RFC 3339 has it, inclusive." example:"2026-03-01T00:00:00Z" query:"from"`
	To          string `doc:"A time as RFC 3339 has it, exclusive." example:"2026-03-02T00:00:00Z" query:"to"`
	Cursor      string `doc:"Begin after the page with this nextCursor, or after the event with this id." query:"cursor"`
	LastEventID string `doc:"The id of the last event received; it comes before cursor." header:"Last-Event-ID"`

	from   position
	filter store.EventFilter
}

// Resolve reads the parameters Huma does not know how to.
func (in *auditStreamInput) Resolve(huma.Context) []error {
	d := decoder{}
	in.from = d.cursor("query.cursor", in.Cursor, ofEvents)
	if in.LastEventID != "" {
		in.from = d.cursor("header.Last-Event-ID", in.LastEventID, ofEvents)
	}
	in.filter = d.eventFilter(in.From, in.To)
	in.filter.Pool, in.filter.TaskID, in.filter.Tenant = domain.PoolID(in.PoolID), domain.TaskID(in.TaskID), domain.Tenant(in.Tenant)
	in.filter.Kind, in.filter.Subject, in.filter.Cursor = domain.EventKind(in.Kind), in.Subject, in.from.After
	return d.errors()
}

func (s *server) auditStreamRoutes() {
	op := huma.Operation{
		OperationID: "followEvents", Method: http.MethodGet, Path: "/audit/events", Tags: []string{tagAudit},
		Summary: "Follow the audit trail",
		Description: "What `GET /audit` returns, from the beginning, the time `from` or the cursor on, and then every event as it happens. " +
			streamText,
		Errors: []int{422, 503},
	}
	documentStream(&op, s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Event](), true, ""),
		"retry: 1000\n\nid: eyJrIjoiZSIsImEiOnsibGxtIjo0Mn19\nevent: event\ndata: {\"eventId\":\"0000000000000042.llm\",…}\n\n")
	register(s, op, s.followEvents)
}

func (s *server) followEvents(ctx context.Context, in *auditStreamInput) (*huma.StreamResponse, error) {
	stream, err := s.service.FollowEvents(ctx, in.filter)
	if err != nil {
		return nil, followError(err)
	}
	return (&subscription[domain.Event]{
		name: "event", from: in.from.clone(ofEvents), stream: stream, within: s.within,
		place: func(e *domain.Event) (domain.Source, int64) { return e.Source, e.Seq },
		view:  func(e *domain.Event) any { return eventJSON(e) },
	}).response(), nil
}
