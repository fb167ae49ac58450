// Package workers is the public face of Parking Lot for programs that run tasks:
// the Executor interface, a Registry of executors by name, the built-in
// executors (http, command, sleep), and the River worker that carries admitted
// tasks to them. It names no internal type.
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
	JobID       int64 // with Attempt: unique, and a good idempotency key
	Attempt     int   // 1 for the first
	MaxAttempts int
	Tenant      string
	Kind        string // what Units count
	Units       int64
	Timeout     time.Duration
	Labels      map[string]string
	Payload     json.RawMessage // nil when none was sent
}

// Executor does the work of a task.
//
// Execute is called from many goroutines at once. It should return soon after
// ctx ends (the attempt's timeout, a cancellation, or the loss of the process's
// hold on it); its result is then not used. The result must be JSON or nil. An
// error fails the attempt, retryably unless it was made with Permanent. A panic
// fails it, not retryably, and never takes the process down.
type Executor interface {
	Execute(ctx context.Context, task Task) (json.RawMessage, error)
}

// ExecutorFunc lets a function be an Executor.
type ExecutorFunc func(ctx context.Context, task Task) (json.RawMessage, error)

// Execute calls f.
func (f ExecutorFunc) Execute(ctx context.Context, task Task) (json.RawMessage, error) {
	return f(ctx, task)
}
