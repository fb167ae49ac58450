package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// scans is what the server counted on a table.
type scans struct{ sequential, fetched int64 }

// scansOf reads the server's counts, which sessions hand in when they end.
func (b *bundle) scansOf(t *testing.T, like string) scans {
	t.Helper()
	b.exec(t, "SELECT pg_sleep(0.2)")
	var s scans
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `
		SELECT coalesce(sum(s.seq_scan), 0)::bigint, coalesce(sum(s.idx_tup_fetch + s.seq_tup_read), 0)::bigint
		FROM pg_stat_user_tables AS s WHERE s.relname LIKE $1`, like).Scan(&s.sequential, &s.fetched))
	return s
}

// Statements prepared while the tables were empty, and never analyzed since, still walk
// indexes once there are 200,000 queued tasks: nothing scans, and what a turn
// fetches does not grow with the queue.
func TestPlansStayGoodAtSize(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	b := &bundle{Store: open(t, db, postgres.Options{MaxConns: 1}), db: db}
	for _, table := range []string{"pl_queue_jobs", "pl_queued_jobs", "pl_running_jobs", "pl_pool_turns", "pl_tenants"} {
		b.exec(t, "ALTER TABLE "+table+" SET (autovacuum_enabled = off)")
	}
	b.pool(t, "p", func(p *domain.Pool) {
		p.Tenants = map[domain.Tenant]domain.TenantPolicy{"capped": {MaxUnits: 2}, "idle": {MaxUnits: 2}}
	})
	// A working store with a connection of its own, prepared on nothing.
	worker, err := postgres.Open(t.Context(), postgres.Options{URL: db.URL, Schema: db.Schema, MaxConns: 1})
	require.NoError(t, err)
	w := &bundle{Store: worker, db: db}
	cycle := func(prefix string) {
		far := time.Now().Add(time.Hour)
		d := w.turn(t, plan.Requests{Submits: tasks(prefix, 3, func(s *plan.Submit) { s.Deadline = &far })})
		d = w.turn(t, plan.Requests{Settles: settled(d.Started)})
		w.turn(t, plan.Requests{Settles: settled(d.Started), Cancels: []plan.Cancel{{TaskID: domain.TaskID(prefix + "-0")}}})
	}
	for i := range 10 { // past the five executions after which the server keeps a generic plan
		cycle(fmt.Sprint("small", i))
	}
	const queued = 200_000
	b.exec(t, `
		INSERT INTO pl_queue_jobs (pool_id, job_id, task_id, submission, body_hash, tenant, requested_priority, priority, lane, rank,
		    resource_kind, resource_units, status, attempt, max_attempts, executor, timeout_ms, created_at, deadline)
		SELECT 'p', 1000 + g, 'bulk-' || g, 1, '', CASE g % 4 WHEN 0 THEN 'capped' ELSE 'acme' END, g % 4, g % 4,
		       CASE g % 4 WHEN 0 THEN 'capped' ELSE '' END, 1000 + g, 'cpu', 1, 'queued', 0, 1, 'default', 60000, now(), now() + interval '1 day'
		FROM generate_series(1, $1::int) AS g`, queued)
	b.exec(t, `INSERT INTO pl_queued_jobs (pool_id, job_id, tenant, lane, priority, rank, deadline)
		SELECT pool_id, job_id, tenant, lane, priority, rank, deadline FROM pl_queue_jobs WHERE task_id LIKE 'bulk-%'`)
	b.exec(t, `
		INSERT INTO pl_pool_turns
		SELECT pool_id, turn_no + 1, 'bulk', now(), active_units, ceiling, running, $1::int, $1 / 4, $1 / 4, $1 / 4, $1 / 4,
		       waiting, virtual_time, 1000 + $1, 1000 + $1, event_seq, message_seq, now() + interval '1 day'
		FROM pl_pool_turns ORDER BY turn_no DESC LIMIT 1`, queued)
	b.exec(t, `INSERT INTO pl_tenants SELECT 'p', x.tenant, (SELECT max(turn_no) FROM pl_pool_turns), 0, x.n, 0
		FROM (VALUES ('capped', $1::int / 4), ('acme', $1 - $1 / 4)) AS x (tenant, n)`, queued)
	before, queue := b.scansOf(t, "pl_queue_jobs"), b.scansOf(t, "pl_queued_jobs")
	const cycles = 20
	for i := range cycles {
		cycle(fmt.Sprint("large", i))
	}
	_, err = w.Scene(t.Context(), "p", "bulk-100000", time.Now())
	require.NoError(t, err)
	_, err = w.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.NoError(t, worker.Close()) // its session hands in its counts
	require.Eventually(t, func() bool { return b.scansOf(t, "pl_queue_jobs").fetched > before.fetched }, 10*time.Second, 100*time.Millisecond)
	after := b.scansOf(t, "pl_queue_jobs")
	require.Zero(t, after.sequential-before.sequential, "sequential scans of pl_queue_jobs")
	require.Less(t, (after.fetched-before.fetched)/(3*cycles), int64(1500), "rows fetched a turn")
	now := b.scansOf(t, "pl_queued_jobs")
	require.Zero(t, now.sequential-queue.sequential, "sequential scans of pl_queued_jobs")
	require.Less(t, (now.fetched-queue.fetched)/(3*cycles), int64(1500), "entries of the queue fetched a turn")
	b.agrees(t)
}

// A transaction held open elsewhere keeps every version of every row. Turns do not walk
// over what has left the queue, nor over old counters and usages.
func TestATransactionHeldOpenDoesNotSlowTurns(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{}, func(p *domain.Pool) { p.MaxUnits = 100 })
	holder, err := b.db.Pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	defer func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = holder.Exec(t.Context(), "SELECT FROM pl_queue_jobs")
	require.NoError(t, err)

	d := b.turn(t, plan.Requests{Submits: tasks("a", 2000)})
	for range 15 {
		d = b.turn(t, plan.Requests{Settles: settled(d.Started)})
		require.Len(t, d.Started, 100)
	}
	// 1,600 have left the front of the queue, each with a dead entry in the index.
	rows, err := b.db.Pool.Query(t.Context(), `EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, FORMAT JSON)
		SELECT j.job_id FROM pl_queued_jobs AS j, (SELECT head_normal FROM pl_pool_turns ORDER BY turn_no DESC LIMIT 1) AS t
		WHERE j.pool_id = 'p' AND j.lane = '' AND j.not_before IS NULL AND j.priority = 1 AND j.rank >= t.head_normal
		ORDER BY j.rank, j.job_id LIMIT 10`)
	require.NoError(t, err)
	plans, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[[]map[string]any])
	require.NoError(t, err)
	node := plans[0]["Plan"].(map[string]any)
	require.Less(t, node["Shared Hit Blocks"].(float64)+node["Shared Read Blocks"].(float64), 100.0, "%v", plans)
	require.EqualValues(t, 1601, b.value(t, "SELECT head_normal FROM pl_pool_turns ORDER BY turn_no DESC LIMIT 1"))
	b.agrees(t)
}

// Whatever happens, no queued task is below the head of its class: it would never
// be read.
func TestHeadsHideNobody(t *testing.T) {
	t.Parallel()
	for _, policy := range []domain.PriorityPolicy{domain.PolicyFIFO, domain.PolicyPriority, domain.PolicyFair, domain.PolicyDeadline} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			now := time.Date(2031, time.March, 1, 12, 0, 0, 0, time.UTC)
			b := setup(t, postgres.Options{Now: func() time.Time { return now }}, func(p *domain.Pool) {
				p.Policy, p.MaxUnits, p.MaxAttempts = policy, 12, 3
				p.Tenants = map[domain.Tenant]domain.TenantPolicy{"t0": {MaxUnits: 3}, "t1": {Weight: 5}}
			})
			rng := rand.New(rand.NewPCG(1, 2))
			var running []domain.Task
			n := 0
			for i := range 120 {
				now = now.Add(time.Duration(rng.IntN(1500)) * time.Millisecond)
				rq := plan.Requests{NoStart: rng.IntN(8) == 0}
				for range rng.IntN(6) {
					n++
					rq.Submits = append(rq.Submits, tasks(fmt.Sprint("r", n), 1, func(s *plan.Submit) {
						s.Units, s.Priority = domain.Units(1+rng.IntN(3)), domain.Priority(rng.IntN(4))
						s.Tenant = domain.Tenant(fmt.Sprint("t", rng.IntN(4)))
						if rng.IntN(2) == 0 {
							at := now.Add(time.Duration(1+rng.IntN(60)) * time.Second)
							s.Deadline = &at
						}
					})...)
				}
				if n > 0 && rng.IntN(5) == 0 {
					rq.Cancels = append(rq.Cancels, plan.Cancel{TaskID: domain.TaskID(fmt.Sprintf("r%d-0", 1+rng.IntN(n)))})
				}
				var keep []domain.Task
				for _, task := range running {
					if rng.IntN(3) > 0 {
						keep = append(keep, task)
						continue
					}
					settle := settled([]domain.Task{task})
					if rng.IntN(3) == 0 {
						settle[0].Verdict, settle[0].Retryable = plan.VerdictFailed, true
					}
					rq.Settles = append(rq.Settles, settle...)
				}
				if i%40 == 39 {
					limit := domain.Units(8 + rng.IntN(8))
					rq.Changes = append(rq.Changes, plan.PoolChange{MaxUnits: &limit, Actor: "test"})
				}
				running = slices.Concat(keep, b.turn(t, rq).Started)
				require.Zero(t, b.value(t, `
					SELECT count(*) FROM pl_queue_jobs AS j, (SELECT * FROM pl_pool_turns ORDER BY turn_no DESC LIMIT 1) AS h
					WHERE j.status = 'queued' AND j.not_before IS NULL
					  AND j.rank < (ARRAY[h.head_low, h.head_normal, h.head_high, h.head_critical])[j.priority + 1]`), "turn %d", i)
				require.Zero(t, b.value(t, `
					SELECT count(*) FROM pl_queue_jobs AS j, (SELECT * FROM pl_pool_turns ORDER BY turn_no DESC LIMIT 1) AS h
					WHERE j.status = 'queued' AND (j.deadline < h.next_due_at OR j.not_before < h.next_due_at
					  OR h.next_due_at IS NULL AND (j.deadline IS NOT NULL OR j.not_before IS NOT NULL))`), "timers of turn %d", i)
			}
			b.agrees(t)
		})
	}
}

// Readers of events and messages seek: what they fetch depends on what they return, not
// on how much there is, and a range of time reads its partitions only.
func TestReadersSeek(t *testing.T) {
	t.Parallel()
	now := time.Date(2031, time.March, 5, 0, 0, 0, 0, time.UTC)
	b := setup(t, postgres.Options{Now: func() time.Time { return now }})
	const perSource = 40_000
	for _, source := range []string{"p", "q", "r"} {
		b.exec(t, `INSERT INTO pl_sources (source, created_at) VALUES ($1, now()) ON CONFLICT DO NOTHING`, source)
		b.exec(t, `INSERT INTO pl_audit_events (source, seq, at, kind, pool_id, task_id, tenant, subjects)
			SELECT $1, g, $2::timestamptz - interval '1 day' + g * interval '10 seconds', CASE g WHEN 39000 THEN 'lost' ELSE 'submit' END, $1, 't' || g,
			       CASE g % 8000 WHEN 0 THEN 'tiny' ELSE 'acme' END, CASE g % 9000 WHEN 0 THEN ARRAY['task:t' || g, 'vehicle:v'] END
			FROM generate_series(1, $3::int) AS g`, source, now, perSource)
		b.exec(t, `SELECT pl_audit_summarise($1, $2::int / 256, $3)`, source, perSource, now.AddDate(0, 0, 5))
		b.exec(t, `INSERT INTO pl_mailbox_messages (source, seq, tenant, user_id, task_id, pool_id, submission, status, created_at)
			SELECT $1, g, 'acme', 'u' || g % 10, 't' || g, $1, 1, 'completed', $2::timestamptz - interval '1 day' + g * interval '10 seconds'
			FROM generate_series(1, $3::int) AS g`, source, now, perSource)
	}
	b.exec(t, "ANALYZE pl_audit_events, pl_mailbox_messages, pl_sources")
	reads := func(s *postgres.Store, name string, f func() int) {
		before := b.scansOf(t, "pl_audit_events%").fetched + b.scansOf(t, "pl_mailbox%").fetched
		require.Positive(t, f(), name)
		require.NoError(t, s.Close())
		time.Sleep(300 * time.Millisecond)
		fetched := b.scansOf(t, "pl_audit_events%").fetched + b.scansOf(t, "pl_mailbox%").fetched - before
		require.Less(t, fetched, int64(2000), name)
	}
	fresh := func() *postgres.Store {
		s, err := postgres.Open(t.Context(), postgres.Options{URL: b.db.URL, Schema: b.db.Schema, Now: func() time.Time { return now }})
		require.NoError(t, err)
		return s
	}
	middle := domain.Cursor{"p": perSource / 2, "q": perSource / 2, "r": perSource / 2}
	events := func(name string, f store.EventFilter) {
		s := fresh()
		reads(s, name, func() int {
			list, err := s.Events(t.Context(), f)
			require.NoError(t, err)
			return len(list)
		})
	}
	events("all from a cursor", store.EventFilter{Cursor: middle, Limit: 100})
	events("of a tenant", store.EventFilter{Tenant: "acme", Cursor: middle, Limit: 100})
	events("of a task", store.EventFilter{TaskID: "t30000", Limit: 100})
	events("of a subject", store.EventFilter{Subject: "task:t30000", Limit: 100})
	events("of a tiny tenant", store.EventFilter{Tenant: "tiny", Pool: "q", Limit: 100})
	events("of a rare kind", store.EventFilter{Kind: domain.EventLost, Limit: 100})
	events("of a rare kind and a large tenant", store.EventFilter{Kind: domain.EventLost, Tenant: "acme", Limit: 100})
	events("of a vehicle", store.EventFilter{Subject: "vehicle:v", Pool: "r", Limit: 100})
	events("of a pool as a subject", store.EventFilter{Subject: "pool:q", Limit: 100})
	events("of a kind in the evening", store.EventFilter{Kind: domain.EventSubmit, Pool: "p", From: now.Add(43 * time.Hour), To: now.Add(44 * time.Hour), Limit: 100})
	events("of an hour", store.EventFilter{From: now.Add(24 * time.Hour), To: now.Add(25 * time.Hour), Limit: 100})
	messages := func(name string, f store.MailboxFilter) {
		s := fresh()
		reads(s, name, func() int {
			list, err := s.Messages(t.Context(), f)
			require.NoError(t, err)
			for i := range list {
				require.False(t, list[i].CreatedAt.Before(f.Since), name)
			}
			return len(list)
		})
	}
	messages("a tenant's", store.MailboxFilter{Tenant: "acme", AllUsers: true, Cursor: middle, Limit: 50})
	messages("a user's", store.MailboxFilter{Tenant: "acme", UserID: "u3", Cursor: middle, Limit: 50})
	everything := domain.Cursor{"p": perSource - 10, "q": perSource - 10, "r": perSource - 10}
	_, err := b.Acknowledge(t.Context(), store.MailboxFilter{Tenant: "acme", UserID: "u3"}, everything, time.Time{})
	require.NoError(t, err)
	messages("a user's, nearly all acknowledged", store.MailboxFilter{Tenant: "acme", UserID: "u3", Limit: 50})
	messages("since", store.MailboxFilter{Tenant: "acme", AllUsers: true, Since: now.Add(48 * time.Hour), Limit: 50})
}
