-- name: LastTurn :one
SELECT t.* FROM pl_pool_turns AS t
WHERE t.pool_id = sqlc.arg(pool_id)
ORDER BY t.turn_no DESC
LIMIT 1;

-- name: InsertTurn :exec
INSERT INTO pl_pool_turns (
    pool_id, turn_no, turn_id, at, active_units, ceiling, running, queued, queued_low, queued_normal,
    queued_high, queued_critical, waiting, virtual_time, job_seq, rank_seq, event_seq, message_seq, next_due_at,
    drained
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: RecentTurns :many
-- The newest turns of a pool, newest first.
SELECT t.* FROM pl_pool_turns AS t
WHERE t.pool_id = sqlc.arg(pool_id)
ORDER BY t.turn_no DESC
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: TurnCommitted :one
SELECT count(*) FROM pl_pool_turns AS t
WHERE t.pool_id = sqlc.arg(pool_id) AND t.turn_no = sqlc.arg(turn_no) AND t.turn_id = sqlc.arg(turn_id);

-- name: PruneTurns :execrows
-- Old rows, but for the newest before each midnight (UTC) that the audit trail begins at, or
-- may begin at once retention has deleted the days before it: a proof starts from there.
-- SQLite is built without LIMIT on DELETE: the bound is on the key, oldest first.
DELETE FROM pl_pool_turns
WHERE pl_pool_turns.pool_id = sqlc.arg(pool_id)
  AND pl_pool_turns.turn_no IN (
    SELECT o.turn_no
    FROM (
        SELECT i.turn_no, i.at, lead(i.at) OVER (ORDER BY i.turn_no) AS next_at
        FROM pl_pool_turns AS i
        WHERE i.pool_id = sqlc.arg(pool_id)
          AND i.turn_no <= (SELECT max(n.turn_no) FROM pl_pool_turns AS n WHERE n.pool_id = sqlc.arg(pool_id)) + 1 - sqlc.arg(keep)
    ) AS o
    WHERE o.at / 86400000000 = o.next_at / 86400000000
       OR o.next_at < (SELECT h.cut_at FROM pl_horizons AS h WHERE h.source = '' AND h.what = 'audit')
    ORDER BY o.turn_no
    LIMIT 10000
  );

-- name: CountJobs :one
-- The rows that the counters of a turn count.
SELECT
    CAST(coalesce(sum(j.resource_units) FILTER (WHERE j.status = 'running'), 0) AS INTEGER) AS active_units,
    count(*) FILTER (WHERE j.status = 'running') AS running,
    count(*) FILTER (WHERE j.status = 'queued' AND j.not_before IS NULL) AS queued,
    count(*) FILTER (WHERE j.status = 'queued' AND j.not_before IS NULL AND j.priority = 0) AS queued_low,
    count(*) FILTER (WHERE j.status = 'queued' AND j.not_before IS NULL AND j.priority = 1) AS queued_normal,
    count(*) FILTER (WHERE j.status = 'queued' AND j.not_before IS NULL AND j.priority = 2) AS queued_high,
    count(*) FILTER (WHERE j.status = 'queued' AND j.not_before IS NULL AND j.priority = 3) AS queued_critical,
    count(*) FILTER (WHERE j.status = 'queued' AND j.not_before IS NOT NULL) AS waiting
FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND (j.status = 'queued' OR j.status = 'running');

-- name: CountTenantJobs :many
SELECT
    j.tenant,
    CAST(coalesce(sum(j.resource_units) FILTER (WHERE j.status = 'running'), 0) AS INTEGER) AS active_units,
    count(*) FILTER (WHERE j.status = 'queued') AS queued
FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND (j.status = 'queued' OR j.status = 'running')
GROUP BY j.tenant
ORDER BY j.tenant;
