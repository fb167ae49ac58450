package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Model is the reference: a store of slices and maps that does what package
// store promises in the most obvious way. It is slow, forgets everything, and is
// what the dialects are compared with. It passes the suite itself.
type Model struct {
	now     func() time.Time
	backend domain.Backend

	mu       sync.Mutex
	pools    map[domain.PoolID]*modelPool
	events   map[domain.Source][]domain.Event
	messages map[domain.Source][]domain.Message
	outbox   []domain.Message
	workers  map[domain.WorkerID]store.Worker
	origins  map[domain.PoolID]store.Origin // without Audit and Checkpoint
	audit    time.Time                      // horizon of the trail; zero: none
}

type modelPool struct {
	pool    domain.Pool
	created time.Time
	turns   []domain.Counters // by TurnNo, the newest last
	jobs    []domain.Task     // by JobID
	tenants map[domain.Tenant]domain.TenantUsage
	leases  map[domain.JobID]domain.Lease
}

var _ store.Store = (*Model)(nil)

// NewModel returns an empty model that says it is backend and reads now.
func NewModel(backend domain.Backend, now func() time.Time) *Model {
	return &Model{
		now: now, backend: backend,
		pools:    make(map[domain.PoolID]*modelPool),
		events:   make(map[domain.Source][]domain.Event),
		messages: make(map[domain.Source][]domain.Message),
		workers:  make(map[domain.WorkerID]store.Worker),
		origins:  make(map[domain.PoolID]store.Origin),
	}
}

// Backend implements store.Store.
func (m *Model) Backend() domain.Backend { return m.backend }

// Ping implements store.Store.
func (m *Model) Ping(context.Context) error { return nil }

// Close implements store.Store.
func (m *Model) Close() error { return nil }

func (m *Model) clock(now time.Time) time.Time {
	if now.IsZero() {
		now = m.now()
	}
	return now.UTC().Truncate(time.Microsecond)
}

func (m *Model) pool(id domain.PoolID) (*modelPool, error) {
	p, ok := m.pools[id]
	if !ok {
		return nil, fmt.Errorf("pool %q: %w", id, store.ErrNotFound)
	}
	return p, nil
}

func (p *modelPool) counters() domain.Counters { return p.turns[len(p.turns)-1] }

// job returns the task of a job id, nil when there is none.
func (p *modelPool) job(id domain.JobID) *domain.Task {
	i, found := slices.BinarySearchFunc(p.jobs, id, func(t domain.Task, id domain.JobID) int { return int(t.JobID - id) })
	if !found {
		return nil
	}
	return &p.jobs[i]
}

// light is a task as most reads return it.
func light(t domain.Task) domain.Task {
	t.Payload, t.Result, t.Labels = nil, nil, nil
	return t
}

// Turn implements store.Turns.
func (m *Model) Turn(ctx context.Context, spec store.TurnSpec) (plan.Decisions, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	requests := spec.Gather()
	if err := ctx.Err(); err != nil {
		return plan.Decisions{}, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	p, err := m.pool(spec.Pool)
	if err != nil {
		return plan.Decisions{}, err
	}
	d := spec.Decide(m.snapshot(p, requests), requests)
	if d.Idle {
		return d, nil
	}
	next := &modelPool{ // built aside, so that nothing is half-written
		pool: p.pool, created: p.created, turns: p.turns, jobs: slices.Clone(p.jobs), tenants: maps.Clone(p.tenants), leases: maps.Clone(p.leases),
	}
	if err := next.apply(&d); err != nil {
		return d, err
	}
	if err := m.post(next, &d); err != nil {
		return d, err
	}
	m.pools[spec.Pool] = next
	return d, nil
}

// apply writes the rows of one turn.
func (p *modelPool) apply(d *plan.Decisions) error {
	c := d.Counters
	switch {
	case c.TurnNo != p.counters().TurnNo+1:
		return fmt.Errorf("%w: turn %d after %d", store.ErrGuard, c.TurnNo, p.counters().TurnNo)
	case c.ActiveUnits < 0 || c.ActiveUnits > c.Ceiling || c.Running < 0 || c.Waiting < 0:
		return fmt.Errorf("%w: %d of %d units, %d running, %d waiting", store.ErrData, c.ActiveUnits, c.Ceiling, c.Running, c.Waiting)
	case c.Queued != c.QueuedBy[0]+c.QueuedBy[1]+c.QueuedBy[2]+c.QueuedBy[3] || slices.Min(c.QueuedBy[:]) < 0:
		return fmt.Errorf("%w: %d queued, by class %v", store.ErrData, c.Queued, c.QueuedBy)
	}
	p.turns = append(slices.Clip(p.turns), c)
	if d.Pool != nil {
		p.pool = *d.Pool
		for i := range p.jobs {
			if t := &p.jobs[i]; t.Status == domain.StatusQueued && slices.Contains(d.Relane, t.Tenant) {
				t.Lane = p.pool.TenantLane(t.Tenant)
			}
		}
	}
	for i := range d.Changed {
		if err := p.change(&d.Changed[i]); err != nil {
			return err
		}
	}
	for i := range d.Inserted {
		t := d.Inserted[i]
		if last := c.JobSeq - int64(len(d.Inserted)-i); int64(t.JobID) != last+1 || len(p.jobs) > 0 && t.JobID <= p.jobs[len(p.jobs)-1].JobID {
			return fmt.Errorf("%w: job %d after %d", store.ErrGuard, t.JobID, last)
		}
		for j := range p.jobs {
			if p.jobs[j].TaskID == t.TaskID && p.jobs[j].Submission == t.Submission {
				return fmt.Errorf("%w: task %s, submission %d, is there already", store.ErrGuard, t.TaskID, t.Submission)
			}
		}
		if err := checkTask(&t); err != nil {
			return err
		}
		p.jobs = append(p.jobs, t)
	}
	for _, u := range d.Tenants {
		if u.ActiveUnits < 0 || u.Queued < 0 {
			return fmt.Errorf("%w: tenant %+v", store.ErrData, u)
		}
		p.tenants[u.Tenant] = u
	}
	return p.lease(d)
}

// change writes the fields of a task that may change, when it is still as it was read.
func (p *modelPool) change(c *plan.Change) error {
	t := p.job(c.Task.JobID)
	if t == nil {
		return fmt.Errorf("%w: no job %d", store.ErrGuard, c.Task.JobID)
	}
	if t.Status != c.FromStatus || t.Attempt != c.FromAttempt {
		return fmt.Errorf("%w: job %d is %s at attempt %d", store.ErrGuard, t.JobID, t.Status, t.Attempt)
	}
	n := c.Task
	t.Priority, t.Lane, t.Rank, t.Overtaken = n.Priority, n.Lane, n.Rank, n.Overtaken
	t.Status, t.Reason, t.Attempt, t.MaxAttempts = n.Status, n.Reason, n.Attempt, n.MaxAttempts
	t.NotBefore, t.StartedAt, t.FinishedAt, t.CancelAsked = n.NotBefore, n.StartedAt, n.FinishedAt, n.CancelAsked
	t.Holder, t.RiverJobID, t.Result = n.Holder, n.RiverJobID, n.Result
	return checkTask(t)
}

// checkTask is the CHECKs of pl_queue_jobs, and what no text column takes.
func checkTask(t *domain.Task) error {
	switch {
	case t.Units < 1, t.MaxAttempts < 1, t.Attempt < 0, t.Attempt > t.MaxAttempts, t.Timeout <= 0:
	case t.Priority < 0 || t.Priority >= domain.PriorityClasses, t.Requested < 0 || t.Requested >= domain.PriorityClasses:
	case !slices.Contains(domain.Statuses(), t.Status) || t.Status == domain.StatusSubmitted:
	case !slices.Contains(domain.ResourceKinds(), t.Kind):
	case t.Status == domain.StatusRunning && (t.Attempt < 1 || t.StartedAt == nil):
	case t.Status.Terminal() != (t.FinishedAt != nil):
	case !storable(string(t.TaskID), string(t.Tenant), t.Executor, t.Reason.Message, string(t.Payload), string(t.Result)):
	case t.Mailbox != nil && !storable(string(t.Mailbox.Tenant), t.Mailbox.UserID, t.Mailbox.SessionID):
	default:
		for k, v := range t.Labels {
			if !storable(k, v) {
				return fmt.Errorf("%w: label %q of task %s", store.ErrData, k, t.TaskID)
			}
		}
		return nil
	}
	return fmt.Errorf("%w: task %+v", store.ErrData, t)
}

func storable(values ...string) bool {
	for _, v := range values {
		if strings.Contains(v, "\x00") || !utf8.ValidString(v) {
			return false
		}
	}
	return true
}

// post writes the events and messages of a turn.
func (m *Model) post(p *modelPool, d *plan.Decisions) error {
	numbers := make(map[string]bool)
	for i := range d.Events {
		e := &d.Events[i]
		there := slices.ContainsFunc(m.events[e.Source], func(o domain.Event) bool { return o.Seq == e.Seq })
		if numbers[e.ID()] || there {
			return fmt.Errorf("%w: event %s is there already", store.ErrGuard, e.ID())
		}
		if !storable(string(e.TaskID), string(e.Tenant), e.Reason.Message, e.Actor, string(e.Detail)) {
			return fmt.Errorf("%w: event %s", store.ErrData, e.ID())
		}
		numbers[e.ID()] = true
	}
	for i := range d.Messages {
		msg := &d.Messages[i]
		there := slices.ContainsFunc(m.messages[msg.Source], func(o domain.Message) bool { return o.Seq == msg.Seq || outcome(o) == outcome(*msg) })
		if there {
			return fmt.Errorf("%w: message %s is there already", store.ErrGuard, msg.ID())
		}
		if !storable(msg.Reason.Message, string(msg.Payload)) {
			return fmt.Errorf("%w: message %s", store.ErrData, msg.ID())
		}
	}
	for _, e := range d.Events {
		m.events[e.Source] = append(m.events[e.Source], e)
	}
	for _, msg := range d.Messages {
		if p.pool.MailboxBackend == m.backend {
			m.messages[msg.Source] = append(m.messages[msg.Source], msg)
		} else {
			m.outbox = append(m.outbox, msg)
		}
	}
	return nil
}

// snapshot is what plan.Snapshot says, read off the slices.
func (m *Model) snapshot(p *modelPool, rq *plan.Requests) plan.Snapshot {
	s := plan.Snapshot{
		Now: m.clock(time.Time{}), Pool: p.pool, Counters: p.counters(),
		Tenants: make(map[domain.Tenant]domain.TenantUsage), LaneLimit: plan.CandidateLimit,
		Known: make(map[domain.TaskID]domain.Task),
		Held:  make(map[domain.JobID]domain.Task),

		Leases: make(map[domain.JobID]domain.Lease),
	}
	if s.Now.Before(s.Counters.At) {
		s.Now = s.Counters.At
	}
	var names []domain.Tenant
	know := func(id domain.TaskID) {
		if t, ok := p.newest(id); ok {
			s.Known[id] = light(t)
		}
	}
	for i := range rq.Submits {
		know(rq.Submits[i].TaskID)
		names = append(names, rq.Submits[i].Tenant)
	}
	for i := range rq.Cancels {
		know(rq.Cancels[i].TaskID)
	}
	for i := range rq.Forces {
		know(rq.Forces[i].TaskID)
	}
	hold := func(id domain.JobID) {
		if t := p.job(id); t != nil {
			s.Held[id] = light(*t)
		}
	}
	for i := range rq.Settles {
		hold(rq.Settles[i].Ref.JobID)
	}
	for i := range rq.Losts {
		hold(rq.Losts[i].Ref.JobID)
	}
	for _, job := range rq.LeasedJobs() {
		if l, ok := p.leases[job]; ok {
			s.Leases[job] = l
		}
	}
	p.queue(&s)
	for _, list := range [][]domain.Task{
		slices.Collect(maps.Values(s.Known)), slices.Collect(maps.Values(s.Held)), s.Candidates, s.Due, s.Rested,
	} {
		for i := range list {
			names = append(names, list[i].Tenant)
		}
	}
	for t, limit := range p.pool.Tenants {
		if limit.MaxUnits > 0 || limit.MaxQueueDepth > 0 {
			names = append(names, t)
		}
	}
	for _, t := range names {
		if u, ok := p.tenants[t]; ok {
			s.Tenants[t] = u
		}
	}
	return s
}

// queue reads the order and the timers.
func (p *modelPool) queue(s *plan.Snapshot) {
	read := make(map[string]int) // by lane
	for _, t := range p.order() {
		if read[t.Lane]++; read[t.Lane] > plan.CandidateLimit {
			s.CandidatesCut = true
			continue
		}
		s.Candidates = append(s.Candidates, light(t))
	}
	s.Due = p.timers(s, func(t *domain.Task) *time.Time { return t.Deadline })
	s.Rested = p.timers(s, func(t *domain.Task) *time.Time { return t.NotBefore })
	if stored := s.Counters.NextDueAt; stored != nil && stored.After(s.Now) {
		s.NextDueAt = stored // may be early, never late
	}
}

// timers returns the queued tasks whose timer has fired, and takes the first one
// behind them for NextDueAt.
func (p *modelPool) timers(s *plan.Snapshot, timer func(*domain.Task) *time.Time) []domain.Task {
	var all []domain.Task
	for i := range p.jobs {
		if p.jobs[i].Status == domain.StatusQueued && timer(&p.jobs[i]) != nil {
			all = append(all, light(p.jobs[i]))
		}
	}
	slices.SortStableFunc(all, func(a, b domain.Task) int { return timer(&a).Compare(*timer(&b)) })
	n := 0
	for n < len(all) && n < plan.DueLimit && !timer(&all[n]).After(s.Now) {
		n++
	}
	if n < len(all) {
		next := timer(&all[n])
		s.DueCut = s.DueCut || !next.After(s.Now)
		if s.NextDueAt == nil || next.Before(*s.NextDueAt) {
			s.NextDueAt = next
		}
	}
	return all[:n:n]
}

// order returns the tasks that may start, in order.
func (p *modelPool) order() []domain.Task {
	var queue []domain.Task
	for i := range p.jobs {
		if p.jobs[i].Status == domain.StatusQueued && p.jobs[i].NotBefore == nil {
			queue = append(queue, p.jobs[i])
		}
	}
	slices.SortFunc(queue, InOrder)
	return queue
}

// InOrder compares two queued tasks by the order in which they start.
func InOrder(a, b domain.Task) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.JobID, b.JobID))
}

// newest returns the last submission of a task id.
func (p *modelPool) newest(id domain.TaskID) (domain.Task, bool) {
	for _, t := range slices.Backward(p.jobs) {
		if t.TaskID == id {
			return t, true
		}
	}
	return domain.Task{}, false
}

// TurnCommitted implements store.Turns.
func (m *Model) TurnCommitted(_ context.Context, pool domain.PoolID, turnNo int64, turnID string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.pools[pool]
	return ok && slices.ContainsFunc(p.turns, func(c domain.Counters) bool { return c.TurnNo == turnNo && c.TurnID == turnID }), nil
}

// PruneTurns implements store.Turns.
func (m *Model) PruneTurns(_ context.Context, pool domain.PoolID, keep int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.pools[pool]
	if !ok {
		return 0, nil
	}
	old := max(0, len(p.turns)-int(max(1, keep)))
	var kept []domain.Counters
	var pruned int64
	for i := range p.turns {
		if i < old && pruned < 10_000 {
			at, next := p.turns[i].At.Truncate(day), p.turns[i+1].At
			if at.Equal(next.Truncate(day)) || next.Before(m.audit) {
				pruned++
				continue
			}
		}
		kept = append(kept, p.turns[i])
	}
	p.turns = kept
	return pruned, nil
}

const day = 24 * time.Hour

// Reconcile implements store.Turns.
func (m *Model) Reconcile(_ context.Context, pool domain.PoolID) ([]store.Difference, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.pool(pool)
	if err != nil {
		return nil, err
	}
	var is domain.Counters
	tenants := make(map[domain.Tenant]domain.TenantUsage)
	for i := range p.jobs {
		t := &p.jobs[i]
		u := tenants[t.Tenant]
		switch {
		case t.Status == domain.StatusRunning:
			is.Running++
			is.ActiveUnits += t.Units
			u.ActiveUnits += t.Units
		case t.Status == domain.StatusQueued && t.NotBefore != nil:
			is.Waiting++
			u.Queued++
		case t.Status == domain.StatusQueued:
			is.Queued++
			is.QueuedBy[t.Priority]++
			u.Queued++
		}
		tenants[t.Tenant] = u
	}
	c := p.counters()
	var diffs []store.Difference
	compare := func(what string, counter, rows int64) {
		if counter != rows {
			diffs = append(diffs, store.Difference{What: what, Counter: counter, Rows: rows})
		}
	}
	compare("active_units", int64(c.ActiveUnits), int64(is.ActiveUnits))
	compare("running", c.Running, is.Running)
	compare("queued", c.Queued, is.Queued)
	for class, n := range is.QueuedBy {
		compare("queued_"+domain.Priority(class).String(), c.QueuedBy[class], n)
	}
	compare("waiting", c.Waiting, is.Waiting)
	for t := range p.tenants {
		if _, ok := tenants[t]; !ok {
			tenants[t] = domain.TenantUsage{}
		}
	}
	for _, t := range slices.Sorted(maps.Keys(tenants)) {
		compare("tenant "+string(t)+" active_units", int64(p.tenants[t].ActiveUnits), int64(tenants[t].ActiveUnits))
		compare("tenant "+string(t)+" queued", p.tenants[t].Queued, tenants[t].Queued)
	}
	return diffs, nil
}
