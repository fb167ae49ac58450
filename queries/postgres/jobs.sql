-- name: InsertJobs :exec
-- Those that run at once are marked with it. Where it was not read whether a task is known (unread), it
-- must not be. ORDER BY leaves one index to look it up in.
WITH jobs AS (
    INSERT INTO pl_queue_jobs (
        pool_id, job_id, task_id, submission, body_hash, tenant, requested_priority, priority, lane, rank,
        resource_kind, resource_units, status, reason_code, reason, attempt, max_attempts, overtaken,
        executor, timeout_ms, deadline, not_before, created_at, started_at, finished_at, cancel_asked_at,
        holder, river_job_id, mailbox_tenant, mailbox_user, mailbox_session, labels, payload, result
    )
    SELECT
        r.pool_id,
        CASE WHEN NOT @unread::boolean OR (
            SELECT q.job_id FROM pl_queue_jobs AS q
            WHERE q.pool_id = r.pool_id AND q.task_id = r.task_id
            ORDER BY q.submission DESC
            LIMIT 1
        ) IS NULL THEN r.job_id ELSE pl_refuse('tasks that are new') END,
        r.task_id, r.submission, r.body_hash, r.tenant, r.requested_priority, r.priority, r.lane, r.rank,
        r.resource_kind, r.resource_units, r.status, r.reason_code, r.reason, r.attempt, r.max_attempts, r.overtaken,
        r.executor, r.timeout_ms, r.deadline, r.not_before, r.created_at, r.started_at, r.finished_at, r.cancel_asked_at,
        r.holder, r.river_job_id, r.mailbox_tenant, r.mailbox_user, r.mailbox_session, r.labels, r.payload, r.result
    FROM unnest(@jobs::pl_job_row[]) AS r
    RETURNING pool_id, job_id, status
)
INSERT INTO pl_running_jobs (pool_id, job_id)
SELECT jobs.pool_id, jobs.job_id FROM jobs WHERE jobs.status = 'running';

-- name: UpdateJobs :exec
-- Guarded: a row that is no longer in the state that the turn read is not touched, and
-- the turn fails, and where rows were not read but recalled (by_heart), that is how it is found out. Identity, payload and labels never change. Rows are looked up one by
-- one and then updated by their place, because a join of the two lists may be planned the
-- wrong way round, which no statistics would correct on a table that was empty. The marks of those
-- whose attempt ended go with it.
WITH w AS (
    UPDATE pl_queue_jobs AS j SET
        priority = r.priority,
        lane = r.lane,
        rank = r.rank,
        status = r.status,
        reason_code = r.reason_code,
        reason = r.reason,
        attempt = r.attempt,
        max_attempts = r.max_attempts,
        overtaken = r.overtaken,
        not_before = r.not_before,
        started_at = r.started_at,
        finished_at = r.finished_at,
        cancel_asked_at = r.cancel_asked_at,
        holder = r.holder,
        river_job_id = r.river_job_id,
        result = r.result
    FROM unnest(@changes::pl_change_row[]) AS r
    CROSS JOIN LATERAL (
        SELECT q.ctid AS place FROM pl_queue_jobs AS q
        WHERE q.pool_id = r.pool_id AND q.job_id = r.job_id
        LIMIT 1
    ) AS l
    LEFT JOIN LATERAL (
        SELECT n.ctid AS mark FROM pl_running_jobs AS n
        WHERE n.pool_id = r.pool_id AND n.job_id = r.job_id AND r.from_status = 'running' AND r.status <> 'running'
        LIMIT 1
    ) AS m ON true
    WHERE j.ctid = l.place AND j.status = r.from_status AND j.attempt = r.from_attempt
      AND j.cancel_asked_at IS NOT DISTINCT FROM r.from_cancel_asked_at
    RETURNING m.mark
), u AS (
    DELETE FROM pl_running_jobs AS n USING w WHERE n.ctid = w.mark
    RETURNING 1
)
SELECT
    CASE WHEN @by_heart::boolean AND c.changed <> @want::bigint THEN pl_refuse('tasks') END,
    pl_expect(c.changed, @want::bigint, 'tasks'),
    pl_expect((SELECT count(*) FROM u), @ended::bigint, 'running tasks')
FROM (SELECT count(*) AS changed FROM w) AS c;

-- name: RelaneJobs :exec
WITH w AS (
    UPDATE pl_queued_jobs AS q SET lane = r.lane
    FROM (SELECT unnest(@tenants::text[]) AS tenant, unnest(@lanes::text[]) AS lane) AS r
    WHERE q.pool_id = @pool_id AND q.tenant = r.tenant AND q.lane <> r.lane
    RETURNING q.job_id, q.lane
)
UPDATE pl_queue_jobs AS j SET lane = w.lane
FROM w
WHERE j.pool_id = @pool_id AND j.job_id = w.job_id;

-- name: KnownJobs :many
-- The newest row of every task id, each with its tenant's usage (units -1: none yet), as
-- in the other reads of a turn.
SELECT j.*, coalesce(u.active_units, -1)::bigint AS tenant_units, coalesce(u.queued, 0)::bigint AS tenant_queued,
       coalesce(u.finish_tag, 0)::bigint AS tenant_tag
FROM (SELECT unnest(@task_ids::text[]) AS task_id) AS ids
CROSS JOIN LATERAL (
    SELECT q.* FROM pl_queue_jobs_light AS q
    WHERE q.pool_id = @pool_id AND q.task_id = ids.task_id
    ORDER BY q.submission DESC
    LIMIT 1
) AS j
LEFT JOIN LATERAL (
    SELECT v.active_units, v.queued, v.finish_tag FROM pl_tenants AS v
    WHERE v.pool_id = j.pool_id AND v.tenant = j.tenant
    ORDER BY v.turn_no DESC
    LIMIT 1
) AS u ON true;

-- name: JobsByID :many
-- LIMIT 1 changes nothing but the plan: it cannot be turned around, into a walk over the
-- pool for every id.
SELECT j.*, coalesce(u.active_units, -1)::bigint AS tenant_units, coalesce(u.queued, 0)::bigint AS tenant_queued,
       coalesce(u.finish_tag, 0)::bigint AS tenant_tag
FROM (SELECT unnest(@job_ids::bigint[]) AS job_id) AS ids
CROSS JOIN LATERAL (
    SELECT q.* FROM pl_queue_jobs_light AS q
    WHERE q.pool_id = @pool_id AND q.job_id = ids.job_id
    LIMIT 1
) AS j
LEFT JOIN LATERAL (
    SELECT v.active_units, v.queued, v.finish_tag FROM pl_tenants AS v
    WHERE v.pool_id = j.pool_id AND v.tenant = j.tenant
    ORDER BY v.turn_no DESC
    LIMIT 1
) AS u ON true;

-- name: Candidates :many
-- The head of every lane, each in the order; TurnState has said how much of it. Every
-- class is read from the bound that the last turn left, so that entries which
-- have left its front and cannot be vacuumed yet are not walked over again.
SELECT j.*, coalesce(u.active_units, -1)::bigint AS tenant_units, coalesce(u.queued, 0)::bigint AS tenant_queued,
       coalesce(u.finish_tag, 0)::bigint AS tenant_tag
FROM (
    SELECT n.* FROM pl_pool_turns AS n
    WHERE n.pool_id = @pool_id
    ORDER BY n.turn_no DESC
    LIMIT 1
) AS t
CROSS JOIN (
    SELECT ''::text AS lane
    UNION ALL
    SELECT c.key FROM pl_pools AS p CROSS JOIN LATERAL jsonb_each(p.tenants) AS c
    WHERE p.pool_id = @pool_id AND (c.value ->> 'max_units')::bigint > 0
) AS l
CROSS JOIN LATERAL (
    SELECT b.* FROM (
        (SELECT q.priority, q.rank, q.job_id FROM pl_queued_jobs AS q
        WHERE q.pool_id = @pool_id AND q.lane = l.lane AND q.not_before IS NULL
          AND q.priority = 3 AND q.rank >= t.head_critical AND t.queued_critical > 0
        ORDER BY q.priority DESC, q.rank, q.job_id
        LIMIT current_setting('parkinglot.take')::bigint)
        UNION ALL
        (SELECT q.priority, q.rank, q.job_id FROM pl_queued_jobs AS q
        WHERE q.pool_id = @pool_id AND q.lane = l.lane AND q.not_before IS NULL
          AND q.priority = 2 AND q.rank >= t.head_high AND t.queued_high > 0
        ORDER BY q.priority DESC, q.rank, q.job_id
        LIMIT current_setting('parkinglot.take')::bigint)
        UNION ALL
        (SELECT q.priority, q.rank, q.job_id FROM pl_queued_jobs AS q
        WHERE q.pool_id = @pool_id AND q.lane = l.lane AND q.not_before IS NULL
          AND q.priority = 1 AND q.rank >= t.head_normal AND t.queued_normal > 0
        ORDER BY q.priority DESC, q.rank, q.job_id
        LIMIT current_setting('parkinglot.take')::bigint)
        UNION ALL
        (SELECT q.priority, q.rank, q.job_id FROM pl_queued_jobs AS q
        WHERE q.pool_id = @pool_id AND q.lane = l.lane AND q.not_before IS NULL
          AND q.priority = 0 AND q.rank >= t.head_low AND t.queued_low > 0
        ORDER BY q.priority DESC, q.rank, q.job_id
        LIMIT current_setting('parkinglot.take')::bigint)
    ) AS b
    ORDER BY b.priority DESC, b.rank, b.job_id
    LIMIT current_setting('parkinglot.take')::bigint
) AS o
CROSS JOIN LATERAL (
    SELECT q.* FROM pl_queue_jobs_light AS q
    WHERE q.pool_id = @pool_id AND q.job_id = o.job_id
    LIMIT 1
) AS j
LEFT JOIN LATERAL (
    SELECT v.active_units, v.queued, v.finish_tag FROM pl_tenants AS v
    WHERE v.pool_id = j.pool_id AND v.tenant = j.tenant
    ORDER BY v.turn_no DESC
    LIMIT 1
) AS u ON true
ORDER BY o.priority DESC, o.rank, o.job_id;

-- name: UnlockedCandidates :many
-- The same for a turn that has met a row which somebody else holds locked: those are
-- passed over and the others locked. Locking writes, so this is not the normal read.
SELECT j.*, coalesce(u.active_units, -1)::bigint AS tenant_units, coalesce(u.queued, 0)::bigint AS tenant_queued,
       coalesce(u.finish_tag, 0)::bigint AS tenant_tag
FROM (
    SELECT ''::text AS lane
    UNION ALL
    SELECT c.key FROM pl_pools AS p CROSS JOIN LATERAL jsonb_each(p.tenants) AS c
    WHERE p.pool_id = @pool_id AND (c.value ->> 'max_units')::bigint > 0
) AS l
CROSS JOIN LATERAL (
    SELECT f.* FROM (
        SELECT q.priority, q.rank, q.job_id FROM pl_queued_jobs AS q
        WHERE q.pool_id = @pool_id AND q.lane = l.lane AND q.not_before IS NULL
        ORDER BY q.priority DESC, q.rank, q.job_id
    ) AS o
    CROSS JOIN LATERAL (
        SELECT q.* FROM pl_queue_jobs_light AS q
        WHERE q.pool_id = @pool_id AND q.job_id = o.job_id
        LIMIT 1
        FOR NO KEY UPDATE OF q SKIP LOCKED
    ) AS f
    ORDER BY o.priority DESC, o.rank, o.job_id
    LIMIT current_setting('parkinglot.take')::bigint
) AS j
LEFT JOIN LATERAL (
    SELECT v.active_units, v.queued, v.finish_tag FROM pl_tenants AS v
    WHERE v.pool_id = j.pool_id AND v.tenant = j.tenant
    ORDER BY v.turn_no DESC
    LIMIT 1
) AS u ON true
ORDER BY j.priority DESC, j.rank, j.job_id;

-- name: DueJobs :many
-- Nothing is read while the pool's next due instant lies ahead.
SELECT j.*, coalesce(u.active_units, -1)::bigint AS tenant_units, coalesce(u.queued, 0)::bigint AS tenant_queued,
       coalesce(u.finish_tag, 0)::bigint AS tenant_tag
FROM (
    SELECT n.next_due_at FROM pl_pool_turns AS n
    WHERE n.pool_id = @pool_id
    ORDER BY n.turn_no DESC
    LIMIT 1
) AS t
CROSS JOIN LATERAL (
    SELECT q.job_id FROM pl_queued_jobs AS q
    WHERE q.pool_id = @pool_id AND q.deadline IS NOT NULL
      AND q.deadline >= t.next_due_at AND q.deadline <= pl_now()
    ORDER BY q.deadline
    LIMIT @max_rows
) AS d
CROSS JOIN LATERAL (
    SELECT q.* FROM pl_queue_jobs_light AS q
    WHERE q.pool_id = @pool_id AND q.job_id = d.job_id
    LIMIT 1
) AS j
LEFT JOIN LATERAL (
    SELECT v.active_units, v.queued, v.finish_tag FROM pl_tenants AS v
    WHERE v.pool_id = j.pool_id AND v.tenant = j.tenant
    ORDER BY v.turn_no DESC
    LIMIT 1
) AS u ON true
WHERE t.next_due_at <= pl_now()
ORDER BY j.deadline, j.job_id;

-- name: RestedJobs :many
SELECT j.*, coalesce(u.active_units, -1)::bigint AS tenant_units, coalesce(u.queued, 0)::bigint AS tenant_queued,
       coalesce(u.finish_tag, 0)::bigint AS tenant_tag
FROM (
    SELECT n.next_due_at FROM pl_pool_turns AS n
    WHERE n.pool_id = @pool_id
    ORDER BY n.turn_no DESC
    LIMIT 1
) AS t
CROSS JOIN LATERAL (
    SELECT q.job_id FROM pl_queued_jobs AS q
    WHERE q.pool_id = @pool_id AND q.not_before IS NOT NULL
      AND q.not_before >= t.next_due_at AND q.not_before <= pl_now()
    ORDER BY q.not_before
    LIMIT @max_rows
) AS d
CROSS JOIN LATERAL (
    SELECT q.* FROM pl_queue_jobs_light AS q
    WHERE q.pool_id = @pool_id AND q.job_id = d.job_id
    LIMIT 1
) AS j
LEFT JOIN LATERAL (
    SELECT v.active_units, v.queued, v.finish_tag FROM pl_tenants AS v
    WHERE v.pool_id = j.pool_id AND v.tenant = j.tenant
    ORDER BY v.turn_no DESC
    LIMIT 1
) AS u ON true
WHERE t.next_due_at <= pl_now()
ORDER BY j.not_before, j.job_id;

-- name: GetTask :one
-- The newest row of a task id.
SELECT sqlc.embed(j), b.labels, b.result
FROM pl_queue_jobs_light AS j
JOIN pl_queue_jobs AS b ON b.pool_id = j.pool_id AND b.job_id = j.job_id
WHERE j.pool_id = @pool_id AND j.task_id = @task_id
ORDER BY j.submission DESC
LIMIT 1;

-- name: ListJobs :many
SELECT sqlc.embed(j), b.labels
FROM pl_queue_jobs_light AS j
JOIN pl_queue_jobs AS b ON b.pool_id = j.pool_id AND b.job_id = j.job_id
WHERE (@pool_id::text = '' OR j.pool_id = @pool_id)
  AND j.job_id < @before
  AND (@status::text = '' OR j.status = @status)
  AND (@tenant::text = '' OR j.tenant = @tenant)
  AND (@label_key::text = '' OR b.labels @> jsonb_build_object(@label_key::text, @label_value::text))
ORDER BY j.job_id DESC, j.pool_id
LIMIT @max_rows;

-- name: Attempts :many
-- The tasks of those attempts that are live. Rows are looked up one by one, as in
-- UpdateJobs: a join may be planned the wrong way round.
SELECT j.*, b.labels, b.payload
FROM (
    SELECT
        unnest(@pool_ids::text[]) AS pool_id,
        unnest(@job_ids::bigint[]) AS job_id,
        unnest(@attempts::integer[]) AS attempt
) AS a
CROSS JOIN LATERAL (
    SELECT q.* FROM pl_queue_jobs_light AS q
    WHERE q.pool_id = a.pool_id AND q.job_id = a.job_id AND q.status = 'running' AND q.attempt = a.attempt
    LIMIT 1
) AS j
CROSS JOIN LATERAL (
    SELECT q.labels, q.payload FROM pl_queue_jobs AS q
    WHERE q.pool_id = a.pool_id AND q.job_id = a.job_id
    LIMIT 1
) AS b;

-- name: Payloads :many
SELECT j.job_id, j.payload
FROM (SELECT unnest(@job_ids::bigint[]) AS job_id) AS ids
CROSS JOIN LATERAL (
    SELECT q.job_id, q.payload FROM pl_queue_jobs AS q
    WHERE q.pool_id = @pool_id AND q.job_id = ids.job_id
    LIMIT 1
) AS j
WHERE j.payload IS NOT NULL;

-- name: Labels :many
SELECT j.job_id, j.labels
FROM (SELECT unnest(@job_ids::bigint[]) AS job_id) AS ids
CROSS JOIN LATERAL (
    SELECT q.job_id, q.labels FROM pl_queue_jobs AS q
    WHERE q.pool_id = @pool_id AND q.job_id = ids.job_id
    LIMIT 1
) AS j
WHERE j.labels IS NOT NULL;

-- name: QueuePosition :one
-- The place in the order, 0 when the task is not in it. The classes above are in the
-- newest turn's counters, of the same snapshot; of its own class one range of the order
-- index is counted in each lane, from the bound that the last turn left on. ORDER BY and
-- OFFSET change nothing but the plan, which must be good on a table never analyzed too.
WITH p AS (
    SELECT o.priority, o.rank, o.job_id,
           CASE o.priority WHEN 3 THEN t.head_critical WHEN 2 THEN t.head_high WHEN 1 THEN t.head_normal ELSE t.head_low END AS head,
           CASE o.priority WHEN 3 THEN 0 WHEN 2 THEN t.queued_critical WHEN 1 THEN t.queued_critical + t.queued_high
                           ELSE t.queued - t.queued_low END AS above
    FROM pl_queued_jobs AS o
    CROSS JOIN (
        SELECT n.* FROM pl_pool_turns AS n
        WHERE n.pool_id = @pool_id
        ORDER BY n.turn_no DESC
        LIMIT 1
    ) AS t
    WHERE o.pool_id = @pool_id AND o.job_id = @job_id AND o.not_before IS NULL
)
SELECT coalesce((
    SELECT 1 + p.above + (
        SELECT coalesce(sum(a.n), 0)
        FROM (
            SELECT ''::text AS lane
            UNION ALL
            SELECT c.key FROM pl_pools AS o CROSS JOIN LATERAL jsonb_each(o.tenants) AS c
            WHERE o.pool_id = @pool_id AND (c.value ->> 'max_units')::bigint > 0
        ) AS l
        CROSS JOIN LATERAL (
            SELECT count(*) AS n FROM (
                SELECT s.job_id FROM pl_queued_jobs AS s
                WHERE s.pool_id = @pool_id AND s.lane = l.lane AND s.not_before IS NULL
                  AND s.priority = p.priority AND s.rank >= p.head AND (s.rank, s.job_id) < (p.rank, p.job_id)
                ORDER BY s.priority DESC, s.rank, s.job_id
                OFFSET 0
            ) AS b
        ) AS a
    ) FROM p
), 0)::bigint AS position;

-- name: LaneFronts :many
-- The first of every lane, for a reader: what Candidates reads for a turn.
SELECT j.*, coalesce(u.active_units, -1)::bigint AS tenant_units, coalesce(u.queued, 0)::bigint AS tenant_queued,
       coalesce(u.finish_tag, 0)::bigint AS tenant_tag
FROM (
    SELECT ''::text AS lane
    UNION ALL
    SELECT c.key FROM pl_pools AS p CROSS JOIN LATERAL jsonb_each(p.tenants) AS c
    WHERE p.pool_id = @pool_id AND (c.value ->> 'max_units')::bigint > 0
) AS l
CROSS JOIN LATERAL (
    SELECT q.priority, q.rank, q.job_id FROM pl_queued_jobs AS q
    WHERE q.pool_id = @pool_id AND q.lane = l.lane AND q.not_before IS NULL
    ORDER BY q.priority DESC, q.rank, q.job_id
    LIMIT @max_rows
) AS o
CROSS JOIN LATERAL (
    SELECT q.* FROM pl_queue_jobs_light AS q
    WHERE q.pool_id = @pool_id AND q.job_id = o.job_id
    LIMIT 1
) AS j
LEFT JOIN LATERAL (
    SELECT v.active_units, v.queued, v.finish_tag FROM pl_tenants AS v
    WHERE v.pool_id = j.pool_id AND v.tenant = j.tenant
    ORDER BY v.turn_no DESC
    LIMIT 1
) AS u ON true
ORDER BY o.priority DESC, o.rank, o.job_id;
