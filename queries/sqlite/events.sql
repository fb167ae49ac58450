-- name: InsertEvent :exec
INSERT INTO pl_audit_events (
    source, seq, at, kind, pool_id, task_id, job_id, submission, tenant, attempt, units,
    status, reason_code, reason, actor, subjects, detail
) VALUES (
    sqlc.arg(source), sqlc.arg(seq), sqlc.arg(at), sqlc.arg(kind), sqlc.arg(pool_id), sqlc.arg(task_id), sqlc.arg(job_id),
    sqlc.arg(submission), sqlc.arg(tenant), sqlc.arg(attempt), sqlc.arg(units), sqlc.arg(status), sqlc.arg(reason_code),
    sqlc.arg(reason), sqlc.arg(actor), sqlc.arg(subjects), sqlc.narg(detail)
);

-- name: Events :many
-- Of one source; readers merge. One query for each way in, so that each has its index.
SELECT e.* FROM pl_audit_events AS e
WHERE e.source = sqlc.arg(source) AND e.seq > sqlc.arg(after)
  AND (CAST(sqlc.arg(kind) AS TEXT) = '' OR e.kind = sqlc.arg(kind))
  AND e.at >= sqlc.arg(from_at) AND e.at < sqlc.arg(to_at)
  AND (CAST(sqlc.arg(subject) AS TEXT) = '' OR EXISTS (
    SELECT 1 FROM json_each(e.subjects) AS s WHERE s.value = CAST(sqlc.arg(subject) AS TEXT)))
ORDER BY e.seq
LIMIT sqlc.arg(max_rows);

-- name: EventsOfTask :many
SELECT e.* FROM pl_audit_events AS e
WHERE e.source = sqlc.arg(source) AND e.seq > sqlc.arg(after)
  AND e.task_id = sqlc.arg(task_id) AND e.task_id <> ''
  AND (CAST(sqlc.arg(tenant) AS TEXT) = '' OR e.tenant = sqlc.arg(tenant))
  AND (CAST(sqlc.arg(kind) AS TEXT) = '' OR e.kind = sqlc.arg(kind))
  AND e.at >= sqlc.arg(from_at) AND e.at < sqlc.arg(to_at)
  AND (CAST(sqlc.arg(subject) AS TEXT) = '' OR EXISTS (
    SELECT 1 FROM json_each(e.subjects) AS s WHERE s.value = CAST(sqlc.arg(subject) AS TEXT)))
ORDER BY e.seq
LIMIT sqlc.arg(max_rows);

-- name: EventsOfTenant :many
SELECT e.* FROM pl_audit_events AS e
WHERE e.source = sqlc.arg(source) AND e.seq > sqlc.arg(after)
  AND e.tenant = sqlc.arg(tenant) AND e.tenant <> ''
  AND (CAST(sqlc.arg(kind) AS TEXT) = '' OR e.kind = sqlc.arg(kind))
  AND e.at >= sqlc.arg(from_at) AND e.at < sqlc.arg(to_at)
  AND (CAST(sqlc.arg(subject) AS TEXT) = '' OR EXISTS (
    SELECT 1 FROM json_each(e.subjects) AS s WHERE s.value = CAST(sqlc.arg(subject) AS TEXT)))
ORDER BY e.seq
LIMIT sqlc.arg(max_rows);
