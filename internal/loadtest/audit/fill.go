package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Tenants of the trail that is filled in: one has four tasks of ten, one has three of a
// million, a thousand share the rest.
const (
	giant = "giant"
	tiny  = "tiny"
)

// chunk is how many tasks one statement fills in.
const chunk = 100_000

// fill writes a day of lifecycles of three events into each pool, so many events in all,
// as turns would have left them: each with the end of one that began 300 tasks before.
func fill(ctx context.Context, conn *pgx.Conn, pools int, events int64, day time.Time) error {
	perPool := events / int64(pools) / 3
	for p := range pools {
		pool := poolID(p)
		for from := int64(0); from < perPool; from += chunk {
			if _, err := conn.Exec(ctx, `
				INSERT INTO pl_audit_events (source, seq, at, kind, pool_id, task_id, job_id, submission, tenant, attempt, units, status)
				SELECT $1, 3 * (g.i - 1) + k.n, $2::timestamptz + (g.i - 1) * $3::interval, k.kind, $1, pl_fill_task($1, t.job), t.job, 1,
				       CASE WHEN t.job % 100000 = 77 THEN 'tiny' WHEN t.job % 10 < 4 THEN 'giant' ELSE 'tenant-' || t.job * 7919 % 1000 END,
				       CASE k.n WHEN 2 THEN 0 ELSE 1 END, 4, k.status
				FROM generate_series($4::bigint + 1, least($4 + $5, $6)) AS g (i)
				CROSS JOIN (VALUES (1, 'complete', 'completed'), (2, 'submit', 'submitted'), (3, 'start', 'running')) AS k (n, kind, status)
				CROSS JOIN LATERAL (SELECT CASE k.n WHEN 1 THEN abs(g.i - 300) + 1 ELSE g.i END AS job) AS t
				ORDER BY g.i, k.n`,
				pool, day, (24 * time.Hour / time.Duration(perPool+1)).String(), from, chunk, perPool); err != nil {
				return fmt.Errorf("fill pool %s: %w", pool, err)
			}
		}
		if _, err := conn.Exec(ctx, "SELECT pl_audit_summarise($1, $2::bigint / 256, now())", pool, 3*perPool); err != nil {
			return fmt.Errorf("blocks of pool %s: %w", pool, err)
		}
		if _, err := conn.Exec(ctx, `
			INSERT INTO pl_pool_turns (pool_id, turn_no, turn_id, at, active_units, ceiling, running, queued, queued_low, queued_normal,
			    queued_high, queued_critical, waiting, virtual_time, job_seq, rank_seq, event_seq, message_seq)
			SELECT t.pool_id, t.turn_no + 1, 'fill', now(), t.active_units, t.ceiling, t.running, t.queued, t.queued_low, t.queued_normal,
			       t.queued_high, t.queued_critical, t.waiting, t.virtual_time, $2::bigint, $2::bigint, 3 * $2::bigint, t.message_seq
			FROM pl_pool_turns AS t WHERE t.pool_id = $1 ORDER BY t.turn_no DESC LIMIT 1`, pool, perPool); err != nil {
			return fmt.Errorf("counters of pool %s: %w", pool, err)
		}
	}
	return nil
}

// taskName makes ids that say nothing of their order, as clients' random ids do.
const taskName = `CREATE OR REPLACE FUNCTION pl_fill_task(pool text, job bigint) RETURNS text
	LANGUAGE sql IMMUTABLE AS $$ SELECT md5(pool || job) $$`

func poolID(i int) string { return fmt.Sprintf("p%d", i) }
