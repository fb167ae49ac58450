-- Units in use after every event of a pool in the last hour, from the audit trail
-- alone, with the highest first. Set the pool: \set pool llm
WITH ledger AS (
    SELECT e.source, e.seq, e.at, e.kind, e.task_id,
           CASE WHEN e.kind = 'start' THEN e.units
                WHEN e.kind IN ('complete', 'fail', 'expire', 'retry', 'lost') AND e.attempt > 0 THEN -e.units
                ELSE 0 END AS delta
    FROM pl_audit_events AS e
    WHERE e.source = :'pool'
), used AS (
    SELECT l.*, sum(l.delta) OVER (ORDER BY l.seq) AS in_use
    FROM ledger AS l
)
SELECT u.seq, u.at, u.kind, u.task_id, u.delta, u.in_use
FROM used AS u
WHERE u.at >= now() - interval '1 hour'
ORDER BY u.in_use DESC, u.seq
LIMIT 20;
