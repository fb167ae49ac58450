package app

import (
	"context"
	"errors"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// retryAfter is the advice to a client whose request met a backend that does not
// answer.
const retryAfter = time.Second

// edge turns an error of a backend into one that a client can act on. What has a
// code already keeps it; what nobody expected stays as it is, and is shown to
// nobody.
func edge(err error, notFound *domain.Error) error {
	var coded *domain.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &coded):
		return coded
	case errors.Is(err, store.ErrNotFound) && notFound != nil:
		return notFound
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &domain.Error{
			Code: domain.CodeUnavailable, Message: "the backend does not answer now; try again",
			RetryAfter: retryAfter, Err: err,
		}
	}
	return err
}

func unknownPool(id domain.PoolID) *domain.Error {
	return domain.Errorf(domain.CodeUnknownPool, "there is no pool %q here", id)
}

func unknownTask(pool domain.PoolID, id domain.TaskID) *domain.Error {
	return domain.Errorf(domain.CodeUnknownTask, "pool %q has no task %q", pool, id)
}

func stopping() *domain.Error {
	return &domain.Error{
		Code: domain.CodeUnavailable, Message: "this process is stopping; send the same request again",
		RetryAfter: retryAfter,
	}
}
