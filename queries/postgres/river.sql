-- name: ReserveRiverJobs :one
-- We write River's table here, and only here. These are ids for jobs of later turns: where
-- an id is known before its row is written, the row goes with the turn's other writes.
-- Those that are never used are gaps.
SELECT array_agg(nextval('river_job_id_seq'::regclass))::bigint[] FROM generate_series(1, @count::integer);

-- name: InsertRiverJobs :exec
-- The rows that River's client would insert for the same arguments. They are due by the
-- database's clock, in the order in which the turns of a pool had its lock.
INSERT INTO river_job (id, args, created_at, kind, max_attempts, metadata, priority, queue, scheduled_at, state, tags)
SELECT
    r.id, r.args::jsonb, statement_timestamp(), @kind::text, @max_attempts::smallint, '{}', r.priority, r.queue,
    statement_timestamp(), 'available', '{}'
FROM (
    SELECT
        unnest(@ids::bigint[]) AS id,
        unnest(@queues::text[]) AS queue,
        unnest(@args::text[]) AS args,
        unnest(@priorities::smallint[]) AS priority
) AS r;

-- name: DeleteRiverJobs :exec
-- Whatever ends an attempt must end the River job that carries it in the same
-- transaction, or a worker could still fetch it. Deleting it writes to no index, and leaves
-- nothing for River to complete or to clean up: its own bookkeeping of a job that is gone
-- changes nothing.
DELETE FROM river_job AS r
USING (SELECT unnest(@ids::bigint[]) AS id) AS d
WHERE r.id = d.id;
