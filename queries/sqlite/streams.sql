-- name: EventHeads :many
SELECT s.source, CAST((SELECT max(e.seq) FROM pl_audit_events AS e WHERE e.source = s.source) AS INTEGER) AS seq
FROM pl_sources AS s
WHERE EXISTS (SELECT 1 FROM pl_audit_events AS e WHERE e.source = s.source);
