-- name: SweepNow :one
-- The clock that retention goes by.
SELECT coalesce(sqlc.narg(now)::timestamptz, clock_timestamp())::timestamptz AS now;

-- name: OldestJobs :many
-- A walk over the key from its low end: what was created too late for all that follows
-- ends it.
SELECT j.job_id, j.created_at, j.finished_at FROM pl_queue_jobs AS j
WHERE j.pool_id = @pool_id AND j.job_id > @after
ORDER BY j.job_id
LIMIT @max_rows;

-- name: DeleteJobs :execrows
DELETE FROM pl_queue_jobs AS j
WHERE j.pool_id = @pool_id AND j.job_id = ANY (@job_ids::bigint[]) AND j.finished_at IS NOT NULL;

-- name: AckedMessages :many
SELECT m.source, m.seq FROM pl_mailbox_messages AS m
WHERE m.acked_at IS NOT NULL AND m.acked_at < @before
ORDER BY m.acked_at
LIMIT @max_rows;

-- name: OldMessages :many
SELECT m.source, m.seq FROM pl_mailbox_messages AS m
WHERE m.source = @source AND m.seq < pl_first_message_seq(@source, @before)
ORDER BY m.seq
LIMIT @max_rows;

-- name: MessageSources :many
SELECT s.source FROM pl_sources AS s ORDER BY s.source;

-- name: DeleteMessages :execrows
DELETE FROM pl_mailbox_messages AS m
USING (SELECT unnest(@sources::text[]) AS source, unnest(@seqs::bigint[]) AS seq) AS d
WHERE m.source = d.source AND m.seq = d.seq;

-- name: DropAuditDay :one
-- Drops the oldest day that ended before, if there is one: 1, else 0.
SELECT pl_drop_audit_day(@before)::bigint AS dropped;

-- name: OldestAuditDay :one
SELECT pl_oldest_audit_day()::date AS day;
