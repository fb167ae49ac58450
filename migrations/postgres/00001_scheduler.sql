-- +goose Up

CREATE TABLE pl_pools (
    pool_id             text        NOT NULL PRIMARY KEY,
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
CREATE TABLE pl_pool_turns (
    pool_id         text        NOT NULL REFERENCES pl_pools,
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
    PRIMARY KEY (pool_id, turn_no),
    CONSTRAINT pl_pool_turns_capacity CHECK (active_units <= ceiling),
    CONSTRAINT pl_pool_turns_queued CHECK (queued = queued_low + queued_normal + queued_high + queued_critical)
);

-- What tenants hold in a pool. fillfactor leaves room for HOT updates: no index
-- but the key, which never changes.
CREATE TABLE pl_tenants (
    pool_id      text   NOT NULL REFERENCES pl_pools,
    tenant       text   NOT NULL,
    active_units bigint NOT NULL CHECK (active_units >= 0),
    queued       bigint NOT NULL CHECK (queued >= 0),
    finish_tag   bigint NOT NULL,
    PRIMARY KEY (pool_id, tenant)
) WITH (fillfactor = 50);

CREATE TABLE pl_queue_jobs (
    pool_id            text        NOT NULL REFERENCES pl_pools,
    job_id             bigint      NOT NULL,
    task_id            text        NOT NULL,
    submission         integer     NOT NULL,
    body_hash          bytea       NOT NULL,
    tenant             text        NOT NULL,
    requested_priority smallint    NOT NULL CHECK (requested_priority BETWEEN 0 AND 3),
    priority           smallint    NOT NULL CHECK (priority BETWEEN 0 AND 3),
    lane               text        NOT NULL,
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
    holder             text        NOT NULL DEFAULT '',
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
CREATE INDEX pl_queue_jobs_running ON pl_queue_jobs (pool_id, job_id)
    WHERE status = 'running';

CREATE TABLE pl_mailbox_messages (
    source      text        NOT NULL,
    seq         bigint      NOT NULL,
    tenant      text        NOT NULL,
    user_id     text        NOT NULL DEFAULT '',
    session_id  text        NOT NULL DEFAULT '',
    pool_id     text        NOT NULL DEFAULT '',
    task_id     text        NOT NULL DEFAULT '',
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
    source     text        NOT NULL PRIMARY KEY,
    created_at timestamptz NOT NULL
);

CREATE TABLE pl_audit_events (
    source      text        NOT NULL,
    seq         bigint      NOT NULL,
    at          timestamptz NOT NULL,
    kind        text        NOT NULL,
    pool_id     text        NOT NULL DEFAULT '',
    task_id     text        NOT NULL DEFAULT '',
    job_id      bigint      NOT NULL DEFAULT 0,
    submission  integer     NOT NULL DEFAULT 0,
    tenant      text        NOT NULL DEFAULT '',
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

CREATE TABLE pl_workers (
    worker_id    text        NOT NULL PRIMARY KEY,
    role         text        NOT NULL,
    host         text        NOT NULL,
    pid          integer     NOT NULL,
    started_at   timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    dead_at      timestamptz
) WITH (fillfactor = 50);

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
DROP TABLE pl_workers, pl_audit_events, pl_sources, pl_outbox, pl_mailbox_messages,
           pl_queue_jobs, pl_tenants, pl_pool_turns, pl_pools;
DROP FUNCTION pl_ensure_audit_partitions(date, integer);
DROP FUNCTION pl_expect(bigint, bigint, text);
