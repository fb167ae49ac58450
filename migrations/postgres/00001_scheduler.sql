-- +goose Up

-- Ids are COLLATE "C": they are looked up and ordered by byte, which is the order
-- of the program and of SQLite whatever the database's locale, and cheaper.
--
-- No foreign keys to pl_pools: each would look up and lock the pool's row for
-- every row written, and a turn reads that row under the pool's lock anyway.

CREATE TABLE pl_pools (
    pool_id             text COLLATE "C" NOT NULL PRIMARY KEY,
    name                text        NOT NULL,
    state               text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'draining', 'disabled')),
    max_units           bigint      NOT NULL CHECK (max_units >= 0),
    max_queue_depth     bigint      NOT NULL CHECK (max_queue_depth >= 0),
    default_timeout_ms  bigint      NOT NULL CHECK (default_timeout_ms > 0),
    queue_backend       text        NOT NULL CHECK (queue_backend IN ('memory', 'file', 'postgres')),
    mailbox_backend     text        NOT NULL CHECK (mailbox_backend IN ('memory', 'file', 'postgres')),
    runtime_adapter     text        NOT NULL CHECK (runtime_adapter IN ('native', 'worker', 'web')),
    priority_policy     text        NOT NULL CHECK (priority_policy IN ('fifo', 'priority', 'fair', 'deadline')),
    resource_kind       text        NOT NULL CHECK (resource_kind IN ('cpu', 'gpuVram', 'io', 'mixed')),
    max_overtakes       integer     NOT NULL CHECK (max_overtakes >= 0),
    max_attempts        integer     NOT NULL CHECK (max_attempts >= 1),
    retry_base_ms       bigint      NOT NULL CHECK (retry_base_ms >= 0),
    retry_max_ms        bigint      NOT NULL CHECK (retry_max_ms >= 0),
    tenants             jsonb       NOT NULL DEFAULT '{}',
    executors           text[]      NOT NULL DEFAULT '{}',
    version             bigint      NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL
);

-- The changing part of a pool. Insert-only, one row a turn, the newest one counts:
-- a row that is updated each turn becomes slow under a transaction held open
-- elsewhere, and the primary key refuses a second turn from the same state.
-- ceiling is max_units, or what was in use when the pool shrank below it.
-- head_*: no queued task of that class in the order has a lower rank, so that a scan
-- of the order does not walk over what has left its front and cannot be vacuumed yet.
CREATE TABLE pl_pool_turns (
    pool_id         text COLLATE "C" NOT NULL,
    turn_no         bigint      NOT NULL,
    turn_id         text        NOT NULL,
    at              timestamptz NOT NULL,
    active_units    bigint      NOT NULL CHECK (active_units >= 0),
    ceiling         bigint      NOT NULL CHECK (ceiling >= 0),
    running         bigint      NOT NULL CHECK (running >= 0),
    queued          bigint      NOT NULL CHECK (queued >= 0),
    queued_low      bigint      NOT NULL CHECK (queued_low >= 0),
    queued_normal   bigint      NOT NULL CHECK (queued_normal >= 0),
    queued_high     bigint      NOT NULL CHECK (queued_high >= 0),
    queued_critical bigint      NOT NULL CHECK (queued_critical >= 0),
    waiting         bigint      NOT NULL CHECK (waiting >= 0),
    virtual_time    bigint      NOT NULL,
    job_seq         bigint      NOT NULL,
    rank_seq        bigint      NOT NULL,
    event_seq       bigint      NOT NULL,
    message_seq     bigint      NOT NULL,
    next_due_at     timestamptz,
    head_low        bigint      NOT NULL DEFAULT -9223372036854775808,
    head_normal     bigint      NOT NULL DEFAULT -9223372036854775808,
    head_high       bigint      NOT NULL DEFAULT -9223372036854775808,
    head_critical   bigint      NOT NULL DEFAULT -9223372036854775808,
    PRIMARY KEY (pool_id, turn_no),
    CONSTRAINT pl_pool_turns_capacity CHECK (active_units <= ceiling),
    CONSTRAINT pl_pool_turns_queued CHECK (queued = queued_low + queued_normal + queued_high + queued_critical)
);

-- What tenants hold in a pool: insert-only like pl_pool_turns and for the same
-- reason; the row of the newest turn that changed a tenant counts.
CREATE TABLE pl_tenants (
    pool_id      text COLLATE "C" NOT NULL,
    tenant       text COLLATE "C" NOT NULL,
    turn_no      bigint NOT NULL,
    active_units bigint NOT NULL CHECK (active_units >= 0),
    queued       bigint NOT NULL CHECK (queued >= 0),
    finish_tag   bigint NOT NULL,
    PRIMARY KEY (pool_id, tenant, turn_no)
);

CREATE TABLE pl_queue_jobs (
    pool_id            text COLLATE "C" NOT NULL,
    job_id             bigint      NOT NULL,
    task_id            text COLLATE "C" NOT NULL,
    submission         integer     NOT NULL,
    body_hash          bytea       NOT NULL,
    tenant             text COLLATE "C" NOT NULL,
    requested_priority smallint    NOT NULL CHECK (requested_priority BETWEEN 0 AND 3),
    priority           smallint    NOT NULL CHECK (priority BETWEEN 0 AND 3),
    lane               text COLLATE "C" NOT NULL,
    rank               bigint      NOT NULL,
    resource_kind      text        NOT NULL CHECK (resource_kind IN ('cpu', 'gpuVram', 'io', 'mixed')),
    resource_units     bigint      NOT NULL CHECK (resource_units >= 1),
    status             text        NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'failed', 'expired', 'rejected', 'dropped')),
    reason_code        text        NOT NULL DEFAULT '',
    reason             text        NOT NULL DEFAULT '',
    attempt            integer     NOT NULL CHECK (attempt >= 0),
    max_attempts       integer     NOT NULL CHECK (max_attempts >= 1),
    overtaken          integer     NOT NULL DEFAULT 0,
    executor           text        NOT NULL,
    timeout_ms         bigint      NOT NULL CHECK (timeout_ms > 0),
    deadline           timestamptz,
    not_before         timestamptz,
    created_at         timestamptz NOT NULL,
    started_at         timestamptz,
    finished_at        timestamptz,
    cancel_asked_at    timestamptz,
    holder             text COLLATE "C" NOT NULL DEFAULT '',
    river_job_id       bigint      NOT NULL DEFAULT 0,
    mailbox_tenant     text,       -- NULL: no mailbox key was given
    mailbox_user       text        NOT NULL DEFAULT '',
    mailbox_session    text        NOT NULL DEFAULT '',
    labels             jsonb,
    payload            text,       -- JSON as sent; text, because jsonb refuses and reorders what it likes
    result             text,
    PRIMARY KEY (pool_id, job_id),
    CONSTRAINT pl_queue_jobs_task UNIQUE (pool_id, task_id, submission),
    CONSTRAINT pl_queue_jobs_attempt CHECK (attempt <= max_attempts),
    CONSTRAINT pl_queue_jobs_running CHECK (status <> 'running' OR (attempt >= 1 AND started_at IS NOT NULL)),
    CONSTRAINT pl_queue_jobs_final CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed', 'expired', 'rejected', 'dropped')))
) WITH (fillfactor = 70);

-- The order. There is no other.
CREATE INDEX pl_queue_jobs_order ON pl_queue_jobs (pool_id, lane, priority DESC, rank, job_id)
    WHERE status = 'queued' AND not_before IS NULL;
CREATE INDEX pl_queue_jobs_deadline ON pl_queue_jobs (pool_id, deadline)
    WHERE status = 'queued' AND deadline IS NOT NULL;
CREATE INDEX pl_queue_jobs_backoff ON pl_queue_jobs (pool_id, not_before)
    WHERE status = 'queued' AND not_before IS NOT NULL;
-- What is alive: who holds what, and the oldest that waits.
CREATE INDEX pl_queue_jobs_live ON pl_queue_jobs (pool_id, status, job_id)
    WHERE status IN ('queued', 'running');

-- Tasks without what is large or of no interest to a turn: labels, payload, result.
CREATE VIEW pl_queue_jobs_light AS
SELECT j.pool_id, j.job_id, j.task_id, j.submission, j.body_hash, j.tenant, j.requested_priority, j.priority, j.lane, j.rank,
       j.resource_kind, j.resource_units, j.status, j.reason_code, j.reason, j.attempt, j.max_attempts, j.overtaken,
       j.executor, j.timeout_ms, j.deadline, j.not_before, j.created_at, j.started_at, j.finished_at, j.cancel_asked_at,
       j.holder, j.river_job_id, j.mailbox_tenant, j.mailbox_user, j.mailbox_session
FROM pl_queue_jobs AS j;

CREATE TABLE pl_mailbox_messages (
    source      text COLLATE "C" NOT NULL,
    seq         bigint      NOT NULL,
    tenant      text COLLATE "C" NOT NULL,
    user_id     text COLLATE "C" NOT NULL DEFAULT '',
    session_id  text COLLATE "C" NOT NULL DEFAULT '',
    pool_id     text COLLATE "C" NOT NULL DEFAULT '',
    task_id     text COLLATE "C" NOT NULL DEFAULT '',
    job_id      bigint      NOT NULL DEFAULT 0,
    submission  integer     NOT NULL DEFAULT 0,
    status      text        NOT NULL,
    reason_code text        NOT NULL DEFAULT '',
    reason      text        NOT NULL DEFAULT '',
    payload     text,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (source, seq)
);
CREATE INDEX pl_mailbox_messages_tenant ON pl_mailbox_messages (tenant, source, seq);
CREATE INDEX pl_mailbox_messages_user ON pl_mailbox_messages (tenant, user_id, source, seq) WHERE user_id <> '';
-- One message per terminal outcome, whoever delivers it.
CREATE UNIQUE INDEX pl_mailbox_messages_task ON pl_mailbox_messages (task_id, pool_id, submission) WHERE task_id <> '';

-- Messages on their way to a mailbox in another backend.
CREATE TABLE pl_outbox (
    LIKE pl_mailbox_messages INCLUDING DEFAULTS,
    PRIMARY KEY (source, seq)
);

-- Which sources have ever written events or messages here: what merged readers
-- look through.
CREATE TABLE pl_sources (
    source     text COLLATE "C" NOT NULL PRIMARY KEY,
    created_at timestamptz NOT NULL
);

CREATE TABLE pl_audit_events (
    source      text COLLATE "C" NOT NULL,
    seq         bigint      NOT NULL,
    at          timestamptz NOT NULL,
    kind        text        NOT NULL,
    pool_id     text COLLATE "C" NOT NULL DEFAULT '',
    task_id     text COLLATE "C" NOT NULL DEFAULT '',
    job_id      bigint      NOT NULL DEFAULT 0,
    submission  integer     NOT NULL DEFAULT 0,
    tenant      text COLLATE "C" NOT NULL DEFAULT '',
    attempt     integer     NOT NULL DEFAULT 0,
    units       bigint      NOT NULL DEFAULT 0,
    status      text        NOT NULL DEFAULT '',
    reason_code text        NOT NULL DEFAULT '',
    reason      text        NOT NULL DEFAULT '',
    actor       text        NOT NULL DEFAULT '',
    subjects    text[]      NOT NULL DEFAULT '{}',
    detail      text,
    PRIMARY KEY (source, seq, at)
) PARTITION BY RANGE (at);
CREATE INDEX pl_audit_events_task ON pl_audit_events (task_id, source, seq) WHERE task_id <> '';
CREATE INDEX pl_audit_events_tenant ON pl_audit_events (tenant, source, seq) WHERE tenant <> '';

-- Makes the partitions of the days [first, first + days) that are missing: CREATE,
-- then ATTACH, so that writers wait for a short lock only. The program calls it
-- at start and daily, a week ahead; there is no default partition to scan.
-- +goose StatementBegin
CREATE FUNCTION pl_ensure_audit_partitions(first date, days integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    day  date;
    part text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('pl_ensure_audit_partitions ' || current_schema(), 0));
    FOR day IN SELECT first + g FROM generate_series(0, days - 1) AS g LOOP
        part := 'pl_audit_events_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(format('%I.%I', current_schema(), part)) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE pl_audit_events INCLUDING DEFAULTS)', part);
        EXECUTE format('ALTER TABLE pl_audit_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       part, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
-- +goose StatementEnd

-- The first sequence number of a source's messages at or after an instant; beyond
-- every number when there is none. Within a source created_at never falls as seq
-- grows, so halving finds it by the primary key, without an index by time that
-- every message would pay for.
-- +goose StatementBegin
CREATE FUNCTION pl_first_message_seq(of_source text, since timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    low   bigint := 1;
    high  bigint;
    middle bigint;
    at    timestamptz;
BEGIN
    SELECT m.seq + 1 INTO high FROM pl_mailbox_messages AS m WHERE m.source = of_source ORDER BY m.seq DESC LIMIT 1;
    IF high IS NULL OR since = '-infinity' THEN
        RETURN low;
    END IF;
    WHILE low < high LOOP
        middle := (low + high) / 2;
        SELECT m.created_at INTO at FROM pl_mailbox_messages AS m
        WHERE m.source = of_source AND m.seq >= middle ORDER BY m.seq LIMIT 1;
        IF at < since THEN
            low := middle + 1;
        ELSE
            high := middle;
        END IF;
    END LOOP;
    RETURN low;
END
$$;
-- +goose StatementEnd

CREATE TABLE pl_workers (
    worker_id    text COLLATE "C" NOT NULL PRIMARY KEY,
    role         text        NOT NULL,
    host         text        NOT NULL,
    pid          integer     NOT NULL,
    started_at   timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    dead_at      timestamptz
) WITH (fillfactor = 50);

-- The clock of the running turn: read once, after the lock was granted, and kept in
-- a setting of the transaction, so that every statement of the turn sees the same
-- instant and may use it to search an index.
-- +goose StatementBegin
CREATE FUNCTION pl_now() RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT current_setting('parkinglot.now')::timestamptz
$$;
-- +goose StatementEnd

-- Raises inside a pipelined batch when a guarded write hit fewer rows than decided,
-- so that the COMMIT behind it cannot go through.
-- +goose StatementBegin
CREATE FUNCTION pl_expect(got bigint, want bigint, what text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF got <> want THEN
        RAISE EXCEPTION 'pl_guard: % of % rows of %', got, want, what USING ERRCODE = 'PL001';
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION pl_expect(bigint, bigint, text);
DROP FUNCTION pl_now();
DROP FUNCTION pl_first_message_seq(text, timestamptz);
DROP FUNCTION pl_ensure_audit_partitions(date, integer);
DROP VIEW pl_queue_jobs_light;
DROP TABLE pl_workers, pl_audit_events, pl_sources, pl_outbox, pl_mailbox_messages,
           pl_queue_jobs, pl_tenants, pl_pool_turns, pl_pools;
