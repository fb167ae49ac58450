-- name: InsertEvent :exec
INSERT INTO pl_audit_events (
    source, seq, at, kind, pool_id, task_id, job_id, submission, tenant, attempt, units,
    status, reason_code, reason, actor, subjects, detail
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: Events :many
-- Of one source; readers merge. One query for each way in, so that each has its index.
SELECT e.* FROM pl_audit_events AS e
WHERE e.source = sqlc.arg(source) AND e.seq > sqlc.arg(after)
  AND (CAST(sqlc.arg(kind) AS TEXT) = '' OR e.kind = sqlc.arg(kind))
  AND e.at >= sqlc.arg(from_at) AND e.at < sqlc.arg(to_at)
  AND (CAST(sqlc.arg(subject) AS TEXT) = '' OR EXISTS (
    SELECT 1 FROM json_each(e.subjects) AS s WHERE s.value = CAST(sqlc.arg(subject) AS TEXT)))
ORDER BY e.seq
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: EventsOfTask :many
-- INDEXED BY, because without statistics the planner prefers the key, and would walk over
-- all events of the source.
SELECT e.* FROM pl_audit_events AS e INDEXED BY pl_audit_events_task
WHERE e.source = sqlc.arg(source) AND e.seq > sqlc.arg(after)
  AND e.task_id = sqlc.arg(task_id) AND e.task_id <> ''
  AND (CAST(sqlc.arg(tenant) AS TEXT) = '' OR e.tenant = sqlc.arg(tenant))
  AND (CAST(sqlc.arg(kind) AS TEXT) = '' OR e.kind = sqlc.arg(kind))
  AND e.at >= sqlc.arg(from_at) AND e.at < sqlc.arg(to_at)
  AND (CAST(sqlc.arg(subject) AS TEXT) = '' OR EXISTS (
    SELECT 1 FROM json_each(e.subjects) AS s WHERE s.value = CAST(sqlc.arg(subject) AS TEXT)))
ORDER BY e.seq
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: EventsOfTenant :many
SELECT e.* FROM pl_audit_events AS e INDEXED BY pl_audit_events_tenant
WHERE e.source = sqlc.arg(source) AND e.seq > sqlc.arg(after)
  AND e.tenant = sqlc.arg(tenant) AND e.tenant <> ''
  AND (CAST(sqlc.arg(kind) AS TEXT) = '' OR e.kind = sqlc.arg(kind))
  AND e.at >= sqlc.arg(from_at) AND e.at < sqlc.arg(to_at)
  AND (CAST(sqlc.arg(subject) AS TEXT) = '' OR EXISTS (
    SELECT 1 FROM json_each(e.subjects) AS s WHERE s.value = CAST(sqlc.arg(subject) AS TEXT)))
ORDER BY e.seq
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);
