package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/api/client"
)

// The exit statuses of the client verbs, beside 0 for done.
const (
	exitFailed      = 1 // the operation failed, or the task did not complete
	exitUsage       = 2 // the command line makes no sense
	exitNotFound    = 3 // no such pool or task
	exitRefused     = 4 // the server refused: rejected, conflict, never startable
	exitUnavailable = 5 // no server, or one that cannot serve now; try again
	exitNotOver     = 6 // the time to wait was over before the task was
)

const exitHelp = `Exit status: 0 done; 1 failed, or the task did not complete; 2 usage; 3 no such pool or task;
4 refused (queue full, conflict, never startable); 5 server unavailable; 6 still going when the wait was over.`

// statusError is an error with an exit status of its own.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string   { return e.err.Error() }
func (e *statusError) Unwrap() error   { return e.err }
func (e *statusError) ExitStatus() int { return e.status }

func failure(status int, format string, args ...any) error {
	return &statusError{status: status, err: fmt.Errorf(format, args...)}
}

// tellStatus gives err the exit status that tells about it; nil stays nil.
func tellStatus(err error) error {
	if err == nil {
		return nil
	}
	return &statusError{status: statusFor(err), err: err}
}

// statusFor is the exit status that tells about err, which is not nil.
func statusFor(err error) int {
	if own, ok := errors.AsType[*statusError](err); ok {
		return own.status
	}
	if refused, ok := errors.AsType[*client.Error](err); ok {
		switch status := int(refused.Problem.Status); {
		case status == http.StatusNotFound:
			return exitNotFound
		case status == http.StatusServiceUnavailable, status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
			return exitUnavailable
		case status >= 400 && status < 500:
			return exitRefused
		}
		return exitFailed
	}
	if unreachable(err) {
		return exitUnavailable
	}
	return exitFailed
}

// unreachable reports whether err says that there was no answer.
func unreachable(err error) bool {
	if _, ok := errors.AsType[*url.Error](err); ok {
		return true
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, context.DeadlineExceeded)
}

// args makes errors of a verb's arguments usage errors.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := check(cmd, given); err != nil {
			return failure(exitUsage, "%w\nUsage: %s", err, cmd.UseLine())
		}
		return nil
	}
}
