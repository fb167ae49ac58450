-- name: OldestJobs :many
-- A walk over the key from its low end: what was created too late for all that follows
-- ends it.
SELECT j.job_id, j.created_at, j.finished_at FROM pl_queue_jobs AS j
WHERE j.pool_id = sqlc.arg(pool_id) AND j.job_id > sqlc.arg(after)
ORDER BY j.job_id
LIMIT CAST(sqlc.arg(max_rows) AS INTEGER);

-- name: DeleteJob :execrows
-- One at a time: a statement more costs nothing here.
DELETE FROM pl_queue_jobs
WHERE pool_id = sqlc.arg(pool_id) AND job_id = sqlc.arg(job_id) AND finished_at IS NOT NULL;

-- name: DeleteAckedMessages :many
-- It returns the source of each.
DELETE FROM pl_mailbox_messages
WHERE rowid IN (
    SELECT m.rowid FROM pl_mailbox_messages AS m
    WHERE m.acked_at IS NOT NULL AND m.acked_at < sqlc.arg(before)
    ORDER BY m.acked_at
    LIMIT CAST(sqlc.arg(max_rows) AS INTEGER))
RETURNING source;

-- name: DeleteOldMessages :execrows
-- The first of a source; within it created_at never falls as seq grows.
DELETE FROM pl_mailbox_messages AS d
WHERE d.source = sqlc.arg(source) AND d.created_at < sqlc.arg(before) AND d.seq IN (
    SELECT m.seq FROM pl_mailbox_messages AS m
    WHERE m.source = sqlc.arg(source)
    ORDER BY m.seq
    LIMIT CAST(sqlc.arg(max_rows) AS INTEGER));

-- name: DeleteOldEvents :execrows
DELETE FROM pl_audit_events AS d
WHERE d.source = sqlc.arg(source) AND d.at < sqlc.arg(before) AND d.seq IN (
    SELECT e.seq FROM pl_audit_events AS e
    WHERE e.source = sqlc.arg(source)
    ORDER BY e.seq
    LIMIT CAST(sqlc.arg(max_rows) AS INTEGER));
