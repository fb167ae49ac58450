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
