-- name: InsertOutbox :exec
INSERT INTO pl_outbox (
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

-- name: ListOutbox :many
SELECT o.* FROM pl_outbox AS o
ORDER BY o.source, o.seq
LIMIT @max_rows;

-- name: DeleteOutbox :exec
DELETE FROM pl_outbox AS o
USING (SELECT unnest(@sources::text[]) AS source, unnest(@seqs::bigint[]) AS seq) AS d
WHERE o.source = d.source AND o.seq = d.seq;
