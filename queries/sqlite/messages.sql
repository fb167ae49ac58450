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
  AND m.created_at >= sqlc.arg(since) AND m.acked_at IS NULL
ORDER BY m.seq
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: MessagesOfUser :many
-- any_session 1: of all sessions of the user.
SELECT m.* FROM pl_mailbox_messages AS m
WHERE m.tenant = sqlc.arg(tenant) AND m.user_id = sqlc.arg(user_id) AND m.user_id <> ''
  AND m.source = sqlc.arg(source) AND m.seq > sqlc.arg(after)
  AND (CAST(sqlc.arg(any_session) AS INTEGER) = 1 OR m.session_id = sqlc.arg(session_id))
  AND m.created_at >= sqlc.arg(since) AND m.acked_at IS NULL
ORDER BY m.seq
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: AckMessagesOfTenant :execrows
-- Of one source, some of what a read up to the cursor would have returned.
UPDATE pl_mailbox_messages SET acked_at = CAST(sqlc.arg(now) AS INTEGER)
WHERE pl_mailbox_messages.source = sqlc.arg(source) AND pl_mailbox_messages.seq IN (
    SELECT m.seq FROM pl_mailbox_messages AS m
    WHERE m.tenant = sqlc.arg(tenant) AND m.source = sqlc.arg(source) AND m.seq <= sqlc.arg(up_to)
      AND m.created_at >= sqlc.arg(since) AND m.acked_at IS NULL
    ORDER BY m.seq
    LIMIT CAST(sqlc.arg(max_rows) AS INTEGER));

-- name: AckMessagesOfUser :execrows
-- any_session 1: of all sessions of the user.
UPDATE pl_mailbox_messages SET acked_at = CAST(sqlc.arg(now) AS INTEGER)
WHERE pl_mailbox_messages.source = sqlc.arg(source) AND pl_mailbox_messages.seq IN (
    SELECT m.seq FROM pl_mailbox_messages AS m
    WHERE m.tenant = sqlc.arg(tenant) AND m.user_id = sqlc.arg(user_id) AND m.user_id <> ''
      AND m.source = sqlc.arg(source) AND m.seq <= sqlc.arg(up_to)
      AND (CAST(sqlc.arg(any_session) AS INTEGER) = 1 OR m.session_id = sqlc.arg(session_id))
      AND m.created_at >= sqlc.arg(since) AND m.acked_at IS NULL
    ORDER BY m.seq
    LIMIT CAST(sqlc.arg(max_rows) AS INTEGER));

-- name: PostedMessages :many
-- Of one source; readers merge. Long payloads stay where they are.
SELECT m.source, m.seq, m.tenant, m.user_id, m.session_id, m.pool_id, m.task_id, m.job_id, m.submission,
       m.status, m.reason_code, m.reason, m.created_at, m.acked_at,
       CAST(CASE WHEN octet_length(m.payload) <= CAST(sqlc.arg(max_payload) AS INTEGER) THEN m.payload ELSE '' END AS TEXT) AS payload,
       CAST(coalesce(octet_length(m.payload) > CAST(sqlc.arg(max_payload) AS INTEGER), 0) AS INTEGER) AS cut
FROM pl_mailbox_messages AS m
WHERE m.source = sqlc.arg(source) AND m.seq > sqlc.arg(after)
ORDER BY m.seq
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: MessageHeads :many
SELECT s.source, CAST((SELECT max(m.seq) FROM pl_mailbox_messages AS m WHERE m.source = s.source) AS INTEGER) AS seq
FROM pl_sources AS s
WHERE EXISTS (SELECT 1 FROM pl_mailbox_messages AS m WHERE m.source = s.source);
