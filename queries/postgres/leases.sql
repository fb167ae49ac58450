-- name: LeasesByJob :many
-- Locked, so that no heartbeat extends what this turn sees expired; in the order of
-- the key, as heartbeats do it. A turn has its pool's lock before, a heartbeat none.
SELECT l.* FROM pl_leases AS l
WHERE l.pool_id = @pool_id AND l.job_id = ANY (@job_ids::bigint[])
ORDER BY l.job_id
FOR UPDATE;

-- name: InsertLeases :exec
INSERT INTO pl_leases (pool_id, job_id, attempt, lease_id, worker_id, ttl_ms, granted_at, expires_at, timeout_at)
SELECT
    @pool_id,
    unnest(@job_ids::bigint[]),
    unnest(@attempts::integer[]),
    unnest(@lease_ids::text[]),
    unnest(@worker_ids::text[]),
    unnest(@ttls::bigint[]),
    unnest(@granted_ats::timestamptz[]),
    unnest(@expires_ats::timestamptz[]),
    unnest(@timeout_ats::timestamptz[]);

-- name: DeleteLeases :exec
DELETE FROM pl_leases AS l
WHERE l.pool_id = @pool_id AND l.job_id = ANY (@job_ids::bigint[]);

-- name: AskLeases :exec
-- What was asked to stop gets one more TTL to do so.
UPDATE pl_leases AS l SET
    cancel_asked_at = pl_now(),
    expires_at = least(l.expires_at, pl_now() + make_interval(secs => l.ttl_ms / 1000.0))
WHERE l.pool_id = @pool_id AND l.job_id = ANY (@job_ids::bigint[]);

-- name: ExtendLeases :many
-- The ids come sorted, and are looked up and locked in that order.
WITH held AS (
    SELECT l.pool_id, l.job_id
    FROM (
        SELECT unnest(@pool_ids::text[]) AS pool_id, unnest(@job_ids::bigint[]) AS job_id, unnest(@lease_ids::text[]) AS lease_id
    ) AS a
    CROSS JOIN LATERAL (
        SELECT h.pool_id, h.job_id FROM pl_leases AS h
        WHERE h.pool_id = a.pool_id AND h.job_id = a.job_id AND h.lease_id = a.lease_id
        FOR NO KEY UPDATE
    ) AS l
)
UPDATE pl_leases AS l SET expires_at = least(
    coalesce(sqlc.narg(now)::timestamptz, clock_timestamp()) + make_interval(secs => l.ttl_ms / 1000.0),
    l.timeout_at,
    l.cancel_asked_at + make_interval(secs => l.ttl_ms / 1000.0))
FROM held
WHERE l.pool_id = held.pool_id AND l.job_id = held.job_id
RETURNING l.*;

-- name: ExpiredLeases :many
SELECT l.* FROM pl_leases AS l
WHERE l.expires_at <= coalesce(sqlc.narg(now)::timestamptz, clock_timestamp())
  AND (l.expires_at, l.pool_id, l.job_id) > (@after::timestamptz, @after_pool::text, @after_job::bigint)
ORDER BY l.expires_at, l.pool_id, l.job_id
LIMIT @max_rows;

-- name: ListLeases :many
SELECT l.* FROM pl_leases AS l
WHERE l.pool_id = @pool_id AND l.job_id > @after
  AND (@worker_id::text = '' OR l.worker_id = @worker_id)
ORDER BY l.job_id
LIMIT @max_rows;
