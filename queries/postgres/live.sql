-- name: MarkQueued :exec
-- Tasks that came into the queue.
INSERT INTO pl_queued_jobs (pool_id, job_id, tenant, lane, priority, rank, deadline, not_before)
SELECT r.pool_id, r.job_id, r.tenant, r.lane, r.priority, r.rank, r.deadline, r.not_before
FROM unnest(@marks::pl_mark_row[]) AS r;

-- name: MoveQueued :exec
-- Tasks that stay in the queue, perhaps at another place. Most of them do not move: what
-- changed is who overtook them.
WITH w AS (
    SELECT l.place, c.lane::text AS lane, c.priority::smallint AS priority, c.rank::bigint AS rank, c.not_before::timestamptz AS not_before
    FROM unnest(@marks::pl_mark_row[]) AS c
    CROSS JOIN LATERAL (
        SELECT q.ctid AS place FROM pl_queued_jobs AS q
        WHERE q.pool_id = c.pool_id AND q.job_id = c.job_id
        LIMIT 1
    ) AS l
), u AS (
    UPDATE pl_queued_jobs AS q SET lane = w.lane, priority = w.priority, rank = w.rank, not_before = w.not_before
    FROM w
    WHERE q.ctid = w.place AND (q.lane, q.priority, q.rank, q.not_before) IS DISTINCT FROM (w.lane, w.priority, w.rank, w.not_before)
)
SELECT pl_expect((SELECT count(*) FROM w), @want::bigint, 'queued tasks');

-- name: UnmarkQueued :exec
-- Tasks that left the queue. Rows are looked up one by one, as in UpdateJobs.
WITH w AS (
    DELETE FROM pl_queued_jobs AS m
    USING (
        SELECT l.place
        FROM (SELECT unnest(@pool_ids::text[]) AS pool_id, unnest(@job_ids::bigint[]) AS job_id) AS c
        CROSS JOIN LATERAL (
            SELECT q.ctid AS place FROM pl_queued_jobs AS q
            WHERE q.pool_id = c.pool_id AND q.job_id = c.job_id
            LIMIT 1
        ) AS l
    ) AS r
    WHERE m.ctid = r.place
    RETURNING 1
)
SELECT pl_expect((SELECT count(*) FROM w), @want::bigint, 'queued tasks');

-- name: MarkRunning :exec
-- Tasks that were queued and of which an attempt began.
INSERT INTO pl_running_jobs (pool_id, job_id)
SELECT unnest(@pool_ids::text[]), unnest(@job_ids::bigint[]);
