-- name: InsertMessages :exec
INSERT INTO pl_mailbox_messages (
    source, seq, tenant, user_id, session_id, pool_id, task_id, job_id, submission,
    status, reason_code, reason, payload, created_at
)
SELECT r.source, r.seq, r.tenant, r.user_id, r.session_id, r.pool_id, r.task_id, r.job_id, r.submission,
       r.status, r.reason_code, r.reason, nullif(r.payload, ''), r.created_at
FROM (
    SELECT
        unnest(@sources::text[]) AS source,
        unnest(@seqs::bigint[]) AS seq,
        unnest(@tenants::text[]) AS tenant,
        unnest(@user_ids::text[]) AS user_id,
        unnest(@session_ids::text[]) AS session_id,
        unnest(@pool_ids::text[]) AS pool_id,
        unnest(@task_ids::text[]) AS task_id,
        unnest(@job_ids::bigint[]) AS job_id,
        unnest(@submissions::integer[]) AS submission,
        unnest(@statuses::text[]) AS status,
        unnest(@reason_codes::text[]) AS reason_code,
        unnest(@reasons::text[]) AS reason,
        unnest(@payloads::text[]) AS payload,
        unnest(@created_ats::timestamptz[]) AS created_at
) AS r;

-- name: PutMessages :exec
-- Messages that came through another backend's outbox; what is there stays as it is.
INSERT INTO pl_mailbox_messages (
    source, seq, tenant, user_id, session_id, pool_id, task_id, job_id, submission,
    status, reason_code, reason, payload, created_at
)
SELECT r.source, r.seq, r.tenant, r.user_id, r.session_id, r.pool_id, r.task_id, r.job_id, r.submission,
       r.status, r.reason_code, r.reason, nullif(r.payload, ''), r.created_at
FROM (
    SELECT
        unnest(@sources::text[]) AS source,
        unnest(@seqs::bigint[]) AS seq,
        unnest(@tenants::text[]) AS tenant,
        unnest(@user_ids::text[]) AS user_id,
        unnest(@session_ids::text[]) AS session_id,
        unnest(@pool_ids::text[]) AS pool_id,
        unnest(@task_ids::text[]) AS task_id,
        unnest(@job_ids::bigint[]) AS job_id,
        unnest(@submissions::integer[]) AS submission,
        unnest(@statuses::text[]) AS status,
        unnest(@reason_codes::text[]) AS reason_code,
        unnest(@reasons::text[]) AS reason,
        unnest(@payloads::text[]) AS payload,
        unnest(@created_ats::timestamptz[]) AS created_at
) AS r
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
      AND i.created_at >= @since
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
      AND i.created_at >= @since
    ORDER BY i.seq
    LIMIT @max_rows
) AS m
ORDER BY m.created_at, m.source, m.seq
LIMIT @max_rows;
