package domain

import (
	"time"
)

// PoolState is what an operator allows a pool to do.
type PoolState string

// The states of a pool. Draining refuses new tasks and runs its queue dry;
// disabled refuses, and starts nothing.
const (
	PoolActive   PoolState = "active"
	PoolDraining PoolState = "draining"
	PoolDisabled PoolState = "disabled"
)

// PriorityPolicy says how the rank of a queued task is computed.
type PriorityPolicy string

// The four policies.
const (
	PolicyFIFO     PriorityPolicy = "fifo"
	PolicyPriority PriorityPolicy = "priority"
	PolicyFair     PriorityPolicy = "fair"
	PolicyDeadline PriorityPolicy = "deadline"
)

// Backend says where rows live.
type Backend string

// The backends.
const (
	BackendMemory   Backend = "memory"
	BackendFile     Backend = "file"
	BackendPostgres Backend = "postgres"
)

// Runtime says how a started task reaches code.
type Runtime string

// The runtimes.
const (
	RuntimeNative Runtime = "native"
	RuntimeWorker Runtime = "worker"
	RuntimeWeb    Runtime = "web"
)

// TenantPolicy is what one tenant may do in one pool.
type TenantPolicy struct {
	Weight        int64 `json:"weight,omitempty"`          // share in fair queueing; 0 means 1
	MaxUnits      Units `json:"max_units,omitempty"`       // cap on running units; 0: none
	MaxQueueDepth int64 `json:"max_queue_depth,omitempty"` // cap on queued tasks; 0: none
}

// Pool is a resource with a limit: a row of pl_pools. Every process that takes
// turns for the pool uses this stored policy, never its own configuration file.
type Pool struct {
	PoolID         PoolID
	Name           string
	State          PoolState
	MaxUnits       Units
	MaxQueueDepth  int64
	DefaultTimeout time.Duration
	QueueBackend   Backend
	MailboxBackend Backend
	Runtime        Runtime
	Policy         PriorityPolicy
	ResourceKind   ResourceKind // default kind of its tasks
	MaxOvertakes   int          // 0: strictly in order
	MaxAttempts    int          // default for tasks that name none; at least 1
	RetryBackoff   Backoff
	Tenants        map[Tenant]TenantPolicy
	Executors      []string // names a task may choose, sorted
	// Version counts the changes of this row, from 1. A turn that read with an
	// older version in mind reads again.
	Version int64
}

// Backoff is the delay before a retry: Base × 2^(attempt-1), at most Max, with
// up to a quarter taken off by jitter that is a function of the attempt's Ref.
type Backoff struct {
	Base time.Duration
	Max  time.Duration
}

// TenantLane returns the lane that tenant's tasks wait in; see Task.Lane.
func (p *Pool) TenantLane(t Tenant) string {
	if p.Tenants[t].MaxUnits > 0 {
		return string(t)
	}
	return ""
}

// TenantWeight returns tenant's share in fair queueing, at least 1.
func (p *Pool) TenantWeight(t Tenant) int64 { return max(1, p.Tenants[t].Weight) }

// Counters is the changing part of a pool: the newest row of pl_pool_turns.
// Rows are only ever inserted, one a turn, so that a transaction held open
// elsewhere does not slow the pool down, and so that a second turn from the
// same state is refused by the primary key.
type Counters struct {
	TurnNo int64     `json:"turn_no"` // 0: no turn yet
	TurnID string    `json:"turn_id"` // names the turn for a process that lost its connection during COMMIT
	At     time.Time `json:"at"`      // now of that turn; the next turn's now is never earlier

	ActiveUnits Units                  `json:"active_units"` // units of running tasks
	Ceiling     Units                  `json:"ceiling"`      // max_units, or what was in use when it shrank below; ratchets down. CHECK (active_units <= ceiling)
	Running     int64                  `json:"running"`
	Queued      int64                  `json:"queued"`    // in the order
	QueuedBy    [PriorityClasses]int64 `json:"queued_by"` // the same by Task.Priority
	Waiting     int64                  `json:"waiting"`   // retries in their backoff; not part of Queued
	Drained     int64                  `json:"drained"`   // tasks that have left the order so far, whatever for

	VirtualTime int64 `json:"virtual_time"` // of fair queueing
	JobSeq      int64 `json:"job_seq"`      // last JobID given out
	RankSeq     int64 `json:"rank_seq"`     // last arrival number given out
	EventSeq    int64 `json:"event_seq"`    // last audit sequence number
	MessageSeq  int64 `json:"message_seq"`  // last mailbox sequence number

	NextDueAt *time.Time `json:"next_due_at,omitempty"` // earliest deadline or end of backoff among queued tasks
}

// TenantUsage is what a tenant holds in a pool: a row of pl_tenants.
type TenantUsage struct {
	Tenant      Tenant `json:"tenant"`
	ActiveUnits Units  `json:"active_units"`
	Queued      int64  `json:"queued"`     // in the order or in backoff
	FinishTag   int64  `json:"finish_tag"` // fair queueing: the tenant's last finish tag
}
