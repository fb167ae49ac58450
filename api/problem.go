package api

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Codes that only the edge gives.
const (
	codeRouteNotFound    domain.Code = "route_not_found"
	codeMethodNotAllowed domain.Code = "method_not_allowed"
	codeRequestTimeout   domain.Code = "request_timeout" // the body came too slowly
	codeNotReady         domain.Code = "not_ready"
)

// statusOf is the table from error codes to HTTP statuses.
func statusOf(code domain.Code) int {
	switch code {
	case domain.CodeMalformed:
		return http.StatusBadRequest
	case domain.CodeUnknownPool, domain.CodeUnknownTask, domain.CodeUnknownLease, codeRouteNotFound, domain.CodeUnknownFacility, domain.CodeUnknownSpot,
		domain.CodeUnknownVehicle, domain.CodeUnknownStrategy, domain.CodeUnknownTicket, domain.CodeUnknownReservation,
		domain.CodeUnknownWaiting:
		return http.StatusNotFound
	case codeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case codeRequestTimeout:
		return http.StatusRequestTimeout
	case domain.CodePaymentRequired:
		return http.StatusPaymentRequired
	case domain.CodeOfferLapsed, domain.CodeLeaseLost:
		return http.StatusGone
	case domain.CodeTaskExists, domain.CodeQueueFull, domain.CodeTenantQueueFull, domain.CodeCapacityZero,
		domain.CodePoolDraining, domain.CodePoolDisabled, domain.CodeTaskFinal, domain.CodeConflict, domain.CodePoolNotWeb,
		domain.CodeExists, domain.CodePlateExists, domain.CodePlaceTaken, domain.CodeFull, domain.CodeNoFitEver,
		domain.CodeAlreadyParked, domain.CodeAlreadyWaiting, domain.CodeSequenceConflict, domain.CodeTicketClosed,
		domain.CodeOverpaid, domain.CodeNoSpot, domain.CodeReservationNotDue, domain.CodeReservationVehicle,
		domain.CodeReservationEnded, domain.CodeNoOffer, domain.CodePoolDerived:
		return http.StatusConflict
	case domain.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case domain.CodeUnsupported:
		return http.StatusUnsupportedMediaType
	case domain.CodeInvalid:
		return http.StatusUnprocessableEntity
	case domain.CodeUnavailable, codeNotReady:
		return http.StatusServiceUnavailable
	case domain.CodeInternal:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

// codeFor names errors that Huma made by their status.
func codeFor(status int) domain.Code {
	switch status {
	case http.StatusBadRequest:
		return domain.CodeMalformed
	case http.StatusNotFound:
		return codeRouteNotFound
	case http.StatusMethodNotAllowed:
		return codeMethodNotAllowed
	case http.StatusRequestTimeout:
		return codeRequestTimeout
	case http.StatusRequestEntityTooLarge:
		return domain.CodeTooLarge
	case http.StatusUnsupportedMediaType:
		return domain.CodeUnsupported
	case http.StatusUnprocessableEntity:
		return domain.CodeInvalid
	}
	return domain.CodeInternal
}

// Advice of Retry-After where the error brings none.
const (
	retryFull        = time.Second
	retryUnavailable = time.Second
)

func retryAfter(err *domain.Error) time.Duration {
	if err.RetryAfter > 0 {
		return err.RetryAfter
	}
	switch err.Code {
	case domain.CodeQueueFull, domain.CodeTenantQueueFull:
		return retryFull
	case domain.CodeUnavailable, codeNotReady:
		return retryUnavailable
	default:
		return 0
	}
}

// ProblemDetails is every error's body, as RFC 9457 has it.
//
//nolint:errname // the name is the schema's, and the RFC's
type ProblemDetails struct {
	Type           string         `doc:"A name of the kind of problem, made of its code." example:"urn:parkinglot:error:queue_full" format:"uri" json:"type"`
	Title          string         `doc:"The status in words." example:"Conflict" json:"title"`
	Status         int            `doc:"The HTTP status." example:"409" json:"status"`
	Code           string         `doc:"The stable code, for programs." example:"queue_full" json:"code"`
	Detail         string         `doc:"What happened and what to do about it, for people." json:"detail"`
	RequestID      string         `doc:"Names the request in the server's log; also the X-Request-Id header." json:"requestId"`
	Errors         []ProblemFault `doc:"Every fault found, with its location." json:"errors,omitempty"`
	RetryAfterSecs int64          `doc:"When to come back, as Retry-After says it: judged by how fast the queue has been draining when it was full." json:"retryAfterSecs,omitempty"`
	Due            *int64         `doc:"Of payment_required: what is to be paid, in minor units." json:"due,omitempty"`
}

// ProblemFault is one thing wrong with a request.
type ProblemFault struct {
	Location string `doc:"Where: a path that begins with body, path, query or header." example:"body.resourceCost.units" json:"location"`
	Message  string `doc:"What is wrong there." example:"has to be from 1 to 1000000000" json:"message"`
	Value    any    `doc:"What was there, if it is short." json:"value,omitempty"`
}

// Error implements error.
func (p *ProblemDetails) Error() string { return p.Code + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *ProblemDetails) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *ProblemDetails) GetHeaders() http.Header {
	headers := http.Header{}
	if p.RetryAfterSecs > 0 {
		headers.Set("Retry-After", strconv.FormatInt(p.RetryAfterSecs, 10))
	}
	return headers
}

// ContentType implements huma.ContentTypeFilter.
func (p *ProblemDetails) ContentType(string) string { return "application/problem+json" }

// problemOf is how an error is told to the client. Errors without a code are
// CodeInternal, and their text stays here.
func problemOf(ctx context.Context, err error) *ProblemDetails {
	known, ok := errors.AsType[*domain.Error](err)
	if !ok || known.Code == domain.CodeInternal {
		known = domain.Errorf(domain.CodeInternal, "Something went wrong here. The server's log has it under the requestId.")
	}
	status := statusOf(known.Code)
	problem := &ProblemDetails{
		Type: "urn:parkinglot:error:" + string(known.Code), Title: http.StatusText(status), Status: status,
		Code: string(known.Code), Detail: known.Message, RequestID: requestOf(ctx).id,
		RetryAfterSecs: int64(math.Ceil(retryAfter(known).Seconds())),
		Due:            known.Due,
	}
	for _, f := range known.Faults {
		problem.Errors = append(problem.Errors, ProblemFault(f))
	}
	return problem
}

// invalid makes the CodeInvalid error of faults.
func invalid(faults []domain.Fault) *domain.Error {
	err := domain.Errorf(domain.CodeInvalid, "The request breaks %d rules; errors has each of them.", len(faults))
	if len(faults) == 1 {
		err.Message = "The request breaks a rule: " + faults[0].Location + " " + faults[0].Message + "."
	}
	err.Faults = faults
	return err
}

// installProblems makes Huma report its own findings as ProblemDetails too. Its hook
// is a variable of the package huma, so it is set once and for all.
//
//nolint:gochecknoglobals // guards a global of Huma's
var installProblems = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return problemFor(context.Background(), status, message, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		return problemFor(ctx.Context(), status, message, errs)
	}
})

// problemFor reports what Huma found: faults of parameters, and whatever our
// resolvers returned. One *domain.Error among them (a body that could not be read at
// all) outranks the faults.
func problemFor(ctx context.Context, status int, message string, errs []error) *ProblemDetails {
	var faults []domain.Fault
	for _, err := range errs {
		if known, ok := errors.AsType[*domain.Error](err); ok {
			return problemOf(ctx, known)
		}
		if detail, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			faults = append(faults, domain.Fault{Location: detail.Location, Message: detail.Message, Value: detail.Value})
		}
	}
	code := codeFor(status)
	switch {
	case len(faults) > 0:
		return problemOf(ctx, invalid(faults))
	case code == domain.CodeInternal:
		for _, err := range errs {
			requestOf(ctx).log().ErrorContext(ctx, "request failed", slog.Any("error", err))
		}
	}
	return problemOf(ctx, domain.Errorf(code, "%s", message))
}
