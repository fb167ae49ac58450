-- +goose Up

-- The same tables, columns, checks and index names as migrations/postgres, with
-- these differences, all of them because of the engine:
--
--   * STRICT tables: without it SQLite stores text in an INTEGER column.
--   * Times are INTEGER microseconds since the epoch (UTC), the precision of
--     timestamptz; SQLite has no time type, and text would sort by its format.
--   * jsonb and text[] are TEXT holding JSON. Payloads and results are TEXT in both.
--   * smallint, integer and bigint are all INTEGER (64 bits).
--   * Tables that are read by their key alone are WITHOUT ROWID: one tree instead
--     of two. Those with large rows keep the rowid, so that the tree stays small.
--   * No fillfactor: there is no HOT update to leave room for.
--   * pl_audit_events is one table: SQLite has no partitions, and retention deletes.
--   * pl_tenants is updated in place, and pl_pool_turns keeps no bounds of the head of
--     the queue: there is one writer, and no dead rows to walk around.
--   * Foreign keys to pl_pools: they lock nothing here.
--   * No functions and no view. A statement says how many rows it changed before the
--     next one is sent, so the program itself compares and rolls back (pl_expect); the
--     clock is the process's (pl_now); light tasks are named column by column.

CREATE TABLE pl_pools (
    pool_id             TEXT    NOT NULL PRIMARY KEY,
    name                TEXT    NOT NULL,
    state               TEXT    NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'draining', 'disabled')),
    max_units           INTEGER NOT NULL CHECK (max_units >= 0),
    max_queue_depth     INTEGER NOT NULL CHECK (max_queue_depth >= 0),
    default_timeout_ms  INTEGER NOT NULL CHECK (default_timeout_ms > 0),
    queue_backend       TEXT    NOT NULL CHECK (queue_backend IN ('memory', 'file', 'postgres')),
    mailbox_backend     TEXT    NOT NULL CHECK (mailbox_backend IN ('memory', 'file', 'postgres')),
    runtime_adapter     TEXT    NOT NULL CHECK (runtime_adapter IN ('native', 'worker', 'web')),
    priority_policy     TEXT    NOT NULL CHECK (priority_policy IN ('fifo', 'priority', 'fair', 'deadline')),
    resource_kind       TEXT    NOT NULL CHECK (resource_kind IN ('cpu', 'gpuVram', 'io', 'mixed')),
    max_overtakes       INTEGER NOT NULL CHECK (max_overtakes >= 0),
    max_attempts        INTEGER NOT NULL CHECK (max_attempts >= 1),
    retry_base_ms       INTEGER NOT NULL CHECK (retry_base_ms >= 0),
    retry_max_ms        INTEGER NOT NULL CHECK (retry_max_ms >= 0),
    tenants             TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(tenants)),
    executors           TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(executors)),
    version             INTEGER NOT NULL DEFAULT 1,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL
) STRICT;

-- The changing part of a pool. Insert-only, one row a turn, the newest one counts,
-- as in Postgres, where a row that is updated each turn becomes slow; the primary
-- key refuses a second turn from the same state.
-- ceiling is max_units, or what was in use when the pool shrank below it.
CREATE TABLE pl_pool_turns (
    pool_id         TEXT    NOT NULL REFERENCES pl_pools,
    turn_no         INTEGER NOT NULL,
    turn_id         TEXT    NOT NULL,
    at              INTEGER NOT NULL,
    active_units    INTEGER NOT NULL CHECK (active_units >= 0),
    ceiling         INTEGER NOT NULL CHECK (ceiling >= 0),
    running         INTEGER NOT NULL CHECK (running >= 0),
    queued          INTEGER NOT NULL CHECK (queued >= 0),
    queued_low      INTEGER NOT NULL CHECK (queued_low >= 0),
    queued_normal   INTEGER NOT NULL CHECK (queued_normal >= 0),
    queued_high     INTEGER NOT NULL CHECK (queued_high >= 0),
    queued_critical INTEGER NOT NULL CHECK (queued_critical >= 0),
    waiting         INTEGER NOT NULL CHECK (waiting >= 0),
    virtual_time    INTEGER NOT NULL,
    job_seq         INTEGER NOT NULL,
    rank_seq        INTEGER NOT NULL,
    event_seq       INTEGER NOT NULL,
    message_seq     INTEGER NOT NULL,
    next_due_at     INTEGER,
    PRIMARY KEY (pool_id, turn_no),
    CONSTRAINT pl_pool_turns_capacity CHECK (active_units <= ceiling),
    CONSTRAINT pl_pool_turns_queued CHECK (queued = queued_low + queued_normal + queued_high + queued_critical)
) STRICT, WITHOUT ROWID;

-- What tenants hold in a pool.
CREATE TABLE pl_tenants (
    pool_id      TEXT    NOT NULL REFERENCES pl_pools,
    tenant       TEXT    NOT NULL,
    active_units INTEGER NOT NULL CHECK (active_units >= 0),
    queued       INTEGER NOT NULL CHECK (queued >= 0),
    finish_tag   INTEGER NOT NULL,
    PRIMARY KEY (pool_id, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE pl_queue_jobs (
    pool_id            TEXT    NOT NULL REFERENCES pl_pools,
    job_id             INTEGER NOT NULL,
    task_id            TEXT    NOT NULL,
    submission         INTEGER NOT NULL,
    body_hash          BLOB    NOT NULL,
    tenant             TEXT    NOT NULL,
    requested_priority INTEGER NOT NULL CHECK (requested_priority BETWEEN 0 AND 3),
    priority           INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 3),
    lane               TEXT    NOT NULL,
    rank               INTEGER NOT NULL,
    resource_kind      TEXT    NOT NULL CHECK (resource_kind IN ('cpu', 'gpuVram', 'io', 'mixed')),
    resource_units     INTEGER NOT NULL CHECK (resource_units >= 1),
    status             TEXT    NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'failed', 'expired', 'rejected', 'dropped')),
    reason_code        TEXT    NOT NULL DEFAULT '',
    reason             TEXT    NOT NULL DEFAULT '',
    attempt            INTEGER NOT NULL CHECK (attempt >= 0),
    max_attempts       INTEGER NOT NULL CHECK (max_attempts >= 1),
    overtaken          INTEGER NOT NULL DEFAULT 0,
    executor           TEXT    NOT NULL,
    timeout_ms         INTEGER NOT NULL CHECK (timeout_ms > 0),
    deadline           INTEGER,
    not_before         INTEGER,
    created_at         INTEGER NOT NULL,
    started_at         INTEGER,
    finished_at        INTEGER,
    cancel_asked_at    INTEGER,
    holder             TEXT    NOT NULL DEFAULT '',
    river_job_id       INTEGER NOT NULL DEFAULT 0, -- always 0: River needs Postgres
    mailbox_tenant     TEXT,    -- NULL: no mailbox key was given
    mailbox_user       TEXT    NOT NULL DEFAULT '',
    mailbox_session    TEXT    NOT NULL DEFAULT '',
    labels             TEXT,    -- JSON object of strings
    payload            TEXT,    -- JSON as sent
    result             TEXT,
    PRIMARY KEY (pool_id, job_id),
    CONSTRAINT pl_queue_jobs_task UNIQUE (pool_id, task_id, submission),
    CONSTRAINT pl_queue_jobs_attempt CHECK (attempt <= max_attempts),
    CONSTRAINT pl_queue_jobs_running CHECK (status <> 'running' OR (attempt >= 1 AND started_at IS NOT NULL)),
    CONSTRAINT pl_queue_jobs_final CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed', 'expired', 'rejected', 'dropped')))
) STRICT;

-- The order. There is no other.
CREATE INDEX pl_queue_jobs_order ON pl_queue_jobs (pool_id, lane, priority DESC, rank, job_id)
    WHERE status = 'queued' AND not_before IS NULL;
CREATE INDEX pl_queue_jobs_deadline ON pl_queue_jobs (pool_id, deadline)
    WHERE status = 'queued' AND deadline IS NOT NULL;
CREATE INDEX pl_queue_jobs_backoff ON pl_queue_jobs (pool_id, not_before)
    WHERE status = 'queued' AND not_before IS NOT NULL;
-- What is alive: who holds what, and the oldest that waits. OR, because SQLite cannot
-- tell that an equality is one of an IN.
CREATE INDEX pl_queue_jobs_live ON pl_queue_jobs (pool_id, status, job_id)
    WHERE status = 'queued' OR status = 'running';

CREATE TABLE pl_mailbox_messages (
    source      TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    tenant      TEXT    NOT NULL,
    user_id     TEXT    NOT NULL DEFAULT '',
    session_id  TEXT    NOT NULL DEFAULT '',
    pool_id     TEXT    NOT NULL DEFAULT '',
    task_id     TEXT    NOT NULL DEFAULT '',
    job_id      INTEGER NOT NULL DEFAULT 0,
    submission  INTEGER NOT NULL DEFAULT 0,
    status      TEXT    NOT NULL,
    reason_code TEXT    NOT NULL DEFAULT '',
    reason      TEXT    NOT NULL DEFAULT '',
    payload     TEXT,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (source, seq)
) STRICT;
CREATE INDEX pl_mailbox_messages_tenant ON pl_mailbox_messages (tenant, source, seq);
CREATE INDEX pl_mailbox_messages_user ON pl_mailbox_messages (tenant, user_id, source, seq) WHERE user_id <> '';
-- One message per terminal outcome, whoever delivers it.
CREATE UNIQUE INDEX pl_mailbox_messages_task ON pl_mailbox_messages (task_id, pool_id, submission) WHERE task_id <> '';

-- Messages on their way to a mailbox in another backend. Spelled out, because
-- SQLite has no LIKE in CREATE TABLE.
CREATE TABLE pl_outbox (
    source      TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    tenant      TEXT    NOT NULL,
    user_id     TEXT    NOT NULL DEFAULT '',
    session_id  TEXT    NOT NULL DEFAULT '',
    pool_id     TEXT    NOT NULL DEFAULT '',
    task_id     TEXT    NOT NULL DEFAULT '',
    job_id      INTEGER NOT NULL DEFAULT 0,
    submission  INTEGER NOT NULL DEFAULT 0,
    status      TEXT    NOT NULL,
    reason_code TEXT    NOT NULL DEFAULT '',
    reason      TEXT    NOT NULL DEFAULT '',
    payload     TEXT,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (source, seq)
) STRICT;

-- Which sources have ever written events or messages here: what merged readers
-- look through.
CREATE TABLE pl_sources (
    source     TEXT    NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE pl_audit_events (
    source      TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    pool_id     TEXT    NOT NULL DEFAULT '',
    task_id     TEXT    NOT NULL DEFAULT '',
    job_id      INTEGER NOT NULL DEFAULT 0,
    submission  INTEGER NOT NULL DEFAULT 0,
    tenant      TEXT    NOT NULL DEFAULT '',
    attempt     INTEGER NOT NULL DEFAULT 0,
    units       INTEGER NOT NULL DEFAULT 0,
    status      TEXT    NOT NULL DEFAULT '',
    reason_code TEXT    NOT NULL DEFAULT '',
    reason      TEXT    NOT NULL DEFAULT '',
    actor       TEXT    NOT NULL DEFAULT '',
    subjects    TEXT    NOT NULL DEFAULT '[]',
    detail      TEXT,
    PRIMARY KEY (source, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX pl_audit_events_task ON pl_audit_events (task_id, source, seq) WHERE task_id <> '';
CREATE INDEX pl_audit_events_tenant ON pl_audit_events (tenant, source, seq) WHERE tenant <> '';

CREATE TABLE pl_workers (
    worker_id    TEXT    NOT NULL PRIMARY KEY,
    role         TEXT    NOT NULL,
    host         TEXT    NOT NULL,
    pid          INTEGER NOT NULL,
    started_at   INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    dead_at      INTEGER
) STRICT;

-- +goose Down
DROP TABLE pl_workers;
DROP TABLE pl_audit_events;
DROP TABLE pl_sources;
DROP TABLE pl_outbox;
DROP TABLE pl_mailbox_messages;
DROP TABLE pl_queue_jobs;
DROP TABLE pl_tenants;
DROP TABLE pl_pool_turns;
DROP TABLE pl_pools;
