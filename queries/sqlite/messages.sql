-- name: InsertMessage :exec
INSERT INTO pl_mailbox_messages (
    source, seq, tenant, user_id, session_id, pool_id, task_id, job_id, submission,
    status, reason_code, reason, payload, created_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: PutMessage :exec
-- A message that came through another backend's outbox; once there, it stays as it is.
INSERT INTO pl_mailbox_messages (
    source, seq, tenant, user_id, session_id, pool_id, task_id, job_id, submission,
    status, reason_code, reason, payload, created_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: MessagesOfTenant :many
-- Of one source; readers merge.
SELECT m.* FROM pl_mailbox_messages AS m
WHERE m.tenant = sqlc.arg(tenant) AND m.source = sqlc.arg(source) AND m.seq > sqlc.arg(after)
  AND m.created_at >= sqlc.arg(since)
ORDER BY m.seq
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: MessagesOfUser :many
-- any_session 1: of all sessions of the user.
SELECT m.* FROM pl_mailbox_messages AS m
WHERE m.tenant = sqlc.arg(tenant) AND m.user_id = sqlc.arg(user_id) AND m.user_id <> ''
  AND m.source = sqlc.arg(source) AND m.seq > sqlc.arg(after)
  AND (CAST(sqlc.arg(any_session) AS INTEGER) = 1 OR m.session_id = sqlc.arg(session_id))
  AND m.created_at >= sqlc.arg(since)
ORDER BY m.seq
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);
