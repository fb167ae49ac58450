-- The part of River's tables (migrations 001 to 008 of its main line) that our queries
-- name. For sqlc only: River's own migrations make the tables.
CREATE TYPE river_job_state AS ENUM (
    'available', 'cancelled', 'completed', 'discarded', 'pending', 'retryable', 'running', 'scheduled'
);

CREATE TABLE river_job (
    id           bigint PRIMARY KEY,
    state        river_job_state NOT NULL,
    finalized_at timestamptz,
    attempted_by text[]
);
