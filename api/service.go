// Package api is the HTTP edge: Huma operations, one file a resource. An
// operation decodes, makes one call of Service, and encodes; one table turns
// domain error codes into statuses.
package api

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Service is everything the edge asks of the program. Errors a client can act on
// are *domain.Error; an unknown pool or task is CodeUnknownPool or CodeUnknownTask,
// a backend that does not answer CodeUnavailable with RetryAfter.
type Service interface {
	// Submit decides all tasks in as few turns as possible and answers each, in order.
	// The error is for the call as a whole; what is wrong with one task is in its Answer.
	Submit(ctx context.Context, pool domain.PoolID, tasks []plan.Submit) ([]plan.Answer, error)
	// Task returns the newest submission of a task id. It holds the answer for at most
	// wait until the task is terminal; 0 answers at once.
	Task(ctx context.Context, pool domain.PoolID, id domain.TaskID, wait time.Duration) (TaskView, error)
	// Why explains why the newest submission of a task id is not running, from one
	// snapshot, which it returns as well.
	Why(ctx context.Context, pool domain.PoolID, id domain.TaskID) (plan.Scene, plan.Explanation, error)
	Tasks(ctx context.Context, filter store.TaskFilter) ([]domain.Task, error)
	// Cancel drops a queued task or asks a running one to stop; a terminal one is
	// answered as it is.
	Cancel(ctx context.Context, pool domain.PoolID, id domain.TaskID, actor string) (domain.Task, error)
	// CancelLabelled cancels every live task with the label and returns how many.
	CancelLabelled(ctx context.Context, pool domain.PoolID, key, value, actor string) (int, error)
	// Force settles a task by an operator's hand.
	Force(ctx context.Context, pool domain.PoolID, force plan.Force) (domain.Task, error)

	// Lease starts tasks of a web pool for a remote worker. It holds an empty answer for
	// at most ask.Wait.
	Lease(ctx context.Context, pool domain.PoolID, ask LeaseAsk) ([]LeasedTask, error)
	// ExtendLeases is a heartbeat for each lease. Those that are not in the answer are lost.
	ExtendLeases(ctx context.Context, ids []domain.LeaseID) (map[domain.LeaseID]domain.Lease, error)
	// SettleLease ends the attempt that a lease is on. The same again is answered the same.
	// CodeLeaseLost: it has ended otherwise; CodeUnknownLease.
	SettleLease(ctx context.Context, id domain.LeaseID, how plan.Settle) (domain.Task, error)
	// Leases returns the leases of a pool by job.
	Leases(ctx context.Context, filter store.LeaseFilter) ([]domain.Lease, error)

	Pools(ctx context.Context) ([]store.PoolView, error)
	Pool(ctx context.Context, id domain.PoolID) (store.PoolView, error)
	// Origin returns where what is kept of a pool's history begins, or of a facility's.
	Origin(ctx context.Context, id domain.PoolID) (store.Origin, error)
	ChangePool(ctx context.Context, id domain.PoolID, change plan.PoolChange) (store.PoolView, error)

	// Messages reads a mailbox across all backends. It holds an empty answer for at
	// most wait.
	Messages(ctx context.Context, filter store.MailboxFilter, wait time.Duration) ([]domain.Message, error)
	// FollowMessages begins to follow a mailbox after the filter's cursor, from its time
	// on. The caller closes the stream. io.EOF: the process is about to end.
	FollowMessages(ctx context.Context, filter store.MailboxFilter) (Stream[domain.Message], error)
	// Acknowledge acknowledges what reading the filter's mailbox from its time up to the
	// cursor returns, and says how many messages were not before.
	Acknowledge(ctx context.Context, filter store.MailboxFilter, upTo domain.Cursor) (int64, error)
	// PostedMessages reads the messages of all mailboxes across all backends, after the
	// cursor, acknowledged or not, without payloads; those of one pool's tasks, or of all.
	PostedMessages(ctx context.Context, pool domain.PoolID, after domain.Cursor, limit int) ([]domain.Message, error)
	// Events reads the audit trail across all backends.
	Events(ctx context.Context, filter store.EventFilter) ([]domain.Event, error)
	// FollowEvents is FollowMessages for the audit trail.
	FollowEvents(ctx context.Context, filter store.EventFilter) (Stream[domain.Event], error)

	// Ready returns what keeps the program from serving, or, degraded, only makes it serve
	// less well; nothing: it is ready.
	Ready(ctx context.Context) []Problem
}

// Stream is somebody's place in a mailbox or in the trail while more is written to it.
// It is for one goroutine at a time.
type Stream[T any] interface {
	// Next returns what is new, within a source in order and without a gap; it waits for
	// it at most quiet, and then returns nothing. io.EOF: the process is about to end.
	// After CodeUnavailable it may be called again, and nothing is lost.
	Next(ctx context.Context, quiet time.Duration) ([]T, error)
	// Close ends following. It may be called again.
	Close()
}

// LeaseAsk is what a remote worker asks for.
type LeaseAsk struct {
	Worker string
	Tasks  int           // at most so many
	Wait   time.Duration // 0: answer at once
	TTL    time.Duration // 0: the server's
}

// LeasedTask is a started task with its payload and labels, and the lease on it.
type LeasedTask struct {
	domain.Lease
	Task domain.Task
}

// TaskView is a task and its place in the queue.
type TaskView struct {
	domain.Task
	Position int64 // 1 for the next to start; 0: not in the order
	// EstimatedStart of a queued task, nil: not known.
	EstimatedStart *time.Time
}

// Problem is one thing that keeps the program from being ready.
type Problem struct {
	Component string // "postgres", "outbox file", "pool llm", "process"
	Message   string
	Degraded  bool // it can still serve
}
