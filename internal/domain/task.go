package domain

import (
	"time"
)

// PoolID names a pool. Same charset as TaskID.
type PoolID string

// TaskID is the client's name for a task, unique within a pool. 1–200 of
// A–Z a–z 0–9 . _ : -
type TaskID string

// Tenant names who asked. 1–200 characters, no NUL.
type Tenant string

// JobID numbers the rows of one pool in the order they were accepted, from 1.
// It is taken from the pool's counters under the pool's lock, so it has no gaps
// and its order is the commit order. Together with the attempt it is the fence
// that keeps late results out.
type JobID int64

// WorkerID names one incarnation of a process (or remote worker) that holds
// running tasks.
type WorkerID string

// Status is where a task is in its lifecycle.
type Status string

// The statuses of the data model.
const (
	StatusSubmitted Status = "submitted"
	StatusQueued    Status = "queued"
	StatusRunning   Status = "running"
	StatusCompleted Status = "completed"
	StatusFailed    Status = "failed"
	StatusExpired   Status = "expired"
	StatusRejected  Status = "rejected"
	StatusDropped   Status = "dropped"
)

// Statuses lists every status in lifecycle order.
func Statuses() []Status {
	return []Status{
		StatusSubmitted, StatusQueued, StatusRunning, StatusCompleted,
		StatusFailed, StatusExpired, StatusRejected, StatusDropped,
	}
}

// Terminal reports whether nothing can follow s.
func (s Status) Terminal() bool {
	switch s {
	case StatusCompleted, StatusFailed, StatusExpired, StatusRejected, StatusDropped:
		return true
	}
	return false
}

// CanBecome reports whether the lifecycle allows s to be followed by next.
// Running may return to queued only as a retry of a failed or lost attempt.
func (s Status) CanBecome(next Status) bool {
	switch s {
	case StatusSubmitted:
		return next == StatusRunning || next == StatusQueued || next == StatusRejected
	case StatusQueued:
		return next == StatusRunning || next == StatusExpired || next == StatusDropped
	case StatusRunning:
		return next == StatusCompleted || next == StatusFailed || next == StatusExpired || next == StatusQueued
	}
	return false
}

// MailboxKey addresses where a task's outcome is left.
type MailboxKey struct {
	Tenant    Tenant
	UserID    string // empty: a message only the whole tenant's mailbox shows
	SessionID string // needs a UserID
}

// Task is a row of pl_queue_jobs: one submission of one unit of work.
//
// A Task read for a turn does not carry Payload, Result or Labels; see the
// store's methods for which ones do.
type Task struct {
	PoolID     PoolID
	JobID      JobID
	TaskID     TaskID
	Submission int    // 1 for the first row of a TaskID, 2 after a rejected one, …
	BodyHash   []byte // SHA-256 of the canonical body as it was sent

	Tenant    Tenant
	Requested Priority // as submitted
	Priority  Priority // the class it is ordered by: PriorityNormal for all in a fifo pool
	// Lane is the part of the queue the task waits in: the tenant's name when
	// that tenant has a units cap in the pool, else empty. A capped tenant's
	// backlog thereby never hides anybody else's tasks.
	Lane string
	Rank int64 // computed when queued; lower goes first within a class

	Kind  ResourceKind
	Units Units

	Status      Status
	Reason      Reason
	Attempt     int // attempts started so far; 0 before the first
	MaxAttempts int
	Overtaken   int // tasks of its class or lower that started past it while it was in front and did not fit

	Executor    string
	Timeout     time.Duration // of one attempt, counted from executor entry
	Deadline    *time.Time    // must have started by then
	NotBefore   *time.Time    // end of a retry's backoff; set: outside the order
	CreatedAt   time.Time
	StartedAt   *time.Time // of the current or last attempt
	FinishedAt  *time.Time // of the terminal state
	CancelAsked *time.Time // a running task that was asked to stop

	Holder     WorkerID // the process, worker or lease that holds the running attempt; for the worker runtime empty until claimed
	RiverJobID int64    // the River job that carries the running attempt; 0: none

	Mailbox *MailboxKey
	Labels  map[string]string
	Payload []byte // JSON as sent; nil: none
	Result  []byte // JSON of a completed task; nil: none
}

// Ref names one attempt of one task: what a runtime carries around and what
// fences a settlement.
type Ref struct {
	PoolID  PoolID
	JobID   JobID
	Attempt int
}

// Ref returns the reference of the task's current attempt.
func (t *Task) Ref() Ref { return Ref{PoolID: t.PoolID, JobID: t.JobID, Attempt: t.Attempt} }
