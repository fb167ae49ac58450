// Package plantest is the smallest store that package plan can be tried on: one
// pool in slices and maps, read and written in the most obvious way. It refuses
// what the database would refuse, and follows the audit trail as it is written.
//
// It is for tests of plan itself and for whoever wants to run turns without a
// backend (simulations, what-if runs). It is no store.Store, keeps everything for
// ever, and is not safe for concurrent use.
package plantest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// Limits bound what a snapshot shows, as a store bounds its reads.
type Limits struct {
	Candidates int  // of each lane
	Due        int  // due and rested tasks, each
	Untold     bool // leave Snapshot.LaneLimit out
}

// Model is a pool and everything that has happened in it.
type Model struct {
	Pool     domain.Pool
	Counters domain.Counters
	Tenants  map[domain.Tenant]domain.TenantUsage
	Tasks    []domain.Task // by JobID, from 1
	Events   []domain.Event
	Messages []domain.Message
	Leases   map[domain.JobID]domain.Lease
	Limits   Limits

	trail trail
}

// New returns a model of an empty pool.
func New(pool domain.Pool) *Model {
	return &Model{
		Pool: pool, Counters: domain.Counters{Ceiling: pool.MaxUnits},
		Tenants: map[domain.Tenant]domain.TenantUsage{}, Leases: map[domain.JobID]domain.Lease{},
		Limits: Limits{Candidates: plan.CandidateLimit, Due: plan.DueLimit},
		trail:  newTrail(pool.MaxUnits),
	}
}

// Turn takes one turn at now: reads, decides, writes, and checks every promise.
func (m *Model) Turn(now time.Time, req *plan.Requests) (plan.Decisions, error) {
	if req.TurnID == "" {
		req.TurnID = "turn-" + strconv.FormatInt(m.Counters.TurnNo+1, 10)
	}
	d := plan.Turn(m.Snapshot(now, req), req)
	if err := m.Apply(&d); err != nil {
		return d, err
	}
	return d, m.Check()
}

// Snapshot reads what a turn at now with these requests sees.
func (m *Model) Snapshot(now time.Time, req *plan.Requests) plan.Snapshot {
	if now.Before(m.Counters.At) {
		now = m.Counters.At
	}
	s := plan.Snapshot{
		Now: now.UTC().Truncate(time.Microsecond), Pool: m.Pool, Counters: m.Counters,
		Tenants: map[domain.Tenant]domain.TenantUsage{},
		Known:   map[domain.TaskID]domain.Task{},
		Held:    map[domain.JobID]domain.Task{},
		Leases:  map[domain.JobID]domain.Lease{},
	}
	for _, job := range req.LeasedJobs() {
		if lease, ok := m.Leases[job]; ok {
			s.Leases[job] = lease
		}
	}
	m.readNamed(&s, req)
	if !m.Limits.Untold {
		s.LaneLimit = m.Limits.Candidates
	}
	read := map[string]int{}
	for _, t := range m.Order() {
		if read[t.Lane]++; read[t.Lane] > m.Limits.Candidates {
			s.CandidatesCut = true
			continue
		}
		s.Candidates = append(s.Candidates, t)
	}
	s.Due = m.timers(&s, func(t *domain.Task) *time.Time { return t.Deadline })
	s.Rested = m.timers(&s, func(t *domain.Task) *time.Time { return t.NotBefore })
	m.readTenants(&s, req)
	return s
}

func (m *Model) readNamed(s *plan.Snapshot, req *plan.Requests) {
	know := func(id domain.TaskID) {
		if t := m.Newest(id); t != nil {
			s.Known[id] = light(t)
		}
	}
	for i := range req.Submits {
		know(req.Submits[i].TaskID)
	}
	for i := range req.Cancels {
		know(req.Cancels[i].TaskID)
	}
	for i := range req.Forces {
		know(req.Forces[i].TaskID)
	}
	hold := func(id domain.JobID) {
		if id >= 1 && int(id) <= len(m.Tasks) {
			s.Held[id] = light(&m.Tasks[id-1])
		}
	}
	for i := range req.Settles {
		hold(req.Settles[i].Ref.JobID)
	}
	for i := range req.Losts {
		hold(req.Losts[i].Ref.JobID)
	}
}

func (m *Model) readTenants(s *plan.Snapshot, req *plan.Requests) {
	know := func(tenant domain.Tenant) {
		if u, ok := m.Tenants[tenant]; ok {
			s.Tenants[tenant] = u
		}
	}
	for i := range req.Submits {
		know(req.Submits[i].Tenant)
	}
	for tenant := range m.Pool.Tenants {
		know(tenant)
	}
	for _, t := range s.Known {
		know(t.Tenant)
	}
	for _, t := range s.Held {
		know(t.Tenant)
	}
	for _, tasks := range [][]domain.Task{s.Candidates, s.Due, s.Rested} {
		for i := range tasks {
			know(tasks[i].Tenant)
		}
	}
}

// timers returns the queued tasks whose timer has fired, first ones first, and
// takes the one behind them into NextDueAt.
func (m *Model) timers(s *plan.Snapshot, timer func(*domain.Task) *time.Time) []domain.Task {
	var all []domain.Task
	for i := range m.Tasks {
		if t := &m.Tasks[i]; t.Status == domain.StatusQueued && timer(t) != nil {
			all = append(all, light(t))
		}
	}
	slices.SortStableFunc(all, func(a, b domain.Task) int { return timer(&a).Compare(*timer(&b)) })
	fired := 0
	for fired < len(all) && !timer(&all[fired]).After(s.Now) {
		fired++
	}
	if fired < len(all) {
		if next := timer(&all[fired]); s.NextDueAt == nil || next.Before(*s.NextDueAt) {
			s.NextDueAt = next
		}
	}
	if fired > m.Limits.Due {
		s.DueCut, fired = true, m.Limits.Due
	}
	return all[:fired:fired]
}

// Order returns the queued tasks that are not in a backoff, in order.
func (m *Model) Order() []domain.Task {
	var queue []domain.Task
	for i := range m.Tasks {
		if t := &m.Tasks[i]; t.Status == domain.StatusQueued && t.NotBefore == nil {
			queue = append(queue, light(t))
		}
	}
	slices.SortFunc(queue, func(a, b domain.Task) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.JobID, b.JobID))
	})
	return queue
}

// Newest returns the newest row of a task id, nil when there is none.
func (m *Model) Newest(id domain.TaskID) *domain.Task {
	for i := len(m.Tasks) - 1; i >= 0; i-- {
		if m.Tasks[i].TaskID == id {
			return &m.Tasks[i]
		}
	}
	return nil
}

// light is a task as a turn reads it.
func light(t *domain.Task) domain.Task {
	c := *t
	c.Payload, c.Result, c.Labels = nil, nil, nil
	return c
}

// Apply writes what a turn has decided. It returns an error for what a database
// would refuse, and for an audit trail that breaks a promise.
func (m *Model) Apply(d *plan.Decisions) error {
	if d.Idle {
		if len(d.Inserted)+len(d.Changed)+len(d.Events)+len(d.Messages)+len(d.Tenants)+len(d.Started)+len(d.Ended) > 0 || d.Pool != nil {
			return fmt.Errorf("an idle turn has something to write: %+v", d)
		}
		if d.Again {
			return errors.New("an idle turn asks for another one")
		}
		return nil
	}
	c := &d.Counters
	switch {
	case c.TurnNo != m.Counters.TurnNo+1:
		return fmt.Errorf("turn %d follows turn %d", c.TurnNo, m.Counters.TurnNo)
	case c.At.Before(m.Counters.At) || !c.At.Equal(d.Now):
		return fmt.Errorf("the turn of %s says %s, the last was at %s", d.Now, c.At, m.Counters.At)
	case c.ActiveUnits < 0 || c.ActiveUnits > c.Ceiling:
		return fmt.Errorf("%d units are in use under a ceiling of %d", c.ActiveUnits, c.Ceiling)
	}
	m.Counters = *c
	if d.Pool != nil {
		if d.Pool.Version <= m.Pool.Version {
			return fmt.Errorf("version %d of the pool follows version %d", d.Pool.Version, m.Pool.Version)
		}
		m.Pool = *d.Pool
	}
	for i := range m.Tasks {
		if t := &m.Tasks[i]; t.Status == domain.StatusQueued && slices.Contains(d.Relane, t.Tenant) {
			t.Lane = m.Pool.TenantLane(t.Tenant)
		}
	}
	for i := range d.Changed {
		if err := m.change(&d.Changed[i]); err != nil {
			return err
		}
	}
	for i := range d.Inserted {
		if err := m.insert(d.Inserted[i]); err != nil {
			return err
		}
	}
	if err := m.lease(d); err != nil {
		return err
	}
	for _, u := range d.Tenants {
		m.Tenants[u.Tenant] = u
	}
	for i := range d.Events {
		if err := m.trail.follow(&d.Events[i]); err != nil {
			return fmt.Errorf("event %d (%s of %s): %w", d.Events[i].Seq, d.Events[i].Kind, d.Events[i].TaskID, err)
		}
	}
	m.Events = append(m.Events, d.Events...)
	for i := range d.Messages {
		if want := int64(len(m.Messages) + 1); d.Messages[i].Seq != want {
			return fmt.Errorf("message %d comes where %d should", d.Messages[i].Seq, want)
		}
		m.Messages = append(m.Messages, d.Messages[i])
	}
	return nil
}

func (m *Model) insert(t domain.Task) error {
	if int(t.JobID) != len(m.Tasks)+1 {
		return fmt.Errorf("job %d follows job %d", t.JobID, len(m.Tasks))
	}
	want := 1
	if old := m.Newest(t.TaskID); old != nil {
		if old.Status != domain.StatusRejected {
			return fmt.Errorf("task %q is submitted again while it is %s", t.TaskID, old.Status)
		}
		want = old.Submission + 1
	}
	if t.Submission != want {
		return fmt.Errorf("submission %d of task %q comes where %d should", t.Submission, t.TaskID, want)
	}
	m.Tasks = append(m.Tasks, t)
	return m.row(&m.Tasks[len(m.Tasks)-1])
}

func (m *Model) change(c *plan.Change) error {
	if c.Task.JobID < 1 || int(c.Task.JobID) > len(m.Tasks) {
		return fmt.Errorf("there is no job %d", c.Task.JobID)
	}
	t := &m.Tasks[c.Task.JobID-1]
	if t.Status != c.FromStatus || t.Attempt != c.FromAttempt {
		return fmt.Errorf("job %d is %s in attempt %d, the change is from %s in %d", t.JobID, t.Status, t.Attempt, c.FromStatus, c.FromAttempt)
	}
	if t.Status.Terminal() {
		return fmt.Errorf("job %d is %s and changes", t.JobID, t.Status)
	}
	n := c.Task
	n.Payload, n.Labels = t.Payload, t.Labels
	*t = n
	return m.row(t)
}

// row checks what the CHECKs of pl_queue_jobs check.
func (m *Model) row(t *domain.Task) error {
	ok := t.Units >= 1 && t.Attempt >= 0 && t.Attempt <= t.MaxAttempts && t.Timeout > 0 && t.Overtaken >= 0 &&
		t.Priority >= 0 && t.Priority < domain.PriorityClasses &&
		t.Status != domain.StatusSubmitted && t.Status.Terminal() == (t.FinishedAt != nil) &&
		(t.Status != domain.StatusRunning || t.Attempt >= 1 && t.StartedAt != nil && t.NotBefore == nil) &&
		(t.Status == domain.StatusRunning || t.Holder == "" && t.RiverJobID == 0) &&
		(t.Status != domain.StatusQueued || t.Lane == m.Pool.TenantLane(t.Tenant))
	if !ok {
		return fmt.Errorf("the row cannot be like this: %+v", *t)
	}
	return nil
}

// Check compares the counters, the tenants' usage, the trail and the mailbox with the rows.
func (m *Model) Check() error {
	var c domain.Counters
	tenants := map[domain.Tenant]domain.TenantUsage{}
	var messages int
	for i := range m.Tasks {
		t := &m.Tasks[i]
		u := tenants[t.Tenant]
		switch {
		case t.Status == domain.StatusRunning:
			c.Running++
			c.ActiveUnits += t.Units
			u.ActiveUnits += t.Units
		case t.Status == domain.StatusQueued && t.NotBefore != nil:
			c.Waiting++
			u.Queued++
		case t.Status == domain.StatusQueued:
			c.Queued++
			c.QueuedBy[t.Priority]++
			u.Queued++
		case t.Mailbox != nil:
			messages++
		}
		tenants[t.Tenant] = u
		if err := m.trail.agrees(t); err != nil {
			return err
		}
		if err := m.held(t); err != nil {
			return err
		}
	}
	got := m.Counters
	if got.ActiveUnits != c.ActiveUnits || got.Running != c.Running || got.Queued != c.Queued ||
		got.QueuedBy != c.QueuedBy || got.Waiting != c.Waiting {
		return fmt.Errorf("the counters %+v do not equal the rows %+v", got, c)
	}
	if got.Ceiling != max(m.Pool.MaxUnits, got.ActiveUnits) && got.TurnNo > 0 {
		return fmt.Errorf("the ceiling is %d, max_units %d, in use %d", got.Ceiling, m.Pool.MaxUnits, got.ActiveUnits)
	}
	for tenant, u := range m.Tenants {
		if want := tenants[tenant]; u.ActiveUnits != want.ActiveUnits || u.Queued != want.Queued {
			return fmt.Errorf("the usage %+v of a tenant does not equal its rows %+v", u, want)
		}
		delete(tenants, tenant)
	}
	for tenant, u := range tenants {
		if u.ActiveUnits != 0 || u.Queued != 0 {
			return fmt.Errorf("tenant %q has rows and no usage", tenant)
		}
	}
	if len(m.Messages) != messages {
		return fmt.Errorf("there are %d messages for %d outcomes with a mailbox", len(m.Messages), messages)
	}
	return m.checkTimer()
}

// checkTimer checks that the stored timer fires in time for every queued task.
func (m *Model) checkTimer() error {
	next := m.Counters.NextDueAt
	for i := range m.Tasks {
		t := &m.Tasks[i]
		if t.Status != domain.StatusQueued {
			continue
		}
		for _, at := range []*time.Time{t.Deadline, t.NotBefore} {
			if at != nil && at.After(m.Counters.At) && (next == nil || next.After(*at)) {
				return fmt.Errorf("job %d is due at %s, the timer stands at %v", t.JobID, at, next)
			}
		}
	}
	return nil
}
