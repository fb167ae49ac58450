package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Parts of the document of the parking half.
const (
	tagFacilities   = "facilities"
	tagVehicles     = "vehicles"
	tagPricing      = "pricing"
	tagTickets      = "tickets"
	tagReservations = "reservations"
	tagReports      = "reports"

	facilityPath = "/facilities/{facilityId}"
	ticketPath   = "/tickets/{ticketId}"
)

// Bytes of bodies that list much.
const (
	maxStrategyBody = 1 << 20
	maxEventsBody   = 8 << 20
	maxImportBody   = 16 << 20
)

// parkingRoutes adds the parking half. Without a ParkingService the operations are
// there all the same, for the document, and answer that they are unavailable.
func (s *server) parkingRoutes() {
	s.facilityRoutes()
	s.spotRoutes()
	s.vehicleRoutes()
	s.strategyRoutes()
	s.entryRoutes()
	s.ticketRoutes()
	s.lineRoutes()
	s.reportRoutes()
}

// parked guards a handler of the parking half against servers that have none.
func parked[I, O any](s *server, handle func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		if s.parking == nil {
			return nil, domain.Errorf(domain.CodeUnavailable, "this server keeps no facilities")
		}
		return handle(ctx, in)
	}
}

// registerPlain adds an operation without a body.
func registerPlain[I, O any](s *server, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	register(s, op, parked(s, handle))
}

func reading(id, path, tag, summary, description string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{tag}, Summary: summary, Description: description,
		Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}
}

// writing is an operation with a body; status is that of success.
func writing(id, method, path, tag string, status int, summary, description string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary, Description: description,
		DefaultStatus: status,
		Errors: []int{
			http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusServiceUnavailable,
		},
	}
}

// out is an answer with a body.
type out[T any] struct {
	Body T
}

func answered[T any](body T, err error) (*out[T], error) {
	if err != nil {
		return nil, err
	}
	return &out[T]{Body: body}, nil
}

// Paging is the parameters of a list.
type Paging struct {
	Limit  int    `default:"50" doc:"Items of a page." maximum:"500" minimum:"1" query:"limit"`
	Cursor string `doc:"nextCursor of the page before." query:"cursor"`
}

// opaque makes a cursor of the parts of a place in a list; clients may not rely on
// what is in it.
func opaque(parts ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(parts, "\n")))
}

// place reads a cursor of n parts; nil for the beginning.
func (p *Paging) place(n int) ([]string, error) {
	if p.Cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	parts := strings.Split(string(raw), "\n")
	if err != nil || len(parts) != n || !charset(strings.Join(parts, ""), idMarks) {
		return nil, badCursor(p.Cursor)
	}
	return parts, nil
}

// number reads a number of a cursor.
func (p *Paging) number(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, badCursor(p.Cursor)
	}
	return n, nil
}

func badCursor(cursor string) error {
	d := decoder{}
	d.faultf("query.cursor", cursor, "is not a cursor of this list")
	return invalid(d.faults)
}
