-- name: InsertOutbox :exec
INSERT INTO pl_outbox (
    source, seq, tenant, user_id, session_id, pool_id, task_id, job_id, submission,
    status, reason_code, reason, payload, created_at
)
SELECT r.source, r.seq, r.tenant, r.user_id, r.session_id, r.pool_id, r.task_id, r.job_id, r.submission,
       r.status, r.reason_code, r.reason, r.payload, r.created_at
FROM unnest(@messages::pl_message_row[]) AS r;

-- name: ListOutbox :many
SELECT o.* FROM pl_outbox AS o
ORDER BY o.source, o.seq
LIMIT @max_rows;

-- name: DeleteOutbox :exec
DELETE FROM pl_outbox AS o
USING (SELECT unnest(@sources::text[]) AS source, unnest(@seqs::bigint[]) AS seq) AS d
WHERE o.source = d.source AND o.seq = d.seq;
