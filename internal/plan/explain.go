package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// WhyCode says why a task is not running. Codes are never renamed.
type WhyCode string

// Why a queued task has not started.
const (
	WhyUnits        WhyCode = "units"           // it is next, and ShortUnits more have to come free
	WhyOrder        WhyCode = "order"           // others are in front of it
	WhyHeadKeptFree WhyCode = "head_kept_free"  // it would fit; what is free is kept for Head, which was overtaken often enough
	WhyTenantCap    WhyCode = "tenant_cap"      // its tenant uses what it may
	WhyBackoff      WhyCode = "backoff"         // a retry that waits for NotBefore
	WhyDisabled     WhyCode = "pool_disabled"   // the pool starts nothing
	WhyCapacityZero WhyCode = "capacity_zero"   // the pool has no units
	WhyNoWorker     WhyCode = "no_worker"       // it is next and fits; no worker has asked for it
	WhyStarting     WhyCode = "starting"        // the next turn starts it
	WhyNeverFits    WhyCode = "never_fits"      // the pool or the cap shrank below it: a turn drops it
	WhyDeadline     WhyCode = "deadline_passed" // a turn expires it
)

// What a task does that does not wait.
const (
	WhyRunning    WhyCode = "running"
	WhyUnclaimed  WhyCode = "unclaimed"  // started, its units are taken; no worker process has fetched it
	WhyCancelling WhyCode = "cancelling" // running, and was asked to stop
	WhyEnded      WhyCode = "ended"      // terminal; its reason says more
)

// Scene is what an explanation is made of, read at one instant.
type Scene struct {
	// Snapshot has the pool, its counters, the front of every lane, and the tenants of
	// everybody in there and of Task. Named, due and rested rows are not needed.
	Snapshot

	Task domain.Task
	// Position is the task's place in the order, 0 when it is not in it.
	Position int64
	// Holders are running tasks, the longest-running first, bounded.
	Holders []domain.Task
	// Drain is how fast the queue has been emptying.
	Drain Drain
}

// Explanation is why a task is not running, or what it does instead.
type Explanation struct {
	Code     WhyCode
	Message  string
	Position int64
	// FreeUnits of the pool now; negative after it has shrunk.
	FreeUnits domain.Units
	// ShortUnits is how many units have to come free for the task to start: for itself
	// and for those in front of it that wait for units too. 0: none, or not known.
	ShortUnits domain.Units
	// TenantUnits is what the task's tenant uses, TenantLimit what it may use (0: as
	// much as the pool has), TenantShort what it has to give back first.
	TenantUnits, TenantLimit, TenantShort domain.Units
	// Ahead are the first of those in front of it, in order, bounded.
	Ahead []domain.Task
	// Head is for whom free units are kept (WhyHeadKeptFree).
	Head *domain.Task
	// EstimatedStart, nil: not known. Drain is what it was made of.
	EstimatedStart *time.Time
	Drain          Drain
}

// aheadMost bounds Explanation.Ahead.
const aheadMost = 20

// unlimited is more than any pool has in use, and leaves room to add.
const unlimited domain.Units = math.MaxInt64 / 4

// Explain says why a task is not running. It is the start pass itself, looked at: what
// it tells is what Turn does. Safe for concurrent use; scene is not changed.
func Explain(scene *Scene) Explanation {
	task := &scene.Task
	usage := scene.Tenants[task.Tenant]
	e := Explanation{
		FreeUnits:   scene.Pool.MaxUnits.Sub(scene.Counters.ActiveUnits),
		TenantUnits: usage.ActiveUnits, TenantLimit: scene.Pool.Tenants[task.Tenant].MaxUnits,
		Drain: scene.Drain,
	}
	switch {
	case task.Status.Terminal():
		e.sayf(WhyEnded, "It has ended: %s.", ended(task))
	case task.Status == domain.StatusRunning:
		e.running(scene)
	default:
		e.queued(scene)
	}
	return e
}

func ended(task *domain.Task) string {
	return cmp.Or(task.Reason.Message, string(task.Status))
}

func (e *Explanation) sayf(code WhyCode, format string, args ...any) {
	e.Code, e.Message = code, fmt.Sprintf(format, args...)
}

func (e *Explanation) running(scene *Scene) {
	task := &scene.Task
	switch {
	case task.CancelAsked != nil:
		e.sayf(WhyCancelling, "It runs, and was asked to stop; it ends when its executor has.")
	case task.Holder == "" && scene.Pool.Runtime == domain.RuntimeWorker:
		e.sayf(WhyUnclaimed, "It has started and its units are taken, but no worker process has fetched it. Is one running for this pool?")
	default:
		e.sayf(WhyRunning, "It runs: attempt %d of %d.", task.Attempt, task.MaxAttempts)
	}
}

func (e *Explanation) queued(scene *Scene) {
	task := &scene.Task
	if task.NotBefore != nil {
		e.sayf(WhyBackoff, "Attempt %d failed; it is tried again from %s on.", task.Attempt, task.NotBefore.Format(time.RFC3339))
		return
	}
	e.Position = scene.Position
	for i := range scene.Candidates {
		if len(e.Ahead) < aheadMost && compare(&scene.Candidates[i], task) < 0 {
			e.Ahead = append(e.Ahead, scene.Candidates[i])
		}
	}
	switch {
	case scene.Pool.State == domain.PoolDisabled:
		e.sayf(WhyDisabled, "The pool is disabled and starts nothing until it is resumed.")
	case scene.Pool.MaxUnits == 0:
		e.sayf(WhyCapacityZero, "The pool has no capacity: its max_units is 0.")
	case passed(task.Deadline, scene.Now):
		e.sayf(WhyDeadline, "Its deadline has passed: it expires with one of the pool's next turns.")
	case task.Units > scene.Pool.MaxUnits || e.TenantLimit > 0 && task.Units > e.TenantLimit:
		e.sayf(WhyNeverFits, "It needs %d units, more than the pool has or its tenant may use now: it is dropped when its turn comes.", task.Units)
	default:
		e.inLine(scene)
	}
	switch e.Code {
	case WhyUnits, WhyOrder, WhyHeadKeptFree:
		e.EstimatedStart = EstimatedStart(scene.Now, &scene.Pool, task, e.TenantUnits, scene.Drain, e.Position)
	default: // nothing that drains the queue brings it nearer, or it starts now
	}
}

// inLine explains a task that is in the order of a pool that starts tasks, by two start
// passes: one as it is, and one as if units came free without end, which shows who
// would go first.
func (e *Explanation) inLine(scene *Scene) {
	task := &scene.Task
	actual := walk(scene, 0)
	if r := actual.find(task.JobID); r != nil && r.t.Status == domain.StatusRunning {
		e.starts(scene)
		return
	}
	free := walk(scene, unlimited)
	r := free.find(task.JobID)
	lane := scene.Pool.TenantLane(task.Tenant)
	switch {
	case r != nil && r.t.Status == domain.StatusRunning:
		e.waits(scene, actual, free.startedBefore(r))
	case free.capReached(task.Tenant, lane) || r != nil && lane != "" && !fitsCap(free.account(task.Tenant), task.Units):
		e.capped(scene, r != nil)
	default:
		e.sayf(WhyOrder, "More tasks are in front of it than were looked at.")
	}
}

// starts: nothing is in the way.
func (e *Explanation) starts(scene *Scene) {
	if scene.Pool.Runtime == domain.RuntimeWeb {
		e.sayf(WhyNoWorker, "It fits and its turn has come; no worker has asked for a task of this pool since.")
		return
	}
	e.sayf(WhyStarting, "It fits and its turn has come: it starts with the pool's next turn.")
}

// waits: units are short, for the task or for those who go first.
func (e *Explanation) waits(scene *Scene, actual *turn, first []*row) {
	task := &scene.Task
	e.ShortUnits = task.Units.Sub(e.FreeUnits)
	for _, r := range first {
		e.ShortUnits = e.ShortUnits.Add(r.t.Units)
	}
	e.ShortUnits = max(0, e.ShortUnits)
	kept := actual.keptFor
	switch {
	case kept != nil && kept.t.JobID != task.JobID && task.Units <= actual.free() && fitsCap(actual.account(task.Tenant), task.Units):
		head := *kept.t
		e.Head = &head
		e.sayf(WhyHeadKeptFree, "It would fit, but %d free units are kept for task %s, which needs %d and has been overtaken %d times.",
			actual.free(), head.TaskID, head.Units, head.Overtaken)
	case len(first) == 0:
		e.sayf(WhyUnits, "It is next. It needs %d units and %d are free: %d more have to come free.",
			task.Units, max(0, e.FreeUnits), e.ShortUnits)
	default:
		e.sayf(WhyOrder, "%d tasks go first. It needs %d units itself; %d are free.", len(first), task.Units, max(0, e.FreeUnits))
	}
}

// capped: whatever comes free in the pool, the tenant may not use it. seen says that the
// task, and thereby everybody in front of it, was read.
func (e *Explanation) capped(scene *Scene, seen bool) {
	task := &scene.Task
	if seen {
		e.TenantShort = e.TenantUnits.Add(task.Units).Sub(e.TenantLimit)
		for i := range scene.Candidates {
			if c := &scene.Candidates[i]; c.Tenant == task.Tenant && compare(c, task) < 0 {
				e.TenantShort = e.TenantShort.Add(c.Units)
			}
		}
	}
	e.sayf(WhyTenantCap, "Tenant %s uses %d of the %d units it may use at a time; this task needs %d, after those the tenant submitted before it.",
		task.Tenant, e.TenantUnits, e.TenantLimit, task.Units)
}

func fitsCap(a *account, units domain.Units) bool {
	return a.limit.MaxUnits == 0 || a.ActiveUnits.Add(units) <= a.limit.MaxUnits
}

// walk runs a start pass on a copy of the scene, with so many units free besides. The
// passes of web pools are their workers': what one that asked for everything would get.
func walk(scene *Scene, extra domain.Units) *turn {
	snap := scene.Snapshot
	snap.Candidates = slices.Clone(snap.Candidates)
	snap.Counters.ActiveUnits -= extra
	if snap.Pool.Runtime == domain.RuntimeWeb {
		snap.Pool.Runtime = domain.RuntimeWorker
	}
	t := &turn{ledger: newLedger(&snap, 0, 0), snap: &snap, req: &Requests{}}
	t.start(nil)
	return t
}

// find returns the task's row in the line that the start pass went down, nil when it is
// not in it.
func (t *turn) find(job domain.JobID) *row {
	t.line()
	for _, r := range t.queue {
		if r.t.JobID == job {
			return r
		}
	}
	return nil
}

// startedBefore returns who was started before r.
func (t *turn) startedBefore(r *row) []*row {
	return t.started[:max(0, slices.Index(t.started, r))]
}
