package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Options is what New needs besides the Service. The zero Options are usable.
type Options struct {
	// Metrics serves GET /metrics; nil: there is no such path.
	Metrics http.Handler
	// Log gets one record a request, and what went wrong; nil: nobody.
	Log *slog.Logger
	// Observe is called after every request with the pattern of its route, empty when
	// none matched; nil: nobody.
	Observe func(method, route string, status int, took time.Duration)
	// Now is the clock, for ages shown; nil: time.Now.
	Now func() time.Time
	// SendTimeout is how long the client of a stream may take to make room for what it is
	// sent before it is cut off; 0: 15 seconds.
	SendTimeout time.Duration
	// Parking is the parking half; nil: its operations answer that they are unavailable.
	Parking ParkingService
	// Mount adds routes of its own to the mux before serving (the console); nil: none.
	Mount func(mux *http.ServeMux)
}

// server holds what the operations share. It is not changed after New.
type server struct {
	service Service
	parking ParkingService // nil: none
	log     *slog.Logger
	observe func(method, route string, status int, took time.Duration)
	now     func() time.Time
	within  time.Duration // Options.SendTimeout
	mux     *http.ServeMux
	api     huma.API

	submitExpress, batchExpress express
}

// New returns the handler of everything under contract. It is safe for concurrent
// use. The server around it should set ReadHeaderTimeout and no WriteTimeout below
// the longest wait (5 minutes); bodies have a read deadline of their own.
func New(service Service, options Options) http.Handler {
	return http.HandlerFunc(assemble(service, options).serve)
}

// Document returns the OpenAPI document of the operations.
func Document() *huma.OpenAPI { return assemble(nil, Options{}).api.OpenAPI() }

func assemble(service Service, options Options) *server {
	installProblems()
	s := &server{service: service, parking: options.Parking, log: options.Log, now: options.Now, within: options.SendTimeout, mux: http.NewServeMux()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.observe = options.Observe; s.observe == nil {
		s.observe = func(string, string, int, time.Duration) {}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.within <= 0 {
		s.within = sendTimeout
	}
	s.api = humago.New(s.mux, configuration())
	s.taskRoutes()
	s.batchRoutes()
	s.expressRoutes()
	s.operatorRoutes()
	s.whyRoutes()
	s.leaseRoutes()
	s.poolRoutes()
	s.originRoutes()
	s.mailboxRoutes()
	s.auditRoutes()
	s.parkingRoutes()
	s.systemRoutes(options.Metrics)
	finish(s.api.OpenAPI())
	if options.Mount != nil {
		options.Mount(s.mux)
	}
	return s
}

// The parts of the document, and names that occur in many places.
const (
	tagTasks   = "tasks"
	tagLeases  = "leases"
	tagPools   = "pools"
	tagMailbox = "mailbox"
	tagAudit   = "audit"
	tagSystem  = "system"

	tasksPath = "/pools/{poolId}/tasks"
	batchPath = tasksPath + ":batch"
	mediaJSON = "application/json"
)

func configuration() huma.Config {
	format := huma.Format{Marshal: encode, Unmarshal: json.Unmarshal}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:   "Parking Lot",
				Version: "1.0.0",
				Description: "Admission control for scarce resources: tasks declare resource units, start when their units fit, " +
					"wait in order when they do not, and leave every outcome in a mailbox and every transition in an audit trail.\n\n" +
					"Errors are `application/problem+json` (RFC 9457) with a stable `code`, the `requestId`, and every fault at once. " +
					"Times are RFC 3339 in UTC. Unknown fields and unknown query parameters are refused.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			},
			Tags: []*huma.Tag{
				{Name: tagTasks, Description: "Submitting, following and ending tasks."},
				{Name: tagLeases, Description: "Remote workers, in any language: taking tasks of web pools and ending them."},
				{Name: tagPools, Description: "The resources and their limits."},
				{Name: tagMailbox, Description: "Outcomes, for clients that were away."},
				{Name: tagAudit, Description: "What happened, in order."},
				{Name: tagFacilities, Description: "Car parks and their spots."},
				{Name: tagVehicles, Description: "Who parks."},
				{Name: tagPricing, Description: "Versions of tariffs, and what they make of a stay."},
				{Name: tagTickets, Description: "Stays: entry, quote, payment, exit."},
				{Name: tagReservations, Description: "Booking ahead, and the waiting line."},
				{Name: tagReports, Description: "What happened in a facility."},
				{Name: tagSystem, Description: "The program's own health."},
			},
		},
		OpenAPIPath:                  "/openapi",
		Formats:                      map[string]huma.Format{mediaJSON: format, "json": format},
		DefaultFormat:                mediaJSON,
		RejectUnknownQueryParameters: true,
	}
}

// encode writes v as JSON without escaping HTML.
func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v) //nolint:wrapcheck // Huma words it
}

// register adds an operation. What the handler returns as error is told to the
// client by the table, and logged when it is ours.
func register[I, O any](s *server, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	huma.Register(s.api, op, func(ctx context.Context, input *I) (*O, error) {
		output, err := handle(ctx, input)
		if err == nil {
			return output, nil
		}
		return nil, failed(ctx, op.OperationID, err)
	})
}

// failed is how the error of an operation is told; what is ours is logged.
func failed(ctx context.Context, operation string, err error) *ProblemDetails {
	switch code := domain.CodeOf(err); code {
	case domain.CodeInternal, domain.CodeUnavailable:
		if ctx.Err() == nil {
			requestOf(ctx).log().ErrorContext(ctx, "request failed",
				slog.String("operation", operation), slog.Any("error", err))
		}
	default:
	}
	return problemOf(ctx, err)
}
