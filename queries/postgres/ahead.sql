-- name: AwaitAhead :exec
-- Waits until this process is the one that decides ahead. The lock is the session's: it is kept beyond the
-- commit that announces the turn, and given up in the next transaction (AheadSettings). That commit need not be
-- durable: an announcement that is lost is not missed. What is set for the wait is set below it.
SELECT
    set_config('synchronous_commit', 'off', true),
    set_config('plan_cache_mode', 'force_generic_plan', true)
FROM (
    SELECT pg_advisory_lock(@key::bigint)
    FROM (
        SELECT
            set_config('idle_in_transaction_session_timeout', @idle::text, true),
            set_config('lock_timeout', @lock_wait::text, true)
        OFFSET 0
    ) AS s
    OFFSET 0
) AS l;

-- name: AwaitOrder :exec
-- AwaitAhead for a turn that is not decided ahead: its commit has to be durable.
SELECT set_config('lock_timeout', @then_wait::text, true)
FROM (
    SELECT pg_advisory_lock(@key::bigint) FROM (SELECT set_config('lock_timeout', @lock_wait::text, true) OFFSET 0) AS s
    OFFSET 0
) AS l;

-- name: Announced :one
-- What was announced last, and the newest turn that is committed. What is announced beyond the one after that is of turns
-- that were not taken.
SELECT a.preview, t.turn_id AS committed
FROM (
    SELECT n.turn_no, n.turn_id FROM pl_pool_turns AS n WHERE n.pool_id = @pool_id ORDER BY n.turn_no DESC LIMIT 1
) AS t
CROSS JOIN LATERAL (
    SELECT p.preview FROM pl_turn_previews AS p
    WHERE p.pool_id = @pool_id AND p.turn_no <= t.turn_no + 1
    ORDER BY p.turn_no DESC
    LIMIT 1
) AS a;

-- name: Announce :exec
-- A number may have been announced before, by a process whose turn was not taken then.
INSERT INTO pl_turn_previews (pool_id, turn_no, preview) VALUES (@pool_id, @turn_no, @preview)
ON CONFLICT (pool_id, turn_no) DO UPDATE SET preview = excluded.preview;

-- name: PruneAnnounced :exec
-- Within bounds, because dead rows before them would be walked through for as long as vacuum cannot remove them.
DELETE FROM pl_turn_previews AS a WHERE a.pool_id = @pool_id AND a.turn_no >= sqlc.arg('from') AND a.turn_no < @until;

-- name: PruneAllAnnounced :exec
DELETE FROM pl_turn_previews AS a
WHERE a.pool_id = @pool_id
  AND a.turn_no < (SELECT n.turn_no FROM pl_pool_turns AS n WHERE n.pool_id = @pool_id ORDER BY n.turn_no DESC LIMIT 1) - @keep::bigint;

-- name: AheadSettings :one
-- ExpressSettings for a turn that was decided ahead: waits for the pool's lock, then lets the next process
-- decide, at once and whatever becomes of this transaction.
SELECT
    set_config('lock_timeout', @then_wait::text, true),
    pg_advisory_unlock(@ahead_key::bigint) AS held,
    clock_timestamp()::timestamptz AS now,
    (CASE WHEN coalesce(sqlc.narg(clock)::timestamptz, clock_timestamp())
        BETWEEN @earliest::timestamptz AND @latest::timestamptz THEN 0 ELSE pl_refuse('clocks') END)::bigint AS agreed
FROM (
    SELECT pg_advisory_xact_lock(@key::bigint)
    FROM (
        SELECT
            set_config('statement_timeout', @statement::text, true),
            set_config('lock_timeout', @lock_wait::text, true),
            set_config('plan_cache_mode', 'force_generic_plan', true)
        OFFSET 0
    ) AS s
    OFFSET 0
) AS l;

-- name: LeaveOrder :exec
SELECT pg_advisory_unlock(@key::bigint);
