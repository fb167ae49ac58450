package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// How many slots after its submission a task starts and ends; one is submitted a slot. So
// starts are queued for 100, run for 200, and 200 tasks of 4 units run at once.
const (
	startsAfter = 100
	endsAfter   = 300
	units       = 4
)

// chunk is how many slots one statement fills in.
const chunk = 100_000

// fill writes the history of a pool's tasks as turns of a slot each would have left it: four
// events a task (submit, enqueue, start, complete), its row, its message, and the
// counters after all that.
func fill(ctx context.Context, conn *pgx.Conn, pool string, tasks int64, day time.Time) error {
	slots := tasks + endsAfter
	interval := (24 * time.Hour / time.Duration(slots+1)).Truncate(time.Microsecond).String()
	for from := int64(0); from < slots; from += chunk {
		// What was before slot i: two events of each task submitted, one of each started and of each ended.
		if _, err := conn.Exec(ctx, `
			INSERT INTO pl_audit_events (source, seq, at, kind, pool_id, task_id, job_id, submission, tenant, attempt, units, status)
			SELECT $1, c.before + row_number() OVER (PARTITION BY g.i ORDER BY k.n), $2::timestamptz + (g.i - 1) * $3::interval, k.kind, $1,
			       md5($1 || t.job), t.job, 1, 'tenant-' || t.job * 7919 % 1000, CASE WHEN k.n <= 2 THEN 1 ELSE 0 END, $7::bigint, k.status
			FROM generate_series($4::bigint + 1, least($4::bigint + $5::bigint, $6::bigint + $9::bigint)) AS g (i)
			CROSS JOIN LATERAL (SELECT 2 * least(g.i - 1, $6::bigint) + least(greatest(g.i - 1 - $8::bigint, 0), $6::bigint) + greatest(g.i - 1 - $9::bigint, 0) AS before) AS c
			CROSS JOIN (VALUES (1, 'complete', 'completed'), (2, 'start', 'running'), (3, 'submit', 'submitted'), (4, 'enqueue', 'queued')) AS k (n, kind, status)
			CROSS JOIN LATERAL (SELECT g.i - CASE k.n WHEN 1 THEN $9::bigint WHEN 2 THEN $8::bigint ELSE 0 END AS job) AS t
			WHERE t.job BETWEEN 1 AND $6::bigint
			ORDER BY g.i, k.n`,
			pool, day, interval, from, int64(chunk), tasks, int64(units), int64(startsAfter), int64(endsAfter)); err != nil {
			return fmt.Errorf("fill events: %w", err)
		}
		if _, err := conn.Exec(ctx, `
			INSERT INTO pl_queue_jobs (pool_id, job_id, task_id, submission, body_hash, tenant, requested_priority, priority, lane, rank,
			    resource_kind, resource_units, status, attempt, max_attempts, executor, timeout_ms, created_at, started_at, finished_at, mailbox_tenant)
			SELECT $1, g.i, md5($1 || g.i), 1, '\x00', 'tenant-' || g.i * 7919 % 1000, 1, 1, '', g.i, 'mixed', $7::bigint, 'completed', 1, 1, 'default', 60000,
			       $2::timestamptz + (g.i - 1) * $3::interval, $2::timestamptz + (g.i - 1 + $8::bigint) * $3::interval,
			       $2::timestamptz + (g.i - 1 + $9::bigint) * $3::interval, 'acme'
			FROM generate_series($4::bigint + 1, least($4::bigint + $5::bigint, $6::bigint)) AS g (i)`,
			pool, day, interval, from, int64(chunk), tasks, int64(units), int64(startsAfter), int64(endsAfter)); err != nil {
			return fmt.Errorf("fill rows: %w", err)
		}
		if _, err := conn.Exec(ctx, `
			INSERT INTO pl_mailbox_messages (source, seq, tenant, pool_id, task_id, job_id, submission, status, payload, created_at)
			SELECT $1, g.i, 'acme', $1, md5($1 || g.i), g.i, 1, 'completed', '{}', $2::timestamptz + (g.i - 1 + $7::bigint) * $3::interval
			FROM generate_series($4::bigint + 1, least($4::bigint + $5::bigint, $6::bigint)) AS g (i)`,
			pool, day, interval, from, int64(chunk), tasks, int64(endsAfter)); err != nil {
			return fmt.Errorf("fill messages: %w", err)
		}
	}
	if _, err := conn.Exec(ctx, "SELECT pl_audit_summarise($1, $2::bigint / 256, now())", pool, 4*tasks); err != nil {
		return fmt.Errorf("blocks: %w", err)
	}
	if _, err := conn.Exec(ctx, `
		INSERT INTO pl_pool_turns (pool_id, turn_no, turn_id, at, active_units, ceiling, running, queued, queued_low, queued_normal,
		    queued_high, queued_critical, waiting, virtual_time, job_seq, rank_seq, event_seq, message_seq)
		SELECT t.pool_id, t.turn_no + 1, 'fill', now(), t.active_units, t.ceiling, t.running, t.queued, t.queued_low, t.queued_normal,
		       t.queued_high, t.queued_critical, t.waiting, t.virtual_time, $2::bigint, $2::bigint, 4 * $2::bigint, $2::bigint
		FROM pl_pool_turns AS t WHERE t.pool_id = $1 ORDER BY t.turn_no DESC LIMIT 1`, pool, tasks); err != nil {
		return fmt.Errorf("counters: %w", err)
	}
	if _, err := conn.Exec(ctx, "VACUUM ANALYZE pl_audit_events, pl_audit_blocks, pl_queue_jobs, pl_mailbox_messages"); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	return nil
}
