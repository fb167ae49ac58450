-- name: FinishRiverJobs :exec
-- We write River's table here, and only here: whatever ends an attempt must end the
-- River job that carries it in the same transaction, or a worker could still
-- fetch it. River itself only completes jobs that it finds running, so its own
-- bookkeeping of a job that has ended here changes nothing.
UPDATE river_job AS r SET
    state = CASE WHEN r.state = 'running' THEN 'completed'::river_job_state ELSE 'cancelled'::river_job_state END,
    finalized_at = clock_timestamp()
FROM (SELECT unnest(@ids::bigint[]) AS id) AS d
WHERE r.id = d.id AND r.finalized_at IS NULL;
