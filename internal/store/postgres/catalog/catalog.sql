-- What sqlc has to know besides our migrations. Nothing applies this file.

-- The part of River's tables (migrations 001 to 008 of its main line) that our queries
-- name; River's own migrations make them.
CREATE TYPE river_job_state AS ENUM (
    'available', 'cancelled', 'completed', 'discarded', 'pending', 'retryable', 'running', 'scheduled'
);

CREATE SEQUENCE river_job_id_seq;
CREATE TABLE river_job (
    id           bigint PRIMARY KEY,
    state        river_job_state NOT NULL,
    max_attempts smallint NOT NULL,
    created_at   timestamptz NOT NULL,
    finalized_at timestamptz,
    scheduled_at timestamptz NOT NULL,
    priority     smallint NOT NULL,
    args         jsonb NOT NULL,
    attempted_by text[],
    kind         text NOT NULL,
    metadata     jsonb NOT NULL,
    queue        text NOT NULL,
    tags         varchar(255)[] NOT NULL
);

-- Every table of Postgres has this column; sqlc does not know.
ALTER TABLE pl_queued_jobs ADD COLUMN ctid tid NOT NULL;
ALTER TABLE pl_running_jobs ADD COLUMN ctid tid NOT NULL;
ALTER TABLE pl_queue_jobs ADD COLUMN ctid tid NOT NULL;

-- The part of Postgres's own catalog that our queries name.
CREATE TABLE pg_type (
    oid          oid PRIMARY KEY,
    typname      name NOT NULL,
    typnamespace oid NOT NULL,
    typtype      "char" NOT NULL,
    typarray     oid NOT NULL
);
