package plan

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// DefaultExecutor is what a submission that names no executor runs.
const DefaultExecutor = "default"

// arrival is a submission that got a row, and where its answer goes.
type arrival struct {
	row    *row
	answer *Answer
}

// submit decides all submissions, and every start of the turn: what arrives stands
// in the same line as what waits. An id that is named twice is decided one after the
// other, so that the second is judged by what became of the first.
func (t *turn) submit(answers []Answer) {
	pending := make([]int, len(answers))
	for i := range pending {
		pending[i] = i
	}
	var all []arrival
	for first := true; first || len(pending) > 0; first = false {
		var arrivals []arrival
		arrivals, pending = t.arrive(pending, answers)
		if first || len(arrivals) > 0 {
			t.start(arrivals)
		}
		t.admit(arrivals)
		all = append(all, arrivals...)
	}
	t.positions(all)
}

// arrive answers what needs no place (known ids, faults, rejections) and gives the
// others a row and a rank. It returns them in the order of arrival, and the
// submissions that have to wait for what becomes of one of them.
func (t *turn) arrive(pending []int, answers []Answer) (arrivals []arrival, later []int) {
	for _, i := range pending {
		s, answer := &t.req.Submits[i], &answers[i]
		known := t.named(s.TaskID)
		switch {
		case known == nil:
		case known.arriving:
			later = append(later, i)
			continue
		case known.t.Status != domain.StatusRejected:
			*answer = knownAnswer(known.t, s)
			continue
		}
		if faults := t.faults(s); len(faults) > 0 {
			answer.Err = &domain.Error{
				Code: domain.CodeInvalid, Message: "the task can never start: " + summary(faults), Faults: faults,
			}
			continue
		}
		r := t.newRow(s, known)
		answer.Task = r.t
		t.record(r, record{kind: domain.EventSubmit}, 0, r.t.Units, domain.Reason{})
		if refusal := t.closed(); refusal != nil {
			answer.Err = t.reject(r, refusal)
			continue
		}
		r.arriving = true
		a := t.account(s.Tenant)
		r.t.Rank = t.rank(r.t, max(a.FinishTag, a.promised))
		if t.pool.Policy == domain.PolicyFair {
			a.promised = t.finish(r.t)
		}
		arrivals = append(arrivals, arrival{row: r, answer: answer})
	}
	return arrivals, later
}

// admit queues what the start pass has not started while there is room, in the
// order of arrival, and rejects the rest.
func (t *turn) admit(arrivals []arrival) {
	for _, a := range arrivals {
		if !a.row.arriving {
			continue
		}
		if refusal := t.full(a.row.t); refusal != nil {
			t.comeBack(a.row.t, refusal)
			a.answer.Err = t.reject(a.row, refusal)
			continue
		}
		t.enqueue(a.row)
	}
}

// enqueue gives an arriving task its place in the queue.
func (t *turn) enqueue(r *row) {
	r.arriving = false
	t.charge(r.t)
	t.move(r, record{kind: domain.EventEnqueue}, func(task *domain.Task) { task.Status = domain.StatusQueued })
}

// reject ends a submission that found no place. Its row, audit trail and message
// stay; the id may be submitted again.
func (t *turn) reject(r *row, refusal *domain.Error) *domain.Error {
	r.arriving = false
	t.move(r, record{kind: domain.EventReject}, func(task *domain.Task) {
		task.Status = domain.StatusRejected
		task.Reason = domain.Reason{Code: domain.ReasonCode(refusal.Code), Message: refusal.Message}
	})
	return refusal
}

// closed returns why the pool takes nobody, nil when it does.
func (t *turn) closed() *domain.Error {
	switch {
	case t.pool.MaxUnits == 0:
		return domain.Errorf(domain.CodeCapacityZero, "pool %q has no capacity: its max_units is 0", t.pool.PoolID)
	case t.pool.State == domain.PoolDraining:
		return domain.Errorf(domain.CodePoolDraining, "pool %q is draining and takes no new tasks", t.pool.PoolID)
	case t.pool.State == domain.PoolDisabled:
		return domain.Errorf(domain.CodePoolDisabled, "pool %q is disabled and takes no new tasks", t.pool.PoolID)
	}
	return nil
}

// full returns why there is no room in the queue for the task, nil when there is.
func (t *turn) full(task *domain.Task) *domain.Error {
	var err *domain.Error
	a := t.account(task.Tenant)
	switch {
	case t.counters.Queued >= t.pool.MaxQueueDepth:
		err = domain.Errorf(domain.CodeQueueFull, "the queue of pool %q is full: %d of %d tasks wait",
			t.pool.PoolID, t.counters.Queued, t.pool.MaxQueueDepth)
	case a.limit.MaxQueueDepth > 0 && a.Queued >= a.limit.MaxQueueDepth:
		err = domain.Errorf(domain.CodeTenantQueueFull, "tenant %q has %d of %d tasks waiting in pool %q",
			task.Tenant, a.Queued, a.limit.MaxQueueDepth, t.pool.PoolID)
	default:
		return nil
	}
	return err
}

// comeBack tells whoever found the queue full when to try again.
func (t *turn) comeBack(task *domain.Task, refusal *domain.Error) {
	t.refused++
	share := 1.0
	if refusal.Code == domain.CodeTenantQueueFull && t.counters.Queued > 0 {
		// Of what drains, about as much is the tenant's as of what waits.
		share = min(1, float64(t.account(task.Tenant).Queued)/float64(t.counters.Queued))
	}
	refusal.RetryAfter = t.req.Drain.RetryAfter(t.refused, share, task.JobID)
}

// newRow makes the row of a submission, with everything but its rank. known is the
// rejected row of the same id, if there is one.
func (t *turn) newRow(s *Submit, known *row) *row {
	t.counters.JobSeq++
	r := t.insert(domain.Task{
		PoolID: t.pool.PoolID, JobID: domain.JobID(t.counters.JobSeq), TaskID: s.TaskID, Submission: 1, BodyHash: s.BodyHash,
		Tenant: s.Tenant, Requested: s.Priority, Kind: cmp.Or(s.Kind, t.pool.ResourceKind), Units: s.Units,
		Status: domain.StatusSubmitted, MaxAttempts: t.maxAttempts(s), Executor: cmp.Or(s.Executor, DefaultExecutor),
		Timeout: t.timeout(s), CreatedAt: t.now, Mailbox: s.Mailbox, Labels: s.Labels, Payload: s.Payload,
	})
	task := r.t
	if s.Deadline != nil {
		deadline := s.Deadline.UTC().Truncate(time.Microsecond)
		task.Deadline = &deadline
	}
	if known != nil {
		task.Submission = known.t.Submission + 1
	}
	t.classify(task)
	if t.known == nil {
		t.known = make(map[domain.TaskID]*row, len(t.req.Submits))
	}
	t.known[s.TaskID] = r
	return r
}

func (t *turn) maxAttempts(s *Submit) int { return max(1, cmp.Or(s.MaxAttempts, t.pool.MaxAttempts)) }

func (t *turn) timeout(s *Submit) time.Duration { return cmp.Or(s.Timeout, t.pool.DefaultTimeout) }

// knownAnswer answers a submission of an id that has a row already.
func knownAnswer(task *domain.Task, s *Submit) Answer {
	if bytes.Equal(task.BodyHash, s.BodyHash) {
		return Answer{Task: task, Known: true}
	}
	return Answer{Task: task, Known: true, Err: domain.Errorf(domain.CodeTaskExists,
		"task %q exists with another body; use another taskId, or send the same body", s.TaskID)}
}

func (t *turn) faults(s *Submit) []domain.Fault { return Faults(&t.pool, s, t.now) }

// Faults returns everything that keeps the task from ever starting in the pool as it
// is. Turn asks it under the lock; an edge that refuses a submission for its form may
// ask it too, to list all that is wrong at once.
func Faults(pool *domain.Pool, s *Submit, now time.Time) []domain.Fault {
	var faults []domain.Fault
	add := func(value any, location, format string, args ...any) {
		faults = append(faults, domain.Fault{
			Location: "body." + location, Message: fmt.Sprintf(format, args...), Value: value,
		})
	}
	const units = "resourceCost.units"
	limit := pool.Tenants[s.Tenant].MaxUnits
	switch {
	case s.Units < 1:
		add(s.Units, units, "must be at least 1")
	case s.Units > domain.MaxPoolUnits:
		add(s.Units, units, "must be at most %d", domain.MaxPoolUnits)
	case pool.MaxUnits > 0 && s.Units > pool.MaxUnits:
		add(s.Units, units, "the pool has %d units in all", pool.MaxUnits)
	case pool.MaxUnits > 0 && limit > 0 && s.Units > limit:
		add(s.Units, units, "tenant %q may use %d units at a time", s.Tenant, limit)
	}
	if s.Kind != "" && !slices.Contains(domain.ResourceKinds(), s.Kind) {
		add(string(s.Kind), "resourceCost.kind", "is not a kind of resource")
	}
	if s.Priority < domain.PriorityLow || s.Priority > domain.PriorityCritical {
		add(int16(s.Priority), "priority", "must be low, normal, high or critical")
	}
	if s.Deadline != nil && !s.Deadline.Truncate(time.Microsecond).After(now) {
		add(s.Deadline.UTC().Format(time.RFC3339Nano), "deadline", "is not in the future: it is %s", now.Format(time.RFC3339Nano))
	}
	if timeout := cmp.Or(s.Timeout, pool.DefaultTimeout); timeout < time.Millisecond {
		add(timeout.Seconds(), "timeoutSecs", "must be at least 0.001")
	}
	if s.MaxAttempts < 0 || s.MaxAttempts > maxTaskAttempts {
		add(s.MaxAttempts, "maxAttempts", "must be between 1 and %d", maxTaskAttempts)
	}
	// A pool without a list leaves the choice to whoever runs its tasks.
	if name := cmp.Or(s.Executor, DefaultExecutor); len(pool.Executors) > 0 && !slices.Contains(pool.Executors, name) {
		add(name, "executor", "the pool has no such executor; it has %s", strings.Join(pool.Executors, ", "))
	}
	return faults
}

// maxTaskAttempts keeps attempts, and what hand-backs add to them, within the
// columns that hold them.
const maxTaskAttempts = math.MaxInt16

func summary(faults []domain.Fault) string {
	if len(faults) == 1 {
		return strings.TrimPrefix(faults[0].Location, "body.") + " " + faults[0].Message
	}
	return fmt.Sprintf("%d faults", len(faults))
}
