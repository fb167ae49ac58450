package plan

import (
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Snapshot is what a turn read under the pool's lock. Turn may keep and change
// it: it belongs to the turn.
type Snapshot struct {
	Now      time.Time // read after the lock was granted; never before Counters.At
	Pool     domain.Pool
	Counters domain.Counters
	// Tenants has the usage of every tenant that occurs in the requests, in the
	// tasks below, or in Pool.Tenants with a cap. One that has no row yet is absent.
	Tenants map[domain.Tenant]domain.TenantUsage
	// Known is the newest row of every task id that a request names.
	Known map[domain.TaskID]domain.Task
	// Held is every row that a settlement or a loss names, by job id.
	Held map[domain.JobID]domain.Task
	// Leases is every lease that a settlement or a loss names by its job, and that is
	// there.
	Leases map[domain.JobID]domain.Lease
	// Candidates are queued tasks in order (Priority descending, Rank, JobID)
	// within each lane, the lanes merged in the same order. At most
	// CandidateLimit of each lane. Light, or complete where the backend has the rest at hand.
	Candidates []domain.Task
	// CandidatesCut says that a lane had more than were read.
	CandidatesCut bool
	// LaneLimit is how many candidates of each lane were read at most: one with fewer
	// was read whole. 0: not told; then every lane may have more when CandidatesCut.
	LaneLimit int
	// Due are queued tasks whose deadline is at or before Now, oldest deadline first, bounded.
	Due []domain.Task
	// Rested are queued tasks whose backoff is over, bounded.
	Rested []domain.Task
	// DueCut says that more were due or rested than were read: turn again at once.
	DueCut bool
	// NextDueAt is the earliest deadline or end of backoff after those in Due and Rested.
	NextDueAt *time.Time
}

// Requests is what a turn has gathered. The order within each slice is the order
// of arrival; the slices are handled in the order of the fields: what gives units
// back comes before what asks for them.
type Requests struct {
	TurnID string // names the turn; written with it
	// Worker is the process taking the turn: the holder of what a native pool starts.
	Worker domain.WorkerID
	// NoStart is set by a process that is draining: it settles and accepts but
	// starts nothing.
	NoStart bool
	// Drain is how fast the queue has been emptying, for what is told of the future.
	Drain Drain

	Settles []Settle
	Losts   []Lost
	Forces  []Force
	Cancels []Cancel
	Changes []PoolChange
	Submits []Submit
	// Lessees wait for tasks of a web pool to start, first come, first served. They come
	// again with every turn until they get some, and do not count as requests.
	Lessees []Lessee
}

// Empty reports whether nothing was asked (the turn only serves timers and starts).
func (r *Requests) Empty() bool { return r.Len() == 0 }

// Len returns the number of requests, lessees not counted.
func (r *Requests) Len() int {
	return len(r.Settles) + len(r.Losts) + len(r.Forces) + len(r.Cancels) + len(r.Changes) + len(r.Submits)
}

// Submit asks for one new task. The caller has checked the form (charset, sizes,
// NUL, units ≥ 1, a known executor); Turn checks what depends on state and time.
type Submit struct {
	TaskID      domain.TaskID
	BodyHash    []byte
	Tenant      domain.Tenant
	Priority    domain.Priority
	Kind        domain.ResourceKind // empty: the pool's
	Units       domain.Units
	Deadline    *time.Time
	Timeout     time.Duration // 0: the pool's
	MaxAttempts int           // 0: the pool's
	Executor    string
	Mailbox     *domain.MailboxKey
	Payload     []byte
	Labels      map[string]string
}

// Verdict is how an executor's run of one attempt ended.
type Verdict string

// The verdicts.
const (
	VerdictCompleted Verdict = "completed"
	VerdictFailed    Verdict = "failed"
	VerdictTimedOut  Verdict = "timed_out" // the attempt ran past its own timeout: final
	VerdictCancelled Verdict = "cancelled" // stopped because it was asked to
	VerdictHandBack  Verdict = "hand_back" // the process is draining and gives the attempt back unrun or unfinished
)

// Settle reports the end of an attempt by whoever ran it. It is fenced by Ref.
type Settle struct {
	Ref     domain.Ref
	Units   domain.Units // of the task, so that the read can count on them
	Verdict Verdict
	// Lease is what the attempt was run under, of a web pool; empty: none.
	Lease      domain.LeaseID
	Retryable  bool // failed: may be tried again
	Result     []byte
	Reason     domain.Reason
	RiverJobID int64
}

// Lost reports that the holder of an attempt is gone. Fenced by Ref and Holder; an
// attempt under a lease is lost only when that has expired.
type Lost struct {
	Ref    domain.Ref
	Holder domain.WorkerID
	Reason domain.Reason
}

// Force settles a task by an operator's hand, whatever it is doing.
type Force struct {
	TaskID domain.TaskID
	Status domain.Status // completed, failed, expired or dropped
	Reason domain.Reason
	Actor  string
}

// Cancel asks for a task to end. A queued one is dropped; a running one is asked
// to stop and becomes failed with reason cancelled when its executor has stopped.
type Cancel struct {
	TaskID domain.TaskID
	Actor  string
}

// Lessee is a remote worker that asks for tasks of a web pool. Nothing starts there
// but for a lessee.
type Lessee struct {
	Worker string        // what it calls itself
	Tasks  int           // it takes at most so many
	TTL    time.Duration // of its leases
	// Secret makes the ids of its leases unguessable. It must be random, and new for
	// every lessee.
	Secret []byte
}

// PoolChange is an operator's change of a pool, or a change of its configuration
// at start. Nil fields stay.
type PoolChange struct {
	State         *domain.PoolState
	MaxUnits      *domain.Units
	MaxQueueDepth *int64
	// Policy replaces everything else that configuration may change.
	Policy *domain.Pool
	Actor  string
}

// Decisions is everything a turn writes, and the answers to those who asked.
type Decisions struct {
	Now       time.Time
	Inserted  []domain.Task // new rows, complete with payload and labels
	Changed   []Change      // rows that were there
	Events    []domain.Event
	Messages  []domain.Message
	Tenants   []domain.TenantUsage // changed or new, sorted by tenant
	Pool      *domain.Pool         // changed; nil: as it was
	Relane    []domain.Tenant      // tenants whose queued rows need Lane written anew after a policy change
	Counters  domain.Counters      // of the new turn row
	Answers   Answers
	Started   []domain.Task // tasks whose attempt began in this turn: as candidates, or complete when inserted in it
	Stopping  []domain.Task // running tasks whose executor must be told to stop (cancelled or forced)
	Ended     []domain.Task // tasks that became terminal
	RiverDone []int64       // River jobs of attempts that ended in this turn
	// Leased are the leases that began in this turn, Unleased the jobs whose lease ended
	// before those began, and LeasesAsked the jobs whose lease must know that its task
	// was asked to stop.
	Leased      []domain.Lease
	Unleased    []domain.JobID
	LeasesAsked []domain.JobID
	// Again asks for another turn at once: more could start, fall due or rest
	// than was read or may be written in one.
	Again bool
	// Idle: nothing to write. The transaction is rolled back.
	Idle bool
}

// Change is one row's new state. Before guards the write: when the row is no
// longer so, the whole turn fails.
type Change struct {
	FromStatus      domain.Status
	FromAttempt     int
	FromCancelAsked *time.Time
	Task            domain.Task // every changing field counts; identity, payload and labels are not written
}

// Answers has one entry a request, in the order of the requests.
type Answers struct {
	Settles []Answer
	Losts   []Answer
	Forces  []Answer
	Cancels []Answer
	Changes []Answer
	Submits []Answer
	Lessees []Lent
}

// Lent is what one lessee gets: a lease for each task, in the order of starting. Tasks
// are light unless inserted in the turn. Nothing and no error: nothing could start.
type Lent struct {
	Leases []domain.Lease
	Tasks  []domain.Task
	Err    *domain.Error // CodePoolNotWeb: the pool's tasks are not leased
}

// Answer is what one request is told. Err is a *domain.Error or nil. Task is the
// task as the turn leaves it (light), where there is one.
type Answer struct {
	Task *domain.Task
	Pool *domain.Pool
	// Position in the queue, 1 for the next to start; 0: not queued, or not
	// known without counting.
	Position int64
	// EstimatedStart is when a task that was queued may start, nil: not known.
	EstimatedStart *time.Time
	// Known says that the task id was known before: the first answer again.
	Known bool
	Err   *domain.Error
}

// Limits that bound one turn. Requests past them wait for the next turn.
const (
	MaxRequests    = 2000    // requests a turn takes
	MaxBytes       = 8 << 20 // bytes of payloads and results a turn takes
	CandidateLimit = 256     // queued tasks read of each lane
	DueLimit       = 500     // due and rested tasks read, each
)
