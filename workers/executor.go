// Package workers is the public face of Parking Lot for programs that run tasks:
// the Executor interface, a Registry of executors by name, the built-in
// executors (HTTP, Command, Sleep), and Run, the one function that runs an
// executor, whichever runtime brought the task to it. It names no internal type.
//
// Package workers/host starts a whole Parking Lot process with a Registry of a
// program's own.
//
// Limits: an executor that ignores the end of its context cannot be stopped from
// the outside. Its attempt is decided after a grace all the same, and the
// goroutine it leaves behind is logged and counted; see Limits.StopGrace.
package workers

import (
	"context"
	"encoding/json"
	"time"
)

// Task is what an executor is told about the attempt it runs.
type Task struct {
	PoolID      string
	TaskID      string
	JobID       int64 // with Attempt: unique in the pool, and a good idempotency key
	Attempt     int   // 1 for the first
	MaxAttempts int
	Tenant      string
	Kind        string // what Units count
	Units       int64
	Timeout     time.Duration // of this attempt, from the executor's entry; 0: none
	Labels      map[string]string
	Payload     json.RawMessage // nil when none was sent
}

// Executor does the work of a task.
//
// Execute is called from many goroutines at once. It should return soon after
// ctx ends; context.Cause(ctx) then is ErrTimeout, ErrCancelled, ErrHandBack or
// ErrLost, and the result is not used. (One exception: after ErrHandBack or ErrLost a nil
// error still says that the work is done.) The result must be JSON, or nil for none. An error
// fails the attempt, retryably unless it was made with Permanent. A panic in the
// goroutine of Execute fails the attempt, not retryably, and does not take the
// process down; one in a goroutine that the executor started itself does.
type Executor interface {
	Execute(ctx context.Context, task Task) (json.RawMessage, error)
}

// ExecutorFunc lets a function be an Executor.
type ExecutorFunc func(ctx context.Context, task Task) (json.RawMessage, error)

// Execute calls f.
func (f ExecutorFunc) Execute(ctx context.Context, task Task) (json.RawMessage, error) {
	return f(ctx, task)
}
