-- Tasks of worker pools that were admitted more than ten seconds ago and that no
-- worker process has fetched: are there workers for the pool, and do they have room?
SELECT j.pool_id, j.task_id, j.resource_units AS units, now() - j.started_at AS unclaimed_for, r.queue, r.state
FROM pl_live_jobs AS j
JOIN river_job AS r ON r.id = j.river_job_id
WHERE j.status = 'running' AND r.state = 'available' AND j.started_at < now() - interval '10 seconds'
ORDER BY j.started_at;
