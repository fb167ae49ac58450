-- name: InsertOutbox :exec
INSERT INTO pl_outbox (
    source, seq, tenant, user_id, session_id, pool_id, task_id, job_id, submission,
    status, reason_code, reason, payload, created_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: ListOutbox :many
SELECT o.* FROM pl_outbox AS o
ORDER BY o.source, o.seq
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: DeleteOutbox :exec
DELETE FROM pl_outbox
WHERE source = sqlc.arg(source) AND seq = sqlc.arg(seq);
