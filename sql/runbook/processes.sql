-- The processes, how fresh they are, and what they hold.
SELECT w.worker_id, w.role, w.host, w.pid, w.started_at, now() - w.heartbeat_at AS heartbeat_age,
       w.dead_at, count(j.job_id) AS tasks, coalesce(sum(j.resource_units), 0) AS units
FROM pl_workers AS w
LEFT JOIN pl_live_jobs AS j ON j.holder = w.worker_id AND j.status = 'running'
GROUP BY w.worker_id
ORDER BY w.dead_at NULLS FIRST, w.started_at;
