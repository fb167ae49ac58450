-- name: InsertPool :execrows
INSERT INTO pl_pools (
    pool_id, name, state, max_units, max_queue_depth, default_timeout_ms, queue_backend, mailbox_backend,
    runtime_adapter, priority_policy, resource_kind, max_overtakes, max_attempts, retry_base_ms, retry_max_ms,
    tenants, executors, version, created_at, updated_at
) VALUES (
    @pool_id, @name, @state, @max_units, @max_queue_depth, @default_timeout_ms, @queue_backend, @mailbox_backend,
    @runtime_adapter, @priority_policy, @resource_kind, @max_overtakes, @max_attempts, @retry_base_ms, @retry_max_ms,
    @tenants, @executors, 1, coalesce(sqlc.narg(now)::timestamptz, clock_timestamp()), coalesce(sqlc.narg(now)::timestamptz, clock_timestamp())
)
ON CONFLICT (pool_id) DO NOTHING;

-- name: UpdatePool :exec
-- Guarded by the version that the turn read.
WITH w AS (
    UPDATE pl_pools AS p SET
        name = @name,
        state = @state,
        max_units = @max_units,
        max_queue_depth = @max_queue_depth,
        default_timeout_ms = @default_timeout_ms,
        queue_backend = @queue_backend,
        mailbox_backend = @mailbox_backend,
        runtime_adapter = @runtime_adapter,
        priority_policy = @priority_policy,
        resource_kind = @resource_kind,
        max_overtakes = @max_overtakes,
        max_attempts = @max_attempts,
        retry_base_ms = @retry_base_ms,
        retry_max_ms = @retry_max_ms,
        tenants = @tenants,
        executors = @executors,
        version = @version,
        updated_at = @now
    WHERE p.pool_id = @pool_id AND p.version = @from_version
    RETURNING 1
)
SELECT pl_expect((SELECT count(*) FROM w), 1, 'the pool');

-- name: GetPool :one
SELECT p.* FROM pl_pools AS p
WHERE p.pool_id = @pool_id;

-- name: ListPools :many
-- Pools with their newest counters, all of them or one. Job ids are in the order of
-- arrival, so the oldest that waits has the lowest.
SELECT sqlc.embed(p), sqlc.embed(t), (
    SELECT j.created_at FROM pl_queue_jobs AS j
    WHERE j.pool_id = p.pool_id AND j.job_id = (
        SELECT q.job_id FROM pl_queued_jobs AS q
        WHERE q.pool_id = p.pool_id
        ORDER BY q.job_id
        LIMIT 1)
)::timestamptz AS oldest_queued_at
FROM pl_pools AS p
JOIN pl_pool_turns AS t ON t.pool_id = p.pool_id
    AND t.turn_no = (SELECT max(n.turn_no) FROM pl_pool_turns AS n WHERE n.pool_id = p.pool_id)
WHERE @pool_id::text = '' OR p.pool_id = @pool_id
ORDER BY p.pool_id;

-- name: InsertSources :exec
INSERT INTO pl_sources (source, created_at)
SELECT unnest(@sources::text[]), coalesce(sqlc.narg(now)::timestamptz, clock_timestamp())
ON CONFLICT (source) DO NOTHING;
