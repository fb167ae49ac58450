-- The twenty tasks that have waited longest, and what stands in front of them.
SELECT j.pool_id, j.task_id, j.tenant, j.resource_units AS units, now() - j.created_at AS waited,
       j.overtaken, j.not_before, j.deadline, p.state, p.max_units,
       (SELECT t.active_units FROM pl_pool_turns AS t
        WHERE t.pool_id = j.pool_id ORDER BY t.turn_no DESC LIMIT 1) AS active_units
FROM pl_live_jobs AS j
JOIN pl_pools AS p ON p.pool_id = j.pool_id
WHERE j.status = 'queued'
ORDER BY j.created_at
LIMIT 20;
