// Package store is the seam between the program and its backends: one
// interface, and what each method promises. The dialects (postgres, sqlite)
// implement it and do not know each other; storetest holds the conformance
// suite that every dialect passes.
//
// Every method takes a context and puts a timeout of its own on what it asks of
// the database. Methods are safe for concurrent use. Every method may return
// ErrUnavailable (wrapped) when the backend does not answer; what else it may
// return is said with it. Times are UTC, truncated to the microsecond.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// Errors of the seam. Dialects wrap them with context.
var (
	// ErrUnavailable: the backend cannot be reached, is shutting down or timed
	// out. Nothing was written; trying again later is right.
	ErrUnavailable = errors.New("backend unavailable")
	// ErrCommitUnknown: the connection was lost while committing. Ask
	// TurnCommitted before the next turn.
	ErrCommitUnknown = errors.New("commit outcome unknown")
	// ErrData: the database refused a value (SQLSTATE class 22 or 23, a SQLite
	// constraint). Nothing was written; one request of the turn is the cause.
	ErrData = errors.New("data refused by the backend")
	// ErrGuard: a guarded write met a row that was not as the turn had read it, one that
	// somebody else holds locked, or one whose number the turn had given out itself. Nothing
	// was written; turn again.
	ErrGuard = errors.New("row changed under the turn")
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("not found")
	// ErrExists: the id is taken.
	ErrExists = errors.New("exists")
	// ErrConflict: an index or a guard refused the write. Nothing was written.
	ErrConflict = errors.New("conflict")
	// ErrSchema: the schema is behind or ahead of this program.
	ErrSchema = errors.New("schema version mismatch")
	// ErrOutdated: newer programs are about to change the schema in a way that this one
	// cannot live with, or have. What was asked was done; the process should end.
	ErrOutdated = errors.New("this program is too old for the schema")
)

// Store is one backend.
type Store interface {
	Turns
	Pools
	Tasks
	Audit
	Mailboxes
	Sweeps
	Workers
	Leases

	// Backend says which it is.
	Backend() domain.Backend
	// Ping asks the backend for an answer.
	Ping(ctx context.Context) error
	// Close releases connections and locks. Nothing may be called after it.
	Close() error
}

// TurnSpec is what Turns.Turn needs from its caller.
//
// Its functions are called one at a time, before Turn returns, but not always on the goroutine of
// its caller.
type TurnSpec struct {
	Pool domain.PoolID
	// Gather returns everything to decide in this turn. It is called before the
	// first read; when the lock had to be waited for, or the turn is begun again, it is
	// called once more and then returns what came since as well (the
	// same requests first, in the same order, and the same pointer: a turn that is begun again may
	// have been given another TurnID).
	Gather func() *plan.Requests
	// Decide is plan.Turn, or a test's stand-in. Called once, or again when what the first
	// decision was based on turned out not to be so: then nothing of that counts.
	Decide func(plan.Snapshot, *plan.Requests) plan.Decisions
	// Meanwhile is called when the turn can only wait: for a
	// connection, or for the backend to do its part. What takes time and has to do with
	// earlier turns is best done there. It may be called several times, or not at all when
	// the turn fails. nil: nothing.
	Meanwhile func()
}

// Turns takes turns: the only writes to queue, counters and audit of a pool.
type Turns interface {
	// Turn runs one transaction: locks the pool, reads a snapshot, decides, and
	// writes all decisions or none. It returns the decisions once they are
	// durable. Decisions.Idle rolls back. RiverJobID of what a worker pool
	// started is filled in. On an error the decisions are returned as well when
	// Decide was reached, so that an unknown commit can be resolved.
	//
	// Errors: ErrNotFound (no such pool), ErrUnavailable, ErrCommitUnknown,
	// ErrData, ErrGuard.
	Turn(ctx context.Context, spec TurnSpec) (plan.Decisions, error)
	// TurnCommitted reports whether turn turnNo of the pool exists and is turnID.
	TurnCommitted(ctx context.Context, pool domain.PoolID, turnNo int64, turnID string) (bool, error)
	// PruneTurns deletes turn rows older than the newest keep, at most 10,000 a call. The
	// last turn of each day (UTC) stays, as long as a later day of the trail may become its
	// first one: Origin's checkpoint.
	PruneTurns(ctx context.Context, pool domain.PoolID, keep int64) (int64, error)
	// Reconcile counts the rows and compares them with the counters, in one
	// snapshot. No error and no differences: they agree.
	Reconcile(ctx context.Context, pool domain.PoolID) ([]Difference, error)
}

// Difference is a counter that does not equal the rows it counts.
type Difference struct {
	What    string // "active_units", "running", "queued", "waiting", "tenant acme active_units", …
	Counter int64
	Rows    int64
}

// PoolView is a pool as a reader sees it, in one snapshot.
type PoolView struct {
	domain.Pool
	domain.Counters
	OldestQueuedAt *time.Time // CreatedAt of the oldest queued task; nil: none queued
	// Derived: no pool of its own but a view of something else, such as a facility.
	Derived bool
}

// Origin says where what is kept of a pool's history begins, and what retention has
// deleted here. The zero value: nothing was deleted.
type Origin struct {
	// Audit, Tasks, Unread and Acknowledged are horizons; zero: nothing was deleted. Events
	// before Audit are gone. A task that ended before Tasks may be, a message that was posted before
	// Unread, and one that was acknowledged before Acknowledged.
	Audit        time.Time
	Tasks        time.Time
	Unread       time.Time
	Acknowledged time.Time
	// AcknowledgedDeleted is how many messages were deleted because they had been acknowledged.
	AcknowledgedDeleted int64
	// Home says that the trail is here.
	Home bool
	// Checkpoint is the balance that the trail goes on from: the counters of the last turn
	// before Audit, or of the oldest that is still there. Nil: from an empty pool.
	Checkpoint *domain.Counters
}

// Join adds what another backend has of the same pool, such as its mailbox's.
func (o *Origin) Join(other *Origin) {
	later := func(a *time.Time, b time.Time) {
		if b.After(*a) {
			*a = b
		}
	}
	later(&o.Tasks, other.Tasks)
	later(&o.Unread, other.Unread)
	later(&o.Acknowledged, other.Acknowledged)
	o.AcknowledgedDeleted += other.AcknowledgedDeleted
	if !o.Home && (other.Home || other.Audit.After(o.Audit)) {
		o.Home, o.Audit, o.Checkpoint = other.Home, other.Audit, other.Checkpoint
	}
}

// Kinds of horizons, as dialects store them.
const (
	HorizonAudit        = "audit"
	HorizonTasks        = "tasks"
	HorizonUnread       = "unread"
	HorizonAcknowledged = "acknowledged"
)

// Set notes a horizon of a kind.
func (o *Origin) Set(what string, at time.Time, deleted int64) {
	switch what {
	case HorizonAudit:
		o.Audit = at
	case HorizonTasks:
		o.Tasks = at
	case HorizonUnread:
		o.Unread = at
	case HorizonAcknowledged:
		o.Acknowledged, o.AcknowledgedDeleted = at, deleted
	}
}

// Pools reads pools, and creates them.
type Pools interface {
	// CreatePool stores the pool with Version 1 and its first counters, at now (zero: the
	// backend's clock, which every later turn goes by), when no pool of that id is there; else it changes nothing. It returns the stored pool.
	// A change of a stored pool is a turn's business (plan.PoolChange).
	CreatePool(ctx context.Context, pool domain.Pool, now time.Time) (domain.Pool, error)
	// Pool returns one pool. ErrNotFound.
	Pool(ctx context.Context, id domain.PoolID) (PoolView, error)
	// ListPools returns all pools by id.
	ListPools(ctx context.Context) ([]PoolView, error)
	// TenantUsages returns the usage rows of a pool by tenant.
	TenantUsages(ctx context.Context, id domain.PoolID) ([]domain.TenantUsage, error)
	// Origin returns where what is kept here of a pool's history begins, or of a facility's
	// (by its source).
	Origin(ctx context.Context, id domain.PoolID) (Origin, error)
	// RecentCounters returns the counters of the newest turns that are kept, at most
	// limit, oldest first.
	RecentCounters(ctx context.Context, id domain.PoolID, limit int) ([]domain.Counters, error)
}

// TaskFilter selects tasks; zero fields do not select.
type TaskFilter struct {
	Pool   domain.PoolID
	Status domain.Status
	Tenant domain.Tenant
	Label  [2]string    // key, value
	Before domain.JobID // exclusive; 0: from the newest
	Limit  int          // 1–1000
}

// SceneHolders bounds the holders of a scene.
const SceneHolders = 100

// Tasks reads tasks.
type Tasks interface {
	// Task returns the newest row of a task id with labels and result, without
	// payload. ErrNotFound.
	Task(ctx context.Context, pool domain.PoolID, id domain.TaskID) (domain.Task, error)
	// ListTasks returns tasks newest first, with labels, without payload and result.
	ListTasks(ctx context.Context, f TaskFilter) ([]domain.Task, error)
	// Attempts returns the tasks of live attempts (running, that attempt) with labels and
	// payload, of any pools. Attempts that are not live (any more) are absent. All are read in
	// one call's time limit, so give few where payloads may be large.
	Attempts(ctx context.Context, refs []domain.Ref) (map[domain.Ref]domain.Task, error)
	// Payloads returns the payloads of the jobs of one pool, by job id. Jobs without
	// payload are absent.
	Payloads(ctx context.Context, pool domain.PoolID, jobs []domain.JobID) (map[domain.JobID][]byte, error)
	// Position returns the exact place in the queue, 1 for the next, 0 when the task
	// is not in the order. What it costs grows with how many of the task's class are ahead;
	// at a million some hundred milliseconds.
	Position(ctx context.Context, pool domain.PoolID, job domain.JobID) (int64, error)
	// Scene returns, from one snapshot, what plan.Explain needs to know of the newest row
	// of a task id at now, but for the drain. Holders are at most SceneHolders, by job id; of
	// each lane plan.CandidateLimit candidates are read. ErrNotFound.
	Scene(ctx context.Context, pool domain.PoolID, id domain.TaskID, now time.Time) (plan.Scene, error)
	// Held returns the running tasks of a pool with holder (empty holder: all), by job
	// id, after exclusive, at most limit; light.
	Held(ctx context.Context, pool domain.PoolID, holder domain.WorkerID, after domain.JobID, limit int) ([]domain.Task, error)
}

// Labels reads labels. Every dialect that serves native pools implements it beside
// Store.
type Labels interface {
	// Labels returns the labels of the jobs of one pool, by job id. Jobs without
	// labels are absent.
	Labels(ctx context.Context, pool domain.PoolID, jobs []domain.JobID) (map[domain.JobID]map[string]string, error)
}

// EventFilter selects audit events; zero fields do not select.
type EventFilter struct {
	Pool    domain.PoolID
	TaskID  domain.TaskID
	Tenant  domain.Tenant
	Kind    domain.EventKind
	Subject string
	From    time.Time // inclusive
	To      time.Time // exclusive
	Cursor  domain.Cursor
	Limit   int // 1–500 at the edge; dialects serve up to 10,000
}

// Audit reads the trail.
type Audit interface {
	// Events returns events after the cursor, merged by (At, Source, Seq); within
	// a source always by Seq, without a gap unless the filter makes one.
	Events(ctx context.Context, f EventFilter) ([]domain.Event, error)
	// EventHeads returns the greatest Seq of every source that has events here. An event
	// that is recorded later has a greater one.
	EventHeads(ctx context.Context) (domain.Cursor, error)
	// EnsureAudit makes room for events of the days from now on (partitions, where
	// the dialect has them). now zero: the backend's clock.
	EnsureAudit(ctx context.Context, now time.Time) error
}

// MailboxFilter selects messages.
type MailboxFilter struct {
	Tenant    domain.Tenant
	AllUsers  bool      // the key "_": every message of the tenant
	UserID    string    // else this user's, all sessions …
	SessionID *string   // … or this session only
	Since     time.Time // inclusive on CreatedAt; zero: from the beginning
	Cursor    domain.Cursor
	Limit     int // 1–500
}

// PostedFilter selects messages of every mailbox.
type PostedFilter struct {
	Source domain.Source // empty: every source
	Cursor domain.Cursor
	// MaxPayload is the length in bytes up to which payloads are read; those of longer
	// ones are left out, and the message is Cut.
	MaxPayload int
	Limit      int // 1–10,000
}

// Posted is a message as PostedMessages returns it.
type Posted struct {
	domain.Message

	Cut bool // the payload was too long, and is not here
}

// Mailboxes reads and delivers outcomes.
type Mailboxes interface {
	// Messages returns messages after the cursor that are not acknowledged, merged by
	// (CreatedAt, Source, Seq); within a source always by Seq. A message that commits late
	// is after every cursor handed out before.
	Messages(ctx context.Context, f MailboxFilter) ([]domain.Message, error)
	// Acknowledge marks what Messages returns for the mailbox and the time of f, up to and
	// with the cursor (of a source it does not name: nothing), as acknowledged at now
	// (zero: the backend's clock), and returns how many were not before. f.Cursor and
	// f.Limit do not matter. No later Messages returns them, whatever its key, and doing it
	// again changes nothing: AckedAt stays the first.
	//
	// An acknowledged message is still there (PostedMessages), until retention deletes it
	// by its AckedAt; that one message is there for each outcome can be told until then.
	// On an error some may be acknowledged.
	Acknowledge(ctx context.Context, f MailboxFilter, upTo domain.Cursor, now time.Time) (int64, error)
	// PostedMessages returns messages of every mailbox after the cursor, acknowledged or
	// not, in the order of Messages: what is to be handed on, or checked.
	PostedMessages(ctx context.Context, f PostedFilter) ([]Posted, error)
	// MessageHeads returns the greatest Seq of every source that has messages here. A
	// message that is posted later has a greater one.
	MessageHeads(ctx context.Context) (domain.Cursor, error)
	// PutMessages stores messages that came through another backend's outbox. One
	// that is already there is left as it is, acknowledged or not.
	PutMessages(ctx context.Context, messages []domain.Message) error
	// Outbox returns messages waiting to go to another backend, by source and Seq.
	Outbox(ctx context.Context, limit int) ([]domain.Message, error)
	// OutboxDone removes delivered messages from the outbox.
	OutboxDone(ctx context.Context, messages []domain.Message) error
}

// Swept is what a sweep of tasks did.
type Swept struct {
	Deleted int64
	Next    domain.JobID // after which to go on; 0: it came to the end of what may be over
}

// Sweeps deletes what is over and has been kept long enough by the backend's clock, at
// most about 1,000 rows a call, each in a transaction of its own. Of several processes
// one at a time gets to; the others' calls do nothing and return no error.
type Sweeps interface {
	// SweepTasks looks at the pool's next tasks after job id after, and deletes those that
	// ended more than keep ago. What lives stays.
	SweepTasks(ctx context.Context, pool domain.PoolID, keep time.Duration, after domain.JobID) (Swept, error)
	// SweepMessages deletes messages that were acknowledged more than acked ago, and those
	// that were posted more than unread ago, and returns how many.
	SweepMessages(ctx context.Context, unread, acked time.Duration) (int64, error)
	// SweepAudit deletes events of days (UTC) that ended more than keep ago, and returns
	// how much there was: one day where the dialect has partitions, else rows. A day that
	// is in use is left for another time.
	SweepAudit(ctx context.Context, keep time.Duration) (int64, error)
	// OldestAudit returns the oldest day that the trail has room for; zero where the
	// dialect has no partitions.
	OldestAudit(ctx context.Context) (time.Time, error)
}

// Worker is a process that holds tasks or takes turns: a row of pl_workers.
type Worker struct {
	ID          domain.WorkerID // one incarnation; never used again after its death
	Role        string          // "serve" or "work"
	Host        string
	PID         int
	StartedAt   time.Time // zero in the first heartbeat: the backend's clock
	HeartbeatAt time.Time
	DeadAt      *time.Time
}

// Workers keeps the register of processes.
type Workers interface {
	// Heartbeat inserts or refreshes the worker's row at now (zero: the backend's clock).
	// It returns ErrGuard when the incarnation was marked dead, and ErrOutdated, with the
	// heartbeat taken, when the schema is not for programs as old as this one any more.
	Heartbeat(ctx context.Context, w Worker, now time.Time) error
	// ListWorkers returns the register, the living first.
	ListWorkers(ctx context.Context) ([]Worker, error)
	// Reap marks workers dead whose heartbeat is older than ttl at now (zero: the
	// backend's clock), under a lock that only one process gets at a time (others get
	// nothing and no error), and returns all dead whose row is still there.
	Reap(ctx context.Context, ttl time.Duration, now time.Time) ([]Worker, error)
	// Orphans returns running tasks of the pool whose holder is dead or unknown (a remote
	// worker without a lease), by job id, after exclusive, at most limit; light. For a worker pool the holder is who
	// attempts the River job; one that nobody has attempted yet is no orphan.
	Orphans(ctx context.Context, pool domain.PoolID, after domain.JobID, limit int) ([]domain.Task, error)
	// Forget removes workers that ended on purpose or are dead and hold nothing.
	Forget(ctx context.Context, id domain.WorkerID) error
}

// LeaseFilter selects leases of one pool; zero fields do not select.
type LeaseFilter struct {
	Pool   domain.PoolID
	Worker string
	After  domain.JobID // exclusive
	Limit  int          // 1–1000
}

// Leases keeps what remote workers hold. Turns write leases too: granting and ending
// them is theirs alone.
type Leases interface {
	// ExtendLeases is a heartbeat: it moves the expiry of each lease to its TTL after
	// now (zero: the backend's clock), but not beyond its timeout or, once its task
	// was asked to stop, one TTL after that. It returns the leases that are there, as
	// they are then, by pool and job; one that is missing is lost. It waits for no pool's lock. At
	// most 1,000 ids.
	ExtendLeases(ctx context.Context, ids []domain.LeaseID, now time.Time) ([]domain.Lease, error)
	// ExpiredLeases returns leases whose expiry has come at now (zero: the backend's
	// clock), of all pools, by expiry, pool and job, after exclusive (zero: from the first).
	// A turn decides what becomes of them.
	ExpiredLeases(ctx context.Context, after domain.Lease, now time.Time, limit int) ([]domain.Lease, error)
	// ListLeases returns leases of a pool by job.
	ListLeases(ctx context.Context, f LeaseFilter) ([]domain.Lease, error)
}

// Wake is a hint from one process to the others.
type Wake struct {
	Pool  domain.PoolID `json:"p"`
	Turn  bool          `json:"t,omitempty"` // take a turn: something may start or a timer moved
	Stop  bool          `json:"s,omitempty"` // a running task was asked to stop: look at what you hold
	Ended bool          `json:"e,omitempty"` // tasks ended: wake waiters and mailbox readers
}

// Waker carries hints between processes on one backend. Losing one costs the
// safety poll, never correctness. Only Postgres has other processes.
type Waker interface {
	// Wake tells the other processes, coalesced, outside any transaction. It does
	// nothing while no other process is registered.
	Wake(ctx context.Context, hints []Wake) error
	// Listen calls hear for every hint of another process until ctx ends, with one
	// connection of its own. After every (re)connect it calls hear with a zero Wake:
	// look at everything.
	Listen(ctx context.Context, hear func(Wake)) error
}
