-- name: EventHeads :many
SELECT s.source, e.seq
FROM pl_sources AS s
CROSS JOIN LATERAL (
    SELECT a.seq FROM pl_audit_events AS a WHERE a.source = s.source ORDER BY a.seq DESC LIMIT 1
) AS e;
