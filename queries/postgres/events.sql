-- name: InsertEvents :exec
INSERT INTO pl_audit_events (
    source, seq, at, kind, pool_id, task_id, job_id, submission, tenant, attempt, units,
    status, reason_code, reason, actor, subjects, detail
)
SELECT r.source, r.seq, r.at, r.kind, r.pool_id, r.task_id, r.job_id, r.submission, r.tenant, r.attempt, r.units,
       r.status, r.reason_code, r.reason, r.actor, r.subjects, r.detail
FROM unnest(@events::pl_event_row[]) AS r;

-- name: SummariseEvents :exec
-- Asked for by who wrote a source's first event of a block: all blocks before it are finished.
SELECT pl_audit_summarise(@source, @before_block, @now);

-- name: SummarySettings :exec
-- In the implicit transaction of SummariseEvents, after PlannerSettings. What a crash takes back is made again
-- with the next block, so nobody waits for the disk.
SELECT
    set_config('synchronous_commit', 'off', true),
    set_config('statement_timeout', @statement::text, true);

-- name: Events :many
-- A seek in every source from its place in the cursor, then merged. One query for each
-- way in; from and to become numbers, and prune partitions.
SELECT e.*
FROM pl_sources AS s
LEFT JOIN (SELECT unnest(@cursor_sources::text[]) AS source, unnest(@cursor_seqs::bigint[]) AS seq) AS c ON c.source = s.source
CROSS JOIN LATERAL (
    SELECT greatest(coalesce(c.seq, 0) + 1, pl_first_event_seq(s.source, @from_at)) AS first, pl_first_event_seq(s.source, @to_at) AS before
) AS r
CROSS JOIN LATERAL (
    SELECT a.* FROM pl_audit_events AS a
    WHERE a.source = s.source AND a.seq >= r.first AND a.seq < r.before
      AND a.at >= @from_at AND a.at < @to_at
    ORDER BY a.seq
    LIMIT @max_rows
) AS e
WHERE @pool_id::text = '' OR s.source = @pool_id
ORDER BY e.at, e.source, e.seq
LIMIT @max_rows;

-- name: EventsOfTask :many
-- Over all sources at once: a task has few events. The pool is compared with an
-- expression, or the planner might walk over all of that pool instead.
SELECT a.*
FROM pl_audit_events AS a
LEFT JOIN (SELECT unnest(@cursor_sources::text[]) AS source, unnest(@cursor_seqs::bigint[]) AS seq) AS c ON c.source = a.source
WHERE a.task_id = @task_id AND a.task_id <> '' AND a.seq > coalesce(c.seq, 0)
  AND (@pool_id::text = '' OR a.source || '' = @pool_id)
  AND (@tenant::text = '' OR a.tenant = @tenant)
  AND a.at >= @from_at AND a.at < @to_at
  AND (@kind::text = '' OR a.kind = @kind)
  AND (@subject::text = '' OR @subject = ANY (pl_event_subjects(a.subjects, a.task_id, a.pool_id, a.tenant)))
ORDER BY a.at, a.source, a.seq
LIMIT @max_rows;

-- name: EventsOfKey :many
-- By the blocks that have something of the key, and of the other one where there is one.
SELECT e.*
FROM pl_sources AS s
LEFT JOIN (SELECT unnest(@cursor_sources::text[]) AS source, unnest(@cursor_seqs::bigint[]) AS seq) AS c ON c.source = s.source
CROSS JOIN LATERAL pl_audit_find(
    s.source, greatest(coalesce(c.seq, 0) + 1, pl_first_event_seq(s.source, @from_at)), pl_first_event_seq(s.source, @to_at),
    @key::text, @also::text, @tenant::text, @kind::text, @subject::text, @max_rows::integer
) AS e
WHERE @pool_id::text = '' OR s.source = @pool_id
ORDER BY e.at, e.source, e.seq
LIMIT @max_rows;

-- name: EnsureAuditPartitions :one
SELECT pl_ensure_audit_partitions(coalesce(sqlc.narg(first)::date, (clock_timestamp() AT TIME ZONE 'UTC')::date - 1), @days::integer)::integer AS made;
