package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// CreatePool implements store.Pools.
func (m *Model) CreatePool(_ context.Context, pool domain.Pool, now time.Time) (domain.Pool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p, ok := m.pools[pool.PoolID]; ok {
		return p.pool, nil
	}
	if pool.MaxUnits < 0 || pool.MaxQueueDepth < 0 || pool.DefaultTimeout <= 0 || pool.MaxAttempts < 1 ||
		pool.State == "" || pool.Policy == "" || pool.ResourceKind == "" || !storable(pool.Name) {
		return domain.Pool{}, fmt.Errorf("%w: pool %+v", store.ErrData, pool)
	}
	pool.Version = 1
	m.pools[pool.PoolID] = &modelPool{
		pool: pool, created: m.clock(now), turns: []domain.Counters{{At: m.clock(now), Ceiling: pool.MaxUnits}},
		tenants: make(map[domain.Tenant]domain.TenantUsage), leases: make(map[domain.JobID]domain.Lease),
	}
	return pool, nil
}

// Pool implements store.Pools.
func (m *Model) Pool(_ context.Context, id domain.PoolID) (store.PoolView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.pool(id)
	if err != nil {
		return store.PoolView{}, err
	}
	return p.view(), nil
}

func (p *modelPool) view() store.PoolView {
	v := store.PoolView{Pool: p.pool, Counters: p.counters()}
	for i := range p.jobs {
		if p.jobs[i].Status == domain.StatusQueued {
			at := p.jobs[i].CreatedAt
			v.OldestQueuedAt = &at
			break
		}
	}
	return v
}

// ListPools implements store.Pools.
func (m *Model) ListPools(context.Context) ([]store.PoolView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var views []store.PoolView
	for _, id := range slices.Sorted(maps.Keys(m.pools)) {
		views = append(views, m.pools[id].view())
	}
	return views, nil
}

// TenantUsages implements store.Pools.
func (m *Model) TenantUsages(_ context.Context, id domain.PoolID) ([]domain.TenantUsage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.pools[id]
	if !ok {
		return nil, nil
	}
	return slices.SortedFunc(maps.Values(p.tenants), func(a, b domain.TenantUsage) int { return cmp.Compare(a.Tenant, b.Tenant) }), nil
}

// Task implements store.Tasks.
func (m *Model) Task(_ context.Context, pool domain.PoolID, id domain.TaskID) (domain.Task, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p, ok := m.pools[pool]; ok {
		if t, ok := p.newest(id); ok {
			t.Payload = nil
			return t, nil
		}
	}
	return domain.Task{}, fmt.Errorf("task %q: %w", id, store.ErrNotFound)
}

// ListTasks implements store.Tasks.
func (m *Model) ListTasks(_ context.Context, f store.TaskFilter) ([]domain.Task, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var tasks []domain.Task
	for id, p := range m.pools {
		for i := range p.jobs {
			t := p.jobs[i]
			if (f.Pool == "" || f.Pool == id) && (f.Status == "" || f.Status == t.Status) && (f.Tenant == "" || f.Tenant == t.Tenant) &&
				(f.Before == 0 || t.JobID < f.Before) && (f.Label[0] == "" || hasLabel(&t, f.Label)) {
				t.Payload, t.Result = nil, nil
				tasks = append(tasks, t)
			}
		}
	}
	slices.SortFunc(tasks, func(a, b domain.Task) int {
		if a.PoolID == b.PoolID {
			return cmp.Compare(b.JobID, a.JobID)
		}
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.PoolID, b.PoolID))
	})
	return tasks[:min(len(tasks), f.Limit)], nil
}

func hasLabel(t *domain.Task, label [2]string) bool {
	v, ok := t.Labels[label[0]]
	return ok && v == label[1]
}

// Attempts implements store.Tasks.
func (m *Model) Attempts(_ context.Context, refs []domain.Ref) (map[domain.Ref]domain.Task, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	live := make(map[domain.Ref]domain.Task)
	for _, ref := range refs {
		if p, ok := m.pools[ref.PoolID]; ok && ref.JobID >= 1 && int(ref.JobID) <= len(p.jobs) {
			if t := p.jobs[ref.JobID-1]; t.Status == domain.StatusRunning && t.Attempt == ref.Attempt {
				t.Result = nil
				live[ref] = t
			}
		}
	}
	return live, nil
}

// Payloads implements store.Tasks.
func (m *Model) Payloads(_ context.Context, pool domain.PoolID, jobs []domain.JobID) (map[domain.JobID][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	payloads := make(map[domain.JobID][]byte)
	p, ok := m.pools[pool]
	for _, id := range jobs {
		if ok && id >= 1 && int(id) <= len(p.jobs) && p.jobs[id-1].Payload != nil {
			payloads[id] = p.jobs[id-1].Payload
		}
	}
	return payloads, nil
}

// Labels implements store.Labels.
func (m *Model) Labels(_ context.Context, pool domain.PoolID, jobs []domain.JobID) (map[domain.JobID]map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	labels := make(map[domain.JobID]map[string]string)
	p, ok := m.pools[pool]
	for _, id := range jobs {
		if ok && id >= 1 && int(id) <= len(p.jobs) && len(p.jobs[id-1].Labels) > 0 {
			labels[id] = p.jobs[id-1].Labels
		}
	}
	return labels, nil
}

// RecentCounters implements store.Pools.
func (m *Model) RecentCounters(_ context.Context, id domain.PoolID, limit int) ([]domain.Counters, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.pools[id]
	if !ok {
		return nil, nil
	}
	return slices.Clone(p.turns[max(0, len(p.turns)-limit):]), nil
}

// Position implements store.Tasks.
func (m *Model) Position(_ context.Context, pool domain.PoolID, job domain.JobID) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p, ok := m.pools[pool]; ok {
		return p.position(job), nil
	}
	return 0, nil
}

func (p *modelPool) position(job domain.JobID) int64 {
	return int64(slices.IndexFunc(p.order(), func(t domain.Task) bool { return t.JobID == job })) + 1
}

// Scene implements store.Tasks.
func (m *Model) Scene(_ context.Context, pool domain.PoolID, id domain.TaskID, now time.Time) (plan.Scene, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.pools[pool]
	if !ok {
		return plan.Scene{}, fmt.Errorf("task %q: %w", id, store.ErrNotFound)
	}
	task, ok := p.newest(id)
	if !ok {
		return plan.Scene{}, fmt.Errorf("task %q: %w", id, store.ErrNotFound)
	}
	scene := plan.Scene{Task: light(task), Position: p.position(task.JobID)}
	s := &scene.Snapshot
	s.Now, s.Pool, s.Counters, s.LaneLimit = m.clock(now), p.pool, p.counters(), plan.CandidateLimit
	if s.Now.Before(s.Counters.At) {
		s.Now = s.Counters.At
	}
	names := map[domain.Tenant]bool{task.Tenant: true}
	for tenant, policy := range p.pool.Tenants {
		if policy.MaxUnits > 0 || policy.MaxQueueDepth > 0 {
			names[tenant] = true
		}
	}
	read := map[string]int{}
	for _, t := range p.order() {
		if read[t.Lane]++; read[t.Lane] > plan.CandidateLimit {
			s.CandidatesCut = true
			continue
		}
		names[t.Tenant] = true
		s.Candidates = append(s.Candidates, light(t))
	}
	s.Tenants = map[domain.Tenant]domain.TenantUsage{}
	for tenant := range names {
		if u, ok := p.tenants[tenant]; ok {
			s.Tenants[tenant] = u
		}
	}
	for i := range p.jobs {
		if p.jobs[i].Status == domain.StatusRunning && len(scene.Holders) < store.SceneHolders {
			scene.Holders = append(scene.Holders, light(p.jobs[i]))
		}
	}
	return scene, nil
}

// Held implements store.Tasks.
func (m *Model) Held(_ context.Context, pool domain.PoolID, holder domain.WorkerID, after domain.JobID, limit int) ([]domain.Task, error) {
	return m.running(pool, after, limit, func(t *domain.Task) bool { return holder == "" || t.Holder == holder })
}

func (m *Model) running(pool domain.PoolID, after domain.JobID, limit int, want func(*domain.Task) bool) ([]domain.Task, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var tasks []domain.Task
	p, ok := m.pools[pool]
	if !ok {
		return nil, nil
	}
	for i := range p.jobs {
		t := &p.jobs[i]
		if t.Status == domain.StatusRunning && t.JobID > after && want(t) && len(tasks) < limit {
			tasks = append(tasks, light(*t))
		}
	}
	return tasks, nil
}

// Events implements store.Audit.
func (m *Model) Events(_ context.Context, f store.EventFilter) ([]domain.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f.From, f.To = f.From.Truncate(time.Microsecond), f.To.Truncate(time.Microsecond)
	streams := make(map[domain.Source][]domain.Event)
	for source, events := range m.events {
		for i := range events {
			e := events[i]
			if (f.Pool == "" || f.Pool == e.PoolID) && (f.TaskID == "" || f.TaskID == e.TaskID) &&
				(f.Tenant == "" || f.Tenant == e.Tenant) && (f.Kind == "" || f.Kind == e.Kind) &&
				(f.Subject == "" || slices.Contains(e.Subjects, f.Subject)) &&
				(f.From.IsZero() || !e.At.Before(f.From)) && (f.To.IsZero() || e.At.Before(f.To)) && e.Seq > f.Cursor[source] {
				streams[source] = append(streams[source], e)
			}
		}
	}
	return mergeStreams(streams, f.Limit, func(e *domain.Event) time.Time { return e.At }), nil
}

// mergeStreams merges streams by (time, source), each in its own order.
func mergeStreams[T any](streams map[domain.Source][]T, limit int, at func(*T) time.Time) []T {
	var merged []T
	for len(merged) < limit {
		var first domain.Source
		found := false
		for _, source := range slices.Sorted(maps.Keys(streams)) {
			s := streams[source]
			if len(s) > 0 && (!found || at(&s[0]).Before(at(&streams[first][0]))) {
				first, found = source, true
			}
		}
		if !found {
			break
		}
		merged = append(merged, streams[first][0])
		streams[first] = streams[first][1:]
	}
	return merged
}

// EventHeads implements store.Audit.
func (m *Model) EventHeads(context.Context) (domain.Cursor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	heads := domain.Cursor{}
	for source, events := range m.events {
		if len(events) > 0 {
			heads[source] = events[len(events)-1].Seq
		}
	}
	return heads, nil
}

// EnsureAudit implements store.Audit.
func (m *Model) EnsureAudit(context.Context, time.Time) error { return nil }
