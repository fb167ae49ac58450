-- name: UpsertWorker :execrows
-- The dead stay dead: their row does not change, and the caller is told.
INSERT INTO pl_workers (worker_id, role, host, pid, started_at, heartbeat_at, dead_at)
VALUES (sqlc.arg(worker_id), sqlc.arg(role), sqlc.arg(host), sqlc.arg(pid), sqlc.arg(started_at), sqlc.arg(now), NULL)
ON CONFLICT (worker_id) DO UPDATE SET heartbeat_at = excluded.heartbeat_at
WHERE pl_workers.dead_at IS NULL;

-- name: ListWorkers :many
SELECT w.* FROM pl_workers AS w
ORDER BY w.dead_at IS NOT NULL, w.worker_id;

-- name: MarkDead :execrows
UPDATE pl_workers SET dead_at = sqlc.arg(now)
WHERE dead_at IS NULL AND heartbeat_at < sqlc.arg(before);

-- name: ListDead :many
SELECT w.* FROM pl_workers AS w
WHERE w.dead_at IS NOT NULL
ORDER BY w.worker_id;

-- name: MarkAllDead :execrows
-- Every row is of an earlier process: the lock beside the file proves that no other one
-- is alive.
UPDATE pl_workers SET dead_at = sqlc.arg(now)
WHERE dead_at IS NULL;

-- name: ForgetWorker :exec
DELETE FROM pl_workers
WHERE pl_workers.worker_id = sqlc.arg(worker_id)
  AND NOT EXISTS (
    SELECT 1 FROM pl_queue_jobs AS j WHERE j.status = 'running' AND j.holder = sqlc.arg(worker_id));

-- name: HeldJobs :many
SELECT
    j.pool_id, j.job_id, j.task_id, j.submission, j.body_hash, j.tenant, j.requested_priority, j.priority, j.lane, j.rank,
    j.resource_kind, j.resource_units, j.status, j.reason_code, j.reason, j.attempt, j.max_attempts, j.overtaken,
    j.executor, j.timeout_ms, j.deadline, j.not_before, j.created_at, j.started_at, j.finished_at, j.cancel_asked_at,
    j.holder, j.river_job_id, j.mailbox_tenant, j.mailbox_user, j.mailbox_session
FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.status = 'running' AND j.job_id > sqlc.arg(after)
  AND (CAST(sqlc.arg(holder) AS TEXT) = '' OR j.holder = sqlc.arg(holder))
ORDER BY j.job_id
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: OrphanJobs :many
-- Running tasks whose holder is not among the living; a remote worker lives as long as
-- its lease. No River here: a task always has
-- a holder, so nobody is an unknown somebody.
SELECT
    j.pool_id, j.job_id, j.task_id, j.submission, j.body_hash, j.tenant, j.requested_priority, j.priority, j.lane, j.rank,
    j.resource_kind, j.resource_units, j.status, j.reason_code, j.reason, j.attempt, j.max_attempts, j.overtaken,
    j.executor, j.timeout_ms, j.deadline, j.not_before, j.created_at, j.started_at, j.finished_at, j.cancel_asked_at,
    j.holder, j.river_job_id, j.mailbox_tenant, j.mailbox_user, j.mailbox_session
FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.status = 'running' AND j.job_id > sqlc.arg(after)
  AND NOT EXISTS (
    SELECT 1 FROM pl_workers AS w WHERE w.worker_id = j.holder AND w.dead_at IS NULL)
  AND NOT (j.holder LIKE 'lease:%' AND EXISTS (
    SELECT 1 FROM pl_leases AS l WHERE l.pool_id = j.pool_id AND l.job_id = j.job_id))
ORDER BY j.job_id
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);
