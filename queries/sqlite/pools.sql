-- name: InsertPool :execrows
INSERT INTO pl_pools (
    pool_id, name, state, max_units, max_queue_depth, default_timeout_ms, queue_backend, mailbox_backend,
    runtime_adapter, priority_policy, resource_kind, max_overtakes, max_attempts, retry_base_ms, retry_max_ms,
    tenants, executors, version, created_at, updated_at
) VALUES (
    sqlc.arg(pool_id), sqlc.arg(name), sqlc.arg(state), sqlc.arg(max_units), sqlc.arg(max_queue_depth),
    sqlc.arg(default_timeout_ms), sqlc.arg(queue_backend), sqlc.arg(mailbox_backend), sqlc.arg(runtime_adapter),
    sqlc.arg(priority_policy), sqlc.arg(resource_kind), sqlc.arg(max_overtakes), sqlc.arg(max_attempts),
    sqlc.arg(retry_base_ms), sqlc.arg(retry_max_ms), sqlc.arg(tenants), sqlc.arg(executors), 1,
    sqlc.arg(now), sqlc.arg(now)
)
ON CONFLICT (pool_id) DO NOTHING;

-- name: UpdatePool :execrows
UPDATE pl_pools SET
    name = sqlc.arg(name),
    state = sqlc.arg(state),
    max_units = sqlc.arg(max_units),
    max_queue_depth = sqlc.arg(max_queue_depth),
    default_timeout_ms = sqlc.arg(default_timeout_ms),
    queue_backend = sqlc.arg(queue_backend),
    mailbox_backend = sqlc.arg(mailbox_backend),
    runtime_adapter = sqlc.arg(runtime_adapter),
    priority_policy = sqlc.arg(priority_policy),
    resource_kind = sqlc.arg(resource_kind),
    max_overtakes = sqlc.arg(max_overtakes),
    max_attempts = sqlc.arg(max_attempts),
    retry_base_ms = sqlc.arg(retry_base_ms),
    retry_max_ms = sqlc.arg(retry_max_ms),
    tenants = sqlc.arg(tenants),
    executors = sqlc.arg(executors),
    version = sqlc.arg(version),
    updated_at = sqlc.arg(now)
WHERE pool_id = sqlc.arg(pool_id) AND version = sqlc.arg(from_version);

-- name: GetPool :one
SELECT p.* FROM pl_pools AS p
WHERE p.pool_id = sqlc.arg(pool_id);

-- name: ListPools :many
SELECT p.* FROM pl_pools AS p
ORDER BY p.pool_id;

-- name: OldestQueued :many
-- Job ids are in the order of arrival.
SELECT j.created_at FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.status = 'queued'
ORDER BY j.job_id
LIMIT 1;

-- name: InsertSource :exec
INSERT INTO pl_sources (source, created_at)
VALUES (sqlc.arg(source), sqlc.arg(now))
ON CONFLICT (source) DO NOTHING;

-- name: ListSources :many
SELECT s.source FROM pl_sources AS s
ORDER BY s.source;
