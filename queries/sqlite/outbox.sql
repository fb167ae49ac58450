-- name: InsertOutbox :exec
INSERT INTO pl_outbox (
    source, seq, tenant, user_id, session_id, pool_id, task_id, job_id, submission,
    status, reason_code, reason, payload, created_at
) VALUES (
    sqlc.arg(source), sqlc.arg(seq), sqlc.arg(tenant), sqlc.arg(user_id), sqlc.arg(session_id), sqlc.arg(pool_id),
    sqlc.arg(task_id), sqlc.arg(job_id), sqlc.arg(submission), sqlc.arg(status), sqlc.arg(reason_code), sqlc.arg(reason),
    sqlc.narg(payload), sqlc.arg(created_at)
);

-- name: ListOutbox :many
SELECT o.* FROM pl_outbox AS o
ORDER BY o.source, o.seq
LIMIT sqlc.arg(max_rows);

-- name: DeleteOutbox :exec
DELETE FROM pl_outbox
WHERE source = sqlc.arg(source) AND seq = sqlc.arg(seq);
