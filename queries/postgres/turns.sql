-- name: PlannerSettings :exec
-- What connections have from their beginning (plannerSettings in the program), for one transaction: a pooler
-- does not keep it.
-- The planner's choice is narrowed to walking indexes: every read of a turn is a
-- few descents, and a plan made while the tables were empty must not stay a
-- sequential scan. What an index has in order is not
-- sorted: another that looks cheaper while the table is small would be walked. JIT would be
-- tempted by the prices that this puts on plans.
SELECT
    set_config('synchronous_commit', 'on', true),
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true),
    set_config('enable_sort', 'off', true),
    set_config('jit', 'off', true);

-- name: TurnSettings :exec
-- What holds for one transaction and reaches the server with its first statements. With the planner's
-- choice narrowed, one plan is good for all parameters, and planning again
-- would cost more than most of the statements.
SELECT
    set_config('idle_in_transaction_session_timeout', @idle::text, true),
    set_config('statement_timeout', @statement::text, true),
    set_config('lock_timeout', @lock_wait::text, true),
    set_config('plan_cache_mode', 'force_generic_plan', true);

-- name: ExpressSettings :one
-- TurnSettings for turns that read nothing, in the implicit transaction of their one round trip, and
-- the locks of their pools: all of them, or an error. Nobody waits for a second lock while
-- holding a first one. The clock that the turns were decided by has to be right: ahead by no more
-- than the timestamps of a trail may be wrong by, and behind by no more than a statement may wait.
SELECT clock_timestamp()::timestamptz AS now
FROM (
    SELECT
        set_config('statement_timeout', @statement::text, true),
        set_config('lock_timeout', @lock_wait::text, true),
        set_config('plan_cache_mode', 'force_generic_plan', true),
        CASE WHEN (
            SELECT count(*) FROM unnest(@keys::bigint[]) AS k WHERE pg_try_advisory_xact_lock(k)
        ) < cardinality(@keys::bigint[]) THEN pl_refuse('locks of pools') END,
        CASE WHEN coalesce(sqlc.narg(clock)::timestamptz, clock_timestamp())
            NOT BETWEEN @earliest::timestamptz AND @latest::timestamptz THEN pl_refuse('clocks') END
    OFFSET 0
) AS s;

-- name: LockWait :exec
SELECT set_config('lock_timeout', @wait::text, true);

-- name: StatementTimeout :exec
SELECT set_config('statement_timeout', @statement::text, true);

-- name: TryLockPool :one
SELECT pg_try_advisory_xact_lock(@key::bigint);

-- name: LockPool :exec
-- Waits for the lock, in a statement of its own: one that also read would see the state from before
-- the wait. What is set then holds for the locks of rows.
SELECT set_config('lock_timeout', @then_wait::text, true) FROM (SELECT pg_advisory_xact_lock(@key::bigint) OFFSET 0) AS l;

-- name: TurnState :one
-- The pool, its newest turn, and what the statements after this one go by: the clock
-- (the later of now and the last turn), and how many candidates of each lane could
-- matter: as many as there are free units, extra being those that this turn may
-- give back, and no more than the lessees of a web pool want, some to look behind a head that does not fit, and one that tells
-- whether there are more.
SELECT sqlc.embed(p), sqlc.embed(t),
       set_config('parkinglot.now', c.now::text, true)::timestamptz AS now,
       set_config('parkinglot.take', (CASE
           WHEN p.state = 'disabled' OR t.queued = 0 OR p.max_units - t.active_units + sqlc.arg(extra)::bigint <= 0
                OR p.runtime_adapter = 'web' AND sqlc.arg(wanted)::bigint <= 0 THEN 0
           ELSE least(sqlc.arg(candidate_limit)::bigint,
                      least(p.max_units - t.active_units + sqlc.arg(extra)::bigint,
                            CASE WHEN p.runtime_adapter = 'web' THEN sqlc.arg(wanted)::bigint END)
                      + CASE WHEN p.max_overtakes = 0 THEN 0 ELSE p.max_overtakes + sqlc.arg(look_behind)::bigint END) + 1
       END)::text, true)::bigint AS take,
       (CASE WHEN t.next_due_at <= c.now THEN least(
           (SELECT d.deadline FROM pl_queued_jobs AS d
            WHERE d.pool_id = @pool_id AND d.deadline IS NOT NULL AND d.deadline > c.now
            ORDER BY d.deadline LIMIT 1),
           (SELECT b.not_before FROM pl_queued_jobs AS b
            WHERE b.pool_id = @pool_id AND b.not_before IS NOT NULL AND b.not_before > c.now
            ORDER BY b.not_before LIMIT 1)
       ) ELSE t.next_due_at END)::timestamptz AS due_after
FROM pl_pools AS p
JOIN pl_pool_turns AS t ON t.pool_id = p.pool_id
    AND t.turn_no = (SELECT max(n.turn_no) FROM pl_pool_turns AS n WHERE n.pool_id = @pool_id)
CROSS JOIN LATERAL (
    SELECT greatest(coalesce(sqlc.narg(now)::timestamptz, clock_timestamp()), t.at) AS now
    OFFSET 0
) AS c
WHERE p.pool_id = @pool_id;

-- name: InsertTurns :exec
-- One row a pool, because turns of several pools may share a transaction, and what the turns leave
-- of their tenants. One statement: each costs as much to begin as some rows do. Where a turn has not
-- read its pool but recalled it, the pool has to be as it was left: after the locks, so that it stays so.
-- A pool is only ever changed with a turn, so its newest one tells. That the number is free does not: numbers are
-- pruned, and a server that took over may lack some.
WITH turns AS (
    INSERT INTO pl_pool_turns (
        pool_id, turn_no, turn_id, at, active_units, ceiling, running, queued, queued_low, queued_normal,
        queued_high, queued_critical, waiting, virtual_time, job_seq, rank_seq, event_seq, message_seq, next_due_at,
        head_low, head_normal, head_high, head_critical, drained
    )
    SELECT
        r.pool_id,
        CASE WHEN r.after_turn_no IS NULL OR (r.after_turn_no, r.after_turn_id) = (
            SELECT n.turn_no, n.turn_id FROM pl_pool_turns AS n
            WHERE n.pool_id = r.pool_id
            ORDER BY n.turn_no DESC
            LIMIT 1
        ) THEN r.turn_no ELSE pl_refuse('pools as they were left') END,
        r.turn_id, r.at, r.active_units, r.ceiling, r.running, r.queued, r.queued_low, r.queued_normal,
        r.queued_high, r.queued_critical, r.waiting, r.virtual_time, r.job_seq, r.rank_seq, r.event_seq, r.message_seq, r.next_due_at,
        r.head_low, r.head_normal, r.head_high, r.head_critical, r.drained
    FROM unnest(@turns::pl_turn_row[]) AS r
)
INSERT INTO pl_tenants (pool_id, tenant, turn_no, active_units, queued, finish_tag)
SELECT u.pool_id, u.tenant, u.turn_no, u.active_units, u.queued, u.finish_tag
FROM unnest(@usages::pl_usage_row[]) AS u;

-- name: InsertFirstTurn :exec
-- Counters of a new pool: everything zero.
INSERT INTO pl_pool_turns (
    pool_id, turn_no, turn_id, at, active_units, ceiling, running, queued, queued_low, queued_normal,
    queued_high, queued_critical, waiting, virtual_time, job_seq, rank_seq, event_seq, message_seq
) VALUES (@pool_id, 0, '', coalesce(sqlc.narg(at)::timestamptz, clock_timestamp()), 0, @ceiling, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
ON CONFLICT DO NOTHING;

-- name: LastTurn :one
SELECT t.* FROM pl_pool_turns AS t
WHERE t.pool_id = @pool_id
ORDER BY t.turn_no DESC
LIMIT 1;

-- name: RecentTurns :many
-- The newest turns of a pool, newest first.
SELECT t.* FROM pl_pool_turns AS t
WHERE t.pool_id = @pool_id
ORDER BY t.turn_no DESC
LIMIT @max_rows;

-- name: TurnCommitted :one
SELECT EXISTS (
    SELECT 1 FROM pl_pool_turns AS t
    WHERE t.pool_id = @pool_id AND t.turn_no = @turn_no AND t.turn_id = @turn_id
);

-- name: PruneTurns :execrows
-- Old rows, but for the newest before each midnight (UTC) that the audit trail begins at, or
-- may begin at once retention has deleted the days before it: a proof starts from there.
DELETE FROM pl_pool_turns AS t
USING (
    SELECT o.turn_no
    FROM (
        SELECT i.turn_no, i.at, lead(i.at) OVER (ORDER BY i.turn_no) AS next_at
        FROM pl_pool_turns AS i
        WHERE i.pool_id = @pool_id
          AND i.turn_no <= (SELECT n.turn_no FROM pl_pool_turns AS n WHERE n.pool_id = @pool_id ORDER BY n.turn_no DESC LIMIT 1) + 1 - @keep::bigint
    ) AS o
    WHERE (o.at AT TIME ZONE 'UTC')::date = (o.next_at AT TIME ZONE 'UTC')::date
       OR o.next_at < (SELECT h.cut_at FROM pl_horizons AS h WHERE h.source = '' AND h.what = 'audit')
    ORDER BY o.turn_no
    LIMIT @max_rows
) AS old
WHERE t.pool_id = @pool_id AND t.turn_no = old.turn_no;

-- name: CountJobs :one
-- The rows that the counters of a turn count.
SELECT
    coalesce(sum(j.resource_units) FILTER (WHERE j.status = 'running'), 0)::bigint AS active_units,
    count(*) FILTER (WHERE j.status = 'running') AS running,
    count(*) FILTER (WHERE j.status = 'queued' AND j.not_before IS NULL) AS queued,
    count(*) FILTER (WHERE j.status = 'queued' AND j.not_before IS NULL AND j.priority = 0) AS queued_low,
    count(*) FILTER (WHERE j.status = 'queued' AND j.not_before IS NULL AND j.priority = 1) AS queued_normal,
    count(*) FILTER (WHERE j.status = 'queued' AND j.not_before IS NULL AND j.priority = 2) AS queued_high,
    count(*) FILTER (WHERE j.status = 'queued' AND j.not_before IS NULL AND j.priority = 3) AS queued_critical,
    count(*) FILTER (WHERE j.status = 'queued' AND j.not_before IS NOT NULL) AS waiting
FROM pl_live_jobs AS j
WHERE j.pool_id = @pool_id;

-- name: CountTenantJobs :many
SELECT
    j.tenant,
    coalesce(sum(j.resource_units) FILTER (WHERE j.status = 'running'), 0)::bigint AS active_units,
    count(*) FILTER (WHERE j.status = 'queued') AS queued
FROM pl_live_jobs AS j
WHERE j.pool_id = @pool_id
GROUP BY j.tenant
ORDER BY j.tenant;
