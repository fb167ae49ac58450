-- What Postgres writes in one statement over arrays (InsertJobs, UpdateJobs) is one row a
-- statement here, run in a loop inside the same transaction: there is no round trip to save.
--
-- LIMIT CAST: SQLite looks into a plain parameter there when it plans, and prepares
-- the statement anew each time it is bound.

-- name: InsertJob :exec
INSERT INTO pl_queue_jobs (
    pool_id, job_id, task_id, submission, body_hash, tenant, requested_priority, priority, lane, rank,
    resource_kind, resource_units, status, reason_code, reason, attempt, max_attempts, overtaken,
    executor, timeout_ms, deadline, not_before, created_at, started_at, finished_at, cancel_asked_at,
    holder, river_job_id, mailbox_tenant, mailbox_user, mailbox_session, labels, payload, result
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: UpdateJob :execrows
-- Guarded: a row that is no longer in the state that the turn read is not touched,
-- and the turn fails. Identity, payload and labels never change.
UPDATE pl_queue_jobs SET
    priority = sqlc.arg(priority),
    lane = sqlc.arg(lane),
    rank = sqlc.arg(rank),
    status = sqlc.arg(status),
    reason_code = sqlc.arg(reason_code),
    reason = sqlc.arg(reason),
    attempt = sqlc.arg(attempt),
    max_attempts = sqlc.arg(max_attempts),
    overtaken = sqlc.arg(overtaken),
    not_before = sqlc.narg(not_before),
    started_at = sqlc.narg(started_at),
    finished_at = sqlc.narg(finished_at),
    cancel_asked_at = sqlc.narg(cancel_asked_at),
    holder = sqlc.arg(holder),
    river_job_id = sqlc.arg(river_job_id),
    result = sqlc.narg(result)
WHERE pool_id = sqlc.arg(pool_id) AND job_id = sqlc.arg(job_id)
  AND status = sqlc.arg(from_status) AND attempt = sqlc.arg(from_attempt);

-- name: RelaneJobs :exec
UPDATE pl_queue_jobs SET lane = sqlc.arg(lane)
WHERE pool_id = sqlc.arg(pool_id) AND tenant = sqlc.arg(tenant) AND status = 'queued';

-- name: KnownJobs :many
-- The newest row of every task id.
SELECT
    j.pool_id, j.job_id, j.task_id, j.submission, j.body_hash, j.tenant, j.requested_priority, j.priority, j.lane, j.rank,
    j.resource_kind, j.resource_units, j.status, j.reason_code, j.reason, j.attempt, j.max_attempts, j.overtaken,
    j.executor, j.timeout_ms, j.deadline, j.not_before, j.created_at, j.started_at, j.finished_at, j.cancel_asked_at,
    j.holder, j.river_job_id, j.mailbox_tenant, j.mailbox_user, j.mailbox_session
FROM json_each(CAST(sqlc.arg(task_ids) AS TEXT)) AS ids
CROSS JOIN pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.task_id = ids.value
  AND j.submission = (
    SELECT max(n.submission) FROM pl_queue_jobs AS n
    WHERE n.pool_id = j.pool_id AND n.task_id = j.task_id
  );

-- name: JobsByID :many
SELECT
    j.pool_id, j.job_id, j.task_id, j.submission, j.body_hash, j.tenant, j.requested_priority, j.priority, j.lane, j.rank,
    j.resource_kind, j.resource_units, j.status, j.reason_code, j.reason, j.attempt, j.max_attempts, j.overtaken,
    j.executor, j.timeout_ms, j.deadline, j.not_before, j.created_at, j.started_at, j.finished_at, j.cancel_asked_at,
    j.holder, j.river_job_id, j.mailbox_tenant, j.mailbox_user, j.mailbox_session
FROM json_each(CAST(sqlc.arg(job_ids) AS TEXT)) AS ids
CROSS JOIN pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.job_id = ids.value;

-- name: Candidates :many
-- The head of one lane, in the order.
SELECT
    j.pool_id, j.job_id, j.task_id, j.submission, j.body_hash, j.tenant, j.requested_priority, j.priority, j.lane, j.rank,
    j.resource_kind, j.resource_units, j.status, j.reason_code, j.reason, j.attempt, j.max_attempts, j.overtaken,
    j.executor, j.timeout_ms, j.deadline, j.not_before, j.created_at, j.started_at, j.finished_at, j.cancel_asked_at,
    j.holder, j.river_job_id, j.mailbox_tenant, j.mailbox_user, j.mailbox_session
FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.lane = sqlc.arg(lane) AND j.status = 'queued' AND j.not_before IS NULL
ORDER BY j.priority DESC, j.rank, j.job_id
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: DueJobs :many
SELECT
    j.pool_id, j.job_id, j.task_id, j.submission, j.body_hash, j.tenant, j.requested_priority, j.priority, j.lane, j.rank,
    j.resource_kind, j.resource_units, j.status, j.reason_code, j.reason, j.attempt, j.max_attempts, j.overtaken,
    j.executor, j.timeout_ms, j.deadline, j.not_before, j.created_at, j.started_at, j.finished_at, j.cancel_asked_at,
    j.holder, j.river_job_id, j.mailbox_tenant, j.mailbox_user, j.mailbox_session
FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.status = 'queued' AND j.deadline IS NOT NULL AND j.deadline <= sqlc.arg(now)
ORDER BY j.deadline, j.job_id
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: RestedJobs :many
SELECT
    j.pool_id, j.job_id, j.task_id, j.submission, j.body_hash, j.tenant, j.requested_priority, j.priority, j.lane, j.rank,
    j.resource_kind, j.resource_units, j.status, j.reason_code, j.reason, j.attempt, j.max_attempts, j.overtaken,
    j.executor, j.timeout_ms, j.deadline, j.not_before, j.created_at, j.started_at, j.finished_at, j.cancel_asked_at,
    j.holder, j.river_job_id, j.mailbox_tenant, j.mailbox_user, j.mailbox_session
FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.status = 'queued' AND j.not_before IS NOT NULL AND j.not_before <= sqlc.arg(now)
ORDER BY j.not_before, j.job_id
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: NextDeadline :many
SELECT j.deadline FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.status = 'queued' AND j.deadline IS NOT NULL AND j.deadline > sqlc.arg(now)
ORDER BY j.deadline
LIMIT 1;

-- name: NextRested :many
SELECT j.not_before FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.status = 'queued' AND j.not_before IS NOT NULL AND j.not_before > sqlc.arg(now)
ORDER BY j.not_before
LIMIT 1;

-- name: GetTask :one
-- The newest row of a task id.
SELECT
    j.pool_id, j.job_id, j.task_id, j.submission, j.body_hash, j.tenant, j.requested_priority, j.priority, j.lane, j.rank,
    j.resource_kind, j.resource_units, j.status, j.reason_code, j.reason, j.attempt, j.max_attempts, j.overtaken,
    j.executor, j.timeout_ms, j.deadline, j.not_before, j.created_at, j.started_at, j.finished_at, j.cancel_asked_at,
    j.holder, j.river_job_id, j.mailbox_tenant, j.mailbox_user, j.mailbox_session
FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.task_id = sqlc.arg(task_id)
ORDER BY j.submission DESC
LIMIT 1;

-- name: ListJobs :many
SELECT
    j.pool_id, j.job_id, j.task_id, j.submission, j.body_hash, j.tenant, j.requested_priority, j.priority, j.lane, j.rank,
    j.resource_kind, j.resource_units, j.status, j.reason_code, j.reason, j.attempt, j.max_attempts, j.overtaken,
    j.executor, j.timeout_ms, j.deadline, j.not_before, j.created_at, j.started_at, j.finished_at, j.cancel_asked_at,
    j.holder, j.river_job_id, j.mailbox_tenant, j.mailbox_user, j.mailbox_session
FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.job_id < sqlc.arg(before)
  AND (CAST(sqlc.arg(status) AS TEXT) = '' OR j.status = sqlc.arg(status))
  AND (CAST(sqlc.arg(tenant) AS TEXT) = '' OR j.tenant = sqlc.arg(tenant))
  AND (CAST(sqlc.arg(label_key) AS TEXT) = '' OR EXISTS (
    SELECT 1 FROM json_each(j.labels) AS l WHERE l.key = CAST(sqlc.arg(label_key) AS TEXT) AND l.value = CAST(sqlc.arg(label_value) AS TEXT)))
ORDER BY j.job_id DESC
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: Attempt :one
-- The task of an attempt, if it is live. Postgres reads many in one statement.
SELECT
    j.pool_id, j.job_id, j.task_id, j.submission, j.body_hash, j.tenant, j.requested_priority, j.priority, j.lane, j.rank,
    j.resource_kind, j.resource_units, j.status, j.reason_code, j.reason, j.attempt, j.max_attempts, j.overtaken,
    j.executor, j.timeout_ms, j.deadline, j.not_before, j.created_at, j.started_at, j.finished_at, j.cancel_asked_at,
    j.holder, j.river_job_id, j.mailbox_tenant, j.mailbox_user, j.mailbox_session
FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.job_id = sqlc.arg(job_id)
  AND j.status = 'running' AND j.attempt = sqlc.arg(attempt);

-- name: Payloads :many
SELECT j.job_id, j.payload
FROM json_each(CAST(sqlc.arg(job_ids) AS TEXT)) AS ids
CROSS JOIN pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.job_id = ids.value AND j.payload IS NOT NULL;

-- name: Labels :many
SELECT j.job_id, j.labels
FROM json_each(CAST(sqlc.arg(job_ids) AS TEXT)) AS ids
CROSS JOIN pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.job_id = ids.value AND j.labels IS NOT NULL;

-- name: Result :one
SELECT j.result FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.job_id = sqlc.arg(job_id);

-- name: QueuePlace :many
-- Where a task stands, when it is in the order.
SELECT j.priority, j.rank, j.job_id
FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.job_id = sqlc.arg(job_id) AND j.status = 'queued' AND j.not_before IS NULL;

-- name: CountAhead :one
-- How many of one lane come before a place in its class: one range of the order index.
SELECT count(*) FROM pl_queue_jobs AS s
WHERE s.pool_id = sqlc.arg(pool_id) AND s.lane = sqlc.arg(lane) AND s.status = 'queued' AND s.not_before IS NULL
  AND s.priority = sqlc.arg(priority) AND s.rank <= sqlc.arg(rank)
  AND (s.rank < sqlc.arg(rank) OR s.job_id < sqlc.arg(job_id));
