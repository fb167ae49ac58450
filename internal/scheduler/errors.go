package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// errPanic: deciding a turn panicked. One request of the turn is the likely cause.
var errPanic = errors.New("panic in a turn")

// errNotReady: the backend has not answered since this process began.
var errNotReady = errors.New("this process is not registered with the backend yet")

// retryAfter is the advice given with CodeUnavailable.
const retryAfter = time.Second

func errUnknownPool(pool domain.PoolID) *domain.Error {
	return domain.Errorf(domain.CodeUnknownPool, "there is no pool %q here", pool)
}

func errUnavailable(cause error) *domain.Error {
	return &domain.Error{
		Code:       domain.CodeUnavailable,
		Message:    "the pool's backend does not answer now; send the same request again",
		RetryAfter: retryAfter,
		Err:        cause,
	}
}

func errStopping() *domain.Error {
	return &domain.Error{
		Code:       domain.CodeUnavailable,
		Message:    "this process is stopping; send the same request again",
		RetryAfter: retryAfter,
	}
}

func errOverloaded(waiting int) *domain.Error {
	e := domain.Errorf(domain.CodeUnavailable, "%d requests are already waiting for this pool; send the same request again later", waiting)
	e.RetryAfter = retryAfter
	return e
}

func errGaveUp(ctx context.Context) *domain.Error {
	return &domain.Error{
		Code:       domain.CodeUnavailable,
		Message:    "no decision in the time given; send the same request again to learn it",
		RetryAfter: retryAfter,
		Err:        context.Cause(ctx),
	}
}

func errPoison(cause error) *domain.Error {
	return &domain.Error{
		Code:    domain.CodeInvalid,
		Message: "the backend cannot store a value of this request; look for characters or numbers out of range",
		Err:     cause,
	}
}

func errInternal(cause error) *domain.Error {
	return &domain.Error{
		Code:    domain.CodeInternal,
		Message: "this request could not be decided because of a fault of the scheduler; its log says more",
		Err:     cause,
	}
}

func errHeld(cause error) *domain.Error {
	return &domain.Error{
		Code:       domain.CodeUnavailable,
		Message:    "somebody else holds a row that this request changes; send the same request again",
		RetryAfter: retryAfter,
		Err:        cause,
	}
}

// undecided reports whether err says that the request was not decided at all,
// rather than how.
func undecided(err *domain.Error) bool {
	return err != nil && (err.Code == domain.CodeUnavailable || err.Code == domain.CodeUnknownPool)
}
