-- Views for people with psql. Apply with: psql "$PARKINGLOT_DATABASE_URL" -f sql/views.sql
-- The program never reads them. Each can be dropped and made again at any time.

-- Pools now: configuration and the newest counters, one row a pool.
CREATE OR REPLACE VIEW pl_v_pools AS
SELECT p.pool_id, p.state, p.runtime_adapter, p.priority_policy,
       p.max_units, t.active_units, t.ceiling,
       CASE WHEN p.max_units > 0 THEN round(100.0 * t.active_units / p.max_units, 1) END AS used_percent,
       t.running, t.queued, p.max_queue_depth, t.waiting AS in_backoff,
       t.turn_no, t.at AS last_turn_at, t.next_due_at
FROM pl_pools AS p
CROSS JOIN LATERAL (
    SELECT n.* FROM pl_pool_turns AS n
    WHERE n.pool_id = p.pool_id
    ORDER BY n.turn_no DESC
    LIMIT 1
) AS t
ORDER BY p.pool_id;

-- The queue in the order in which it starts (as far as units and tenant caps allow).
CREATE OR REPLACE VIEW pl_v_queue AS
SELECT j.pool_id,
       row_number() OVER (PARTITION BY j.pool_id ORDER BY j.priority DESC, j.rank, j.job_id) AS position,
       j.task_id, j.tenant,
       (ARRAY['low', 'normal', 'high', 'critical'])[j.requested_priority + 1] AS priority,
       j.resource_units AS units, j.lane, j.rank, j.overtaken, j.attempt,
       j.created_at, now() - j.created_at AS waited, j.deadline
FROM pl_live_jobs AS j
WHERE j.status = 'queued' AND j.not_before IS NULL
ORDER BY j.pool_id, j.priority DESC, j.rank, j.job_id;

-- Who holds what: running tasks with the process that has them.
CREATE OR REPLACE VIEW pl_v_holders AS
SELECT j.pool_id, j.task_id, j.tenant, j.resource_units AS units, j.attempt,
       CASE WHEN j.holder <> '' THEN j.holder
            WHEN j.river_job_id <> 0 THEN 'river job ' || j.river_job_id
            ELSE '(nobody yet)' END AS holder,
       w.host, w.pid, w.heartbeat_at, w.dead_at IS NOT NULL AS holder_dead,
       j.started_at, now() - j.started_at AS running_for, j.cancel_asked_at
FROM pl_live_jobs AS j
LEFT JOIN pl_workers AS w ON w.worker_id = j.holder
WHERE j.status = 'running'
ORDER BY j.pool_id, j.started_at;

-- The audit of tasks, to be filtered: SELECT * FROM pl_v_audit WHERE task_id = '…';
CREATE OR REPLACE VIEW pl_v_audit AS
SELECT e.pool_id, e.task_id, e.submission, e.seq, e.at, e.kind, e.status, e.attempt, e.units,
       nullif(e.reason_code, '') AS reason_code, nullif(e.reason, '') AS reason, nullif(e.actor, '') AS actor,
       pl_event_subjects(e.subjects, e.task_id, e.pool_id, e.tenant) AS subjects
FROM pl_audit_events AS e
ORDER BY e.source, e.seq;

-- Throughput by minute and pool over the last day.
CREATE OR REPLACE VIEW pl_v_throughput AS
SELECT e.pool_id, date_trunc('minute', e.at) AS minute,
       count(*) FILTER (WHERE e.kind = 'submit')   AS submitted,
       count(*) FILTER (WHERE e.kind = 'start')    AS started,
       count(*) FILTER (WHERE e.kind = 'complete') AS completed,
       count(*) FILTER (WHERE e.status = 'failed' AND e.kind IN ('fail', 'lost')) AS failed,
       count(*) FILTER (WHERE e.kind = 'expire')   AS expired,
       count(*) FILTER (WHERE e.kind = 'reject')   AS rejected
FROM pl_audit_events AS e
WHERE e.at >= now() - interval '1 day'
GROUP BY e.pool_id, date_trunc('minute', e.at)
ORDER BY e.pool_id, minute;
