-- name: UpsertWorker :one
-- The dead stay dead: their row does not change, and the caller is told (no row). The
-- caller also hears which programs may still use the schema; a SQLite file has no other
-- program beside it.
INSERT INTO pl_workers AS w (worker_id, role, host, pid, program, started_at, heartbeat_at, dead_at)
VALUES (
    @worker_id, @role, @host, @pid, @program, coalesce(sqlc.narg(started_at)::timestamptz, clock_timestamp()),
    coalesce(sqlc.narg(now)::timestamptz, clock_timestamp()), NULL
)
ON CONFLICT (worker_id) DO UPDATE SET heartbeat_at = excluded.heartbeat_at
WHERE w.dead_at IS NULL
RETURNING (xmax = 0)::boolean AS inserted, (SELECT s.oldest_program FROM pl_schema AS s) AS oldest_program;

-- name: ListWorkers :many
SELECT w.* FROM pl_workers AS w
ORDER BY w.dead_at IS NOT NULL, w.worker_id;

-- name: OtherWorkers :one
-- Whether anybody alive is registered besides these.
SELECT EXISTS (
    SELECT 1 FROM pl_workers AS w
    WHERE w.dead_at IS NULL AND w.worker_id <> ALL (@own::text[])
);

-- name: MarkDead :execrows
UPDATE pl_workers AS w SET dead_at = coalesce(sqlc.narg(now)::timestamptz, clock_timestamp())
WHERE w.dead_at IS NULL
  AND w.heartbeat_at < coalesce(sqlc.narg(now)::timestamptz, clock_timestamp()) - make_interval(secs => @ttl_secs::double precision);

-- name: ListDead :many
SELECT w.* FROM pl_workers AS w
WHERE w.dead_at IS NOT NULL
ORDER BY w.worker_id;

-- name: ForgetWorker :exec
DELETE FROM pl_workers AS w
WHERE w.worker_id = @worker_id
  AND NOT EXISTS (
    SELECT 1 FROM pl_running_jobs AS m
    CROSS JOIN LATERAL (
        SELECT o.holder FROM pl_queue_jobs AS o
        WHERE o.pool_id = m.pool_id AND o.job_id = m.job_id
        LIMIT 1
    ) AS j
    WHERE j.holder = @worker_id);

-- name: HeldJobs :many
-- Who holds a task of a worker pool is who attempts its River job.
SELECT j.*, coalesce(nullif(j.holder, ''), r.attempted_by[cardinality(r.attempted_by)], '')::text AS held_by
FROM pl_running_jobs AS m
CROSS JOIN LATERAL (
    SELECT q.* FROM pl_queue_jobs_light AS q
    WHERE q.pool_id = @pool_id AND q.job_id = m.job_id
    LIMIT 1
) AS j
LEFT JOIN river_job AS r ON r.id = nullif(j.river_job_id, 0)
WHERE m.pool_id = @pool_id AND m.job_id > @after AND j.status = 'running'
  AND (@holder::text = '' OR coalesce(nullif(j.holder, ''), r.attempted_by[cardinality(r.attempted_by)], '') = @holder)
ORDER BY m.job_id
LIMIT @max_rows;

-- name: OrphanJobs :many
-- Running tasks whose holder is not among the living; a remote worker lives as long as
-- its lease. A task with a River job that
-- nobody has attempted yet waits for a worker and is no orphan; one whose River
-- job is gone, or has ended a while ago without the task, is nobody's.
SELECT j.*, coalesce(nullif(j.holder, ''), r.attempted_by[cardinality(r.attempted_by)], '')::text AS held_by
FROM pl_running_jobs AS m
CROSS JOIN LATERAL (
    SELECT q.* FROM pl_queue_jobs_light AS q
    WHERE q.pool_id = @pool_id AND q.job_id = m.job_id
    LIMIT 1
) AS j
LEFT JOIN river_job AS r ON r.id = nullif(j.river_job_id, 0)
WHERE m.pool_id = @pool_id AND m.job_id > @after AND j.status = 'running'
  AND CASE
      WHEN j.holder LIKE 'lease:%' THEN NOT EXISTS (
          SELECT 1 FROM pl_leases AS l WHERE l.pool_id = j.pool_id AND l.job_id = j.job_id)
      WHEN j.river_job_id = 0 OR j.holder <> '' THEN NOT EXISTS (
          SELECT 1 FROM pl_workers AS w WHERE w.worker_id = j.holder AND w.dead_at IS NULL)
      WHEN r.id IS NULL OR r.finalized_at < clock_timestamp() - interval '30 seconds' THEN true
      WHEN cardinality(r.attempted_by) > 0 THEN NOT EXISTS (
          SELECT 1 FROM pl_workers AS w WHERE w.worker_id = r.attempted_by[cardinality(r.attempted_by)] AND w.dead_at IS NULL)
      ELSE false
  END
ORDER BY m.job_id
LIMIT @max_rows;
