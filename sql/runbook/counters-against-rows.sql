-- Do the counters equal the rows they count? No rows: they do.
-- One statement, one snapshot: right even while the system runs.
WITH newest AS (
    SELECT DISTINCT ON (t.pool_id) t.pool_id, t.active_units, t.running, t.queued, t.waiting
    FROM pl_pool_turns AS t
    ORDER BY t.pool_id, t.turn_no DESC
), counted AS (
    SELECT p.pool_id,
           coalesce(sum(j.resource_units) FILTER (WHERE j.status = 'running'), 0) AS active_units,
           count(j.job_id) FILTER (WHERE j.status = 'running') AS running,
           count(j.job_id) FILTER (WHERE j.status = 'queued' AND j.not_before IS NULL) AS queued,
           count(j.job_id) FILTER (WHERE j.status = 'queued' AND j.not_before IS NOT NULL) AS waiting
    FROM pl_pools AS p
    LEFT JOIN pl_live_jobs AS j ON j.pool_id = p.pool_id
    GROUP BY p.pool_id
)
SELECT n.pool_id, n.active_units AS counter_units, c.active_units AS row_units,
       n.running AS counter_running, c.running AS row_running,
       n.queued AS counter_queued, c.queued AS row_queued,
       n.waiting AS counter_waiting, c.waiting AS row_waiting
FROM newest AS n
JOIN counted AS c ON c.pool_id = n.pool_id
WHERE (n.active_units, n.running, n.queued, n.waiting)
      IS DISTINCT FROM (c.active_units::bigint, c.running, c.queued, c.waiting);
