-- name: LeasesByJob :many
-- Nothing is locked: the writer's mutex is held by turns and heartbeats alike.
SELECT l.* FROM pl_leases AS l
WHERE l.pool_id = sqlc.arg(pool_id)
  AND l.job_id IN (SELECT ids.value FROM json_each(CAST(sqlc.arg(job_ids) AS TEXT)) AS ids)
ORDER BY l.job_id;

-- name: InsertLease :exec
INSERT INTO pl_leases (pool_id, job_id, attempt, lease_id, worker_id, ttl_ms, granted_at, expires_at, timeout_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: DeleteLeases :exec
DELETE FROM pl_leases
WHERE pool_id = sqlc.arg(pool_id)
  AND job_id IN (SELECT ids.value FROM json_each(CAST(sqlc.arg(job_ids) AS TEXT)) AS ids);

-- name: AskLeases :exec
-- What was asked to stop gets one more TTL to do so. Times are microseconds here.
UPDATE pl_leases SET
    cancel_asked_at = CAST(sqlc.arg(now) AS INTEGER),
    expires_at = min(expires_at, CAST(sqlc.arg(now) AS INTEGER) + ttl_ms * 1000)
WHERE pool_id = sqlc.arg(pool_id)
  AND job_id IN (SELECT ids.value FROM json_each(CAST(sqlc.arg(job_ids) AS TEXT)) AS ids);

-- name: ExtendLease :many
-- One lease: there is no round trip to save. min of SQLite does not pass over NULL.
UPDATE pl_leases SET expires_at = min(
    CAST(sqlc.arg(now) AS INTEGER) + ttl_ms * 1000,
    timeout_at,
    coalesce(cancel_asked_at + ttl_ms * 1000, timeout_at))
WHERE pool_id = sqlc.arg(pool_id) AND job_id = sqlc.arg(job_id) AND lease_id = sqlc.arg(lease_id)
RETURNING *;

-- name: ExpiredLeases :many
SELECT l.* FROM pl_leases AS l
WHERE l.expires_at <= sqlc.arg(now)
  AND (l.expires_at, l.pool_id, l.job_id) > (CAST(sqlc.arg(after) AS INTEGER), CAST(sqlc.arg(after_pool) AS TEXT), CAST(sqlc.arg(after_job) AS INTEGER))
ORDER BY l.expires_at, l.pool_id, l.job_id
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: ListLeases :many
SELECT l.* FROM pl_leases AS l
WHERE l.pool_id = sqlc.arg(pool_id) AND l.job_id > sqlc.arg(after)
  AND (CAST(sqlc.arg(worker_id) AS TEXT) = '' OR l.worker_id = sqlc.arg(worker_id))
ORDER BY l.job_id
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);
