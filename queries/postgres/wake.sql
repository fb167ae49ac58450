-- name: Notify :exec
-- Hints may be lost: their transaction does not wait for the disk while it holds the
-- lock that all commits with a notification share.
SELECT set_config('synchronous_commit', 'off', true), pg_notify(@channel::text, @payload::text);
