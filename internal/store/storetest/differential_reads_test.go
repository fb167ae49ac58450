package storetest_test

import (
	"maps"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// compare reads everything that a turn of pool may have changed, everywhere.
func (d *differential) compare(pool domain.PoolID) {
	d.t.Helper()
	ctx := d.t.Context()
	same(d, func(s store.Store) (store.PoolView, error) { return s.Pool(ctx, pool) })
	same(d, func(s store.Store) ([]domain.TenantUsage, error) { return s.TenantUsages(ctx, pool) })
	same(d, func(s store.Store) ([]domain.Counters, error) { return s.RecentCounters(ctx, pool, 3) })
	diffs := same(d, func(s store.Store) ([]store.Difference, error) { return s.Reconcile(ctx, pool) })
	require.Empty(d.t, diffs)
	if d.turnNo%4 == 0 {
		d.compareStreams()
	}
	same(d, func(s store.Store) ([]domain.Task, error) {
		return s.ListTasks(ctx, store.TaskFilter{Pool: pool, Limit: 40}) // the newest rows, whole
	})
	for range 3 {
		d.compareOne(pool)
	}
}

// compareStreams reads what came to the trail and the mailboxes since the last time.
func (d *differential) compareStreams() {
	ctx := d.t.Context()
	for {
		events := same(d, func(s store.Store) ([]domain.Event, error) {
			return s.Events(ctx, store.EventFilter{Cursor: d.cursor, Limit: 200})
		})
		for i := range events {
			require.Equal(d.t, d.cursor[events[i].Source]+1, events[i].Seq, "the trail has a gap")
			d.cursor[events[i].Source] = events[i].Seq
		}
		if len(events) == 0 {
			break
		}
	}
	for _, tenant := range tenants {
		messages := same(d, func(s store.Store) ([]domain.Message, error) {
			return s.Messages(ctx, store.MailboxFilter{Tenant: tenant, AllUsers: true, Cursor: d.mailbox, Limit: 500})
		})
		require.Less(d.t, len(messages), 500)
	}
	view := same(d, func(s store.Store) ([]store.PoolView, error) { return s.ListPools(ctx) })
	for i := range view {
		d.mailbox[domain.Source(view[i].PoolID)] = view[i].MessageSeq
	}
	same(d, func(s store.Store) ([]domain.Message, error) { return s.Outbox(ctx, 100) })
}

// compareOne performs one read with random arguments.
func (d *differential) compareOne(pool domain.PoolID) {
	ctx := d.t.Context()
	jobs := d.someJobs(d.t, d.model, pool)
	job := jobs[0]
	switch d.rand.IntN(10) {
	case 0:
		same(d, func(s store.Store) (domain.Task, error) { return s.Task(ctx, pool, d.lastID) })
	case 1:
		f := store.TaskFilter{Pool: pool, Before: domain.JobID(d.rand.IntN(int(job) + 2)), Limit: 1 + d.rand.IntN(30)}
		if d.rand.IntN(2) == 0 {
			f.Status = oneOf(d.rand, domain.Statuses())
		}
		if d.rand.IntN(2) == 0 {
			f.Tenant = oneOf(d.rand, tenants)
		}
		if d.rand.IntN(2) == 0 {
			f.Label = [2]string{"shade", oneOf(d.rand, shades)}
		}
		same(d, func(s store.Store) ([]domain.Task, error) { return s.ListTasks(ctx, f) })
	case 2:
		refs := make([]domain.Ref, len(jobs))
		for i, id := range jobs {
			refs[i] = domain.Ref{PoolID: pool, JobID: id, Attempt: d.rand.IntN(3)}
		}
		same(d, func(s store.Store) (map[domain.Ref]domain.Task, error) { return s.Attempts(ctx, refs) })
	case 3:
		same(d, func(s store.Store) (map[domain.JobID][]byte, error) { return s.Payloads(ctx, pool, jobs) })
	case 4:
		for _, id := range jobs {
			same(d, func(s store.Store) (int64, error) { return s.Position(ctx, pool, id) })
		}
		same(d, func(s store.Store) (plan.Scene, error) { return s.Scene(ctx, pool, d.lastID, d.clock.Now()) })
	case 5:
		holder := oneOf(d.rand, append(workers, ""))
		same(d, func(s store.Store) ([]domain.Task, error) { return s.Held(ctx, pool, holder, job, 1+d.rand0(5)) })
	case 6:
		same(d, func(s store.Store) ([]domain.Task, error) { return s.Orphans(ctx, pool, job/2, 10) })
	case 7:
		f := store.EventFilter{Limit: 1 + d.rand.IntN(60)}
		d.filter(&f, pool)
		same(d, func(s store.Store) ([]domain.Event, error) { return s.Events(ctx, f) })
	case 8:
		f := store.MailboxFilter{Tenant: oneOf(d.rand, tenants), UserID: oneOf(d.rand, users), Limit: 1 + d.rand.IntN(20)}
		if d.rand.IntN(2) == 0 {
			session := oneOf(d.rand, []string{"", "s1", "s2"})
			f.SessionID = &session
		}
		if d.rand.IntN(2) == 0 {
			f.Since = d.clock.Now().Add(-time.Duration(d.rand.IntN(600)) * time.Second)
		}
		same(d, func(s store.Store) ([]domain.Message, error) { return s.Messages(ctx, f) })
		same(d, func(s store.Store) ([]store.Posted, error) {
			return s.PostedMessages(ctx, store.PostedFilter{Cursor: domain.Cursor{domain.Source(pool): int64(job)}, MaxPayload: 20, Limit: f.Limit})
		})
	default:
		no := int64(d.rand.IntN(d.turnNo + 1))
		same(d, func(s store.Store) (bool, error) { return s.TurnCommitted(ctx, pool, no, "turn-1") })
		same(d, func(s store.Store) (map[domain.JobID]map[string]string, error) {
			return s.(store.Labels).Labels(ctx, pool, jobs)
		})
	}
}

// rand0 is the same small number for every store that asks during one read.
func (d *differential) rand0(n int) int { return d.op % n }

// filter sets some fields of an event filter.
func (d *differential) filter(f *store.EventFilter, pool domain.PoolID) {
	switch d.rand.IntN(5) {
	case 0:
		f.TaskID = d.lastID
	case 1:
		f.Tenant = oneOf(d.rand, tenants)
	case 2:
		f.Pool = pool
	case 3:
		f.Subject = "tenant:" + string(oneOf(d.rand, tenants))
	}
	if d.rand.IntN(3) == 0 {
		f.Kind = oneOf(d.rand, []domain.EventKind{domain.EventStart, domain.EventReject, domain.EventExpire, domain.EventPoolChange})
	}
	if d.rand.IntN(3) == 0 {
		f.From = d.clock.Now().Add(-time.Duration(d.rand.IntN(900)) * time.Second)
		f.To = f.From.Add(time.Duration(d.rand.IntN(600)) * time.Second)
	}
}

// workers does something to the register of processes.
func (d *differential) workers() {
	ctx, now := d.t.Context(), d.clock.Now()
	id := oneOf(d.rand, workers)
	switch d.rand.IntN(6) {
	case 0:
		ttl := time.Duration(d.rand.IntN(60)) * time.Second
		same(d, func(s store.Store) ([]store.Worker, error) { return s.Reap(ctx, ttl, now) })
	case 1:
		same(d, func(s store.Store) (bool, error) { return true, s.Forget(ctx, id) })
	case 2:
		pool, keep := d.pick(), int64(1+d.rand.IntN(50))
		same(d, func(s store.Store) (int64, error) { return s.PruneTurns(ctx, pool, keep) })
	default:
		w := store.Worker{ID: id, Role: "serve", Host: "höst", PID: 7, StartedAt: now}
		same(d, func(s store.Store) (bool, error) { return true, s.Heartbeat(ctx, w, now) })
	}
	same(d, func(s store.Store) ([]store.Worker, error) { return s.ListWorkers(ctx) })
}

// deliver moves messages out of the outbox, and some of another backend in.
func (d *differential) deliver() {
	ctx := d.t.Context()
	waiting := same(d, func(s store.Store) ([]domain.Message, error) { return s.Outbox(ctx, 1+d.rand0(7)) })
	same(d, func(s store.Store) (bool, error) { return true, s.OutboxDone(ctx, waiting) })
	for i := range waiting { // as if they came back from a backend of another name
		waiting[i].Source, waiting[i].PoolID = "far:"+waiting[i].Source, "far:"+waiting[i].PoolID
	}
	for range 2 { // at least once
		same(d, func(s store.Store) (bool, error) { return true, s.PutMessages(ctx, waiting) })
	}
	for i := range waiting {
		f := store.MailboxFilter{Tenant: waiting[i].Mailbox.Tenant, AllUsers: true, Since: waiting[i].CreatedAt, Limit: 50}
		same(d, func(s store.Store) ([]domain.Message, error) { return s.Messages(ctx, f) })
	}
}

// acknowledge acknowledges some of a mailbox through one of its keys.
func (d *differential) acknowledge() {
	ctx, now := d.t.Context(), d.clock.Now()
	f := store.MailboxFilter{Tenant: oneOf(d.rand, tenants), UserID: oneOf(d.rand, users), AllUsers: d.rand.IntN(3) == 0}
	if d.rand.IntN(2) == 0 {
		f.SessionID = new(oneOf(d.rand, []string{"", "s1", "s2"}))
	}
	if d.rand.IntN(3) == 0 {
		f.Since = now.Add(-time.Duration(d.rand.IntN(600)) * time.Second)
	}
	heads := same(d, func(s store.Store) (domain.Cursor, error) { return s.MessageHeads(ctx) })
	upTo := domain.Cursor{}
	for _, source := range slices.Sorted(maps.Keys(heads)) { // in order, so that a seed tells the run
		upTo[source] = heads[source] - int64(d.rand.IntN(4))
	}
	same(d, func(s store.Store) (int64, error) { return s.Acknowledge(ctx, f, upTo, now) })
}

// localized returns the pool with the model's backends named as those of backend:
// its own, and another one.
func localized(p domain.Pool, backend domain.Backend) domain.Pool {
	p.QueueBackend = backend
	switch p.MailboxBackend {
	case domain.BackendMemory:
		p.MailboxBackend = backend
	case backend:
		p.MailboxBackend = domain.BackendMemory
	}
	return p
}

// decisionsFor copies decisions for a store, which may fill in fields of them.
func decisionsFor(d plan.Decisions, backend domain.Backend) plan.Decisions {
	d.Inserted, d.Changed, d.Started = slices.Clone(d.Inserted), slices.Clone(d.Changed), slices.Clone(d.Started)
	if d.Pool != nil {
		p := localized(*d.Pool, backend)
		d.Pool = &p
	}
	return d
}

// tidy makes what is the same compare as equal: backends are called by the model's
// names, and a list without anything in it is nil.
func tidy(s store.Store, v any) any {
	pool := func(p domain.Pool) domain.Pool {
		remote := p.MailboxBackend != s.Backend()
		p.QueueBackend, p.MailboxBackend = domain.BackendMemory, domain.BackendMemory
		if remote {
			p.MailboxBackend = elsewhere
		}
		if len(p.Tenants) == 0 {
			p.Tenants = nil
		}
		if len(p.Executors) == 0 {
			p.Executors = nil
		}
		return p
	}
	switch v := v.(type) {
	case domain.Pool:
		return pool(v)
	case store.PoolView:
		v.Pool = pool(v.Pool)
		return v
	case []store.PoolView:
		for i := range v {
			v[i].Pool = pool(v[i].Pool)
		}
		return v
	case []domain.Event:
		for i := range v {
			if len(v[i].Subjects) == 0 {
				v[i].Subjects = nil
			}
		}
		return slices.Concat(v)
	case []domain.Message:
		return slices.Concat(v)
	case []store.Posted:
		return slices.Concat(v)
	case domain.Task:
		return tidyTask(v)
	case []domain.Task:
		v = slices.Concat(v)
		for i := range v {
			v[i] = tidyTask(v[i])
		}
		return v
	case plan.Scene:
		v.Pool, v.Task, v.Known, v.Held = pool(v.Pool), tidyTask(v.Task), nil, nil
		v.Candidates, v.Holders = slices.Concat(v.Candidates), slices.Concat(v.Holders)
		return v
	case []domain.Counters:
		return slices.Concat(v)
	case []domain.TenantUsage:
		return slices.Concat(v)
	case []store.Difference:
		return slices.Concat(v)
	case []store.Worker:
		return slices.Concat(v)
	}
	return v
}

func tidyTask(t domain.Task) domain.Task {
	if len(t.Labels) == 0 {
		t.Labels = nil
	}
	return t
}
