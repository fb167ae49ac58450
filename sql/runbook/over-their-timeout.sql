-- Running tasks that are past their own timeout by more than a minute: their
-- executor does not stop, or their holder is gone.
SELECT j.pool_id, j.task_id, j.attempt, j.resource_units AS units, j.holder, j.river_job_id,
       now() - j.started_at AS running_for, j.timeout_ms * interval '1 millisecond' AS timeout
FROM pl_live_jobs AS j
WHERE j.status = 'running'
  AND j.started_at + (j.timeout_ms + 60000) * interval '1 millisecond' < now()
ORDER BY j.started_at;
