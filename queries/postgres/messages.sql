-- name: InsertMessages :exec
INSERT INTO pl_mailbox_messages (
    source, seq, tenant, user_id, session_id, pool_id, task_id, job_id, submission,
    status, reason_code, reason, payload, created_at
)
SELECT r.source, r.seq, r.tenant, r.user_id, r.session_id, r.pool_id, r.task_id, r.job_id, r.submission,
       r.status, r.reason_code, r.reason, r.payload, r.created_at
FROM unnest(@messages::pl_message_row[]) AS r;

-- name: PutMessages :exec
-- Messages that came through another backend's outbox; what is there stays as it is.
INSERT INTO pl_mailbox_messages (
    source, seq, tenant, user_id, session_id, pool_id, task_id, job_id, submission,
    status, reason_code, reason, payload, created_at
)
SELECT r.source, r.seq, r.tenant, r.user_id, r.session_id, r.pool_id, r.task_id, r.job_id, r.submission,
       r.status, r.reason_code, r.reason, r.payload, r.created_at
FROM unnest(@messages::pl_message_row[]) AS r
ON CONFLICT DO NOTHING;

-- name: MessagesOfTenant :many
-- A seek in every source from its place in the cursor, then merged: within a source
-- seq is the order of commits, so nothing can ever appear behind a cursor.
SELECT m.*
FROM pl_sources AS s
LEFT JOIN (SELECT unnest(@cursor_sources::text[]) AS source, unnest(@cursor_seqs::bigint[]) AS seq) AS c ON c.source = s.source
CROSS JOIN LATERAL (
    SELECT (CASE WHEN @since::timestamptz = '-infinity' THEN 1 ELSE pl_first_message_seq(s.source, @since) END)::bigint AS seq
) AS f
CROSS JOIN LATERAL (
    SELECT i.* FROM pl_mailbox_messages AS i
    WHERE i.tenant = @tenant AND i.source = s.source AND i.seq > coalesce(c.seq, 0) AND i.seq >= f.seq
      AND i.created_at >= @since AND i.acked_at IS NULL
    ORDER BY i.seq
    LIMIT @max_rows
) AS m
ORDER BY m.created_at, m.source, m.seq
LIMIT @max_rows;

-- name: MessagesOfUser :many
-- The same for one user, all sessions or one.
SELECT m.*
FROM pl_sources AS s
LEFT JOIN (SELECT unnest(@cursor_sources::text[]) AS source, unnest(@cursor_seqs::bigint[]) AS seq) AS c ON c.source = s.source
CROSS JOIN LATERAL (
    SELECT (CASE WHEN @since::timestamptz = '-infinity' THEN 1 ELSE pl_first_message_seq(s.source, @since) END)::bigint AS seq
) AS f
CROSS JOIN LATERAL (
    SELECT i.* FROM pl_mailbox_messages AS i
    WHERE i.tenant = @tenant AND i.user_id = @user_id AND i.user_id <> ''
      AND i.source = s.source AND i.seq > coalesce(c.seq, 0) AND i.seq >= f.seq
      AND (@any_session::boolean OR i.session_id = @session_id)
      AND i.created_at >= @since AND i.acked_at IS NULL
    ORDER BY i.seq
    LIMIT @max_rows
) AS m
ORDER BY m.created_at, m.source, m.seq
LIMIT @max_rows;

-- name: AckMessagesOfTenant :execrows
-- Some of what a read up to the cursor would have returned. Locked in the order of the
-- key, so that who acknowledges the same messages through another key waits its turn.
WITH mine AS (
    SELECT i.source, i.seq
    FROM (SELECT unnest(@cursor_sources::text[]) AS source, unnest(@cursor_seqs::bigint[]) AS seq) AS c
    JOIN pl_mailbox_messages AS i ON i.source = c.source AND i.seq <= c.seq
    WHERE i.tenant = @tenant AND i.created_at >= @since AND i.acked_at IS NULL
    ORDER BY i.source, i.seq
    LIMIT @max_rows
    FOR NO KEY UPDATE OF i
)
UPDATE pl_mailbox_messages AS m SET acked_at = coalesce(sqlc.narg(now)::timestamptz, clock_timestamp())
FROM mine
WHERE m.source = mine.source AND m.seq = mine.seq AND m.acked_at IS NULL;

-- name: AckMessagesOfUser :execrows
-- The same for one user, all sessions or one.
WITH mine AS (
    SELECT i.source, i.seq
    FROM (SELECT unnest(@cursor_sources::text[]) AS source, unnest(@cursor_seqs::bigint[]) AS seq) AS c
    JOIN pl_mailbox_messages AS i ON i.source = c.source AND i.seq <= c.seq
    WHERE i.tenant = @tenant AND i.user_id = @user_id AND i.user_id <> ''
      AND (@any_session::boolean OR i.session_id = @session_id)
      AND i.created_at >= @since AND i.acked_at IS NULL
    ORDER BY i.source, i.seq
    LIMIT @max_rows
    FOR NO KEY UPDATE OF i
)
UPDATE pl_mailbox_messages AS m SET acked_at = coalesce(sqlc.narg(now)::timestamptz, clock_timestamp())
FROM mine
WHERE m.source = mine.source AND m.seq = mine.seq AND m.acked_at IS NULL;

-- name: PostedMessages :many
-- Of every mailbox, by the primary key. Long payloads stay where they are (the length of
-- a stored text is known without reading it).
SELECT m.source, m.seq, m.tenant, m.user_id, m.session_id, m.pool_id, m.task_id, m.job_id, m.submission,
       m.status, m.reason_code, m.reason, m.payload, m.created_at, m.acked_at, m.cut
FROM pl_sources AS s
LEFT JOIN (SELECT unnest(@cursor_sources::text[]) AS source, unnest(@cursor_seqs::bigint[]) AS seq) AS c ON c.source = s.source
CROSS JOIN LATERAL (
    SELECT i.source, i.seq, i.tenant, i.user_id, i.session_id, i.pool_id, i.task_id, i.job_id, i.submission,
           i.status, i.reason_code, i.reason, i.created_at, i.acked_at,
           (CASE WHEN octet_length(i.payload) <= @max_payload::integer THEN i.payload ELSE '' END)::text AS payload,
           coalesce(octet_length(i.payload) > @max_payload::integer, false)::boolean AS cut
    FROM pl_mailbox_messages AS i
    WHERE i.source = s.source AND i.seq > coalesce(c.seq, 0)
    ORDER BY i.seq
    LIMIT @max_rows
) AS m
WHERE @source::text = '' OR s.source = @source
ORDER BY m.created_at, m.source, m.seq
LIMIT @max_rows;

-- name: MessageHeads :many
SELECT s.source, m.seq
FROM pl_sources AS s
CROSS JOIN LATERAL (
    SELECT i.seq FROM pl_mailbox_messages AS i WHERE i.source = s.source ORDER BY i.seq DESC LIMIT 1
) AS m;
