-- oldest-program: 6
-- +goose Up

-- What a program sends of many columns is one array of a composite type, a row an element: one
-- parameter to take apart instead of thirty, and one function to scan. A type belongs to the programs
-- that know it, whatever becomes of the table: a column more is a new type, because a row that has one
-- too many or too few is refused.

-- after_: the turn before it, where it was not read but recalled; else NULL.
CREATE TYPE pl_turn_row AS (
    pool_id text, turn_no bigint, turn_id text, at timestamptz, active_units bigint, ceiling bigint, running bigint,
    queued bigint, queued_low bigint, queued_normal bigint, queued_high bigint, queued_critical bigint, waiting bigint,
    virtual_time bigint, job_seq bigint, rank_seq bigint, event_seq bigint, message_seq bigint, next_due_at timestamptz,
    head_low bigint, head_normal bigint, head_high bigint, head_critical bigint, drained bigint,
    after_turn_no bigint, after_turn_id text
);

CREATE TYPE pl_usage_row AS (
    pool_id text, tenant text, turn_no bigint, active_units bigint, queued bigint, finish_tag bigint
);

CREATE TYPE pl_job_row AS (
    pool_id text, job_id bigint, task_id text, submission integer, body_hash bytea, tenant text,
    requested_priority smallint, priority smallint, lane text, rank bigint, resource_kind text, resource_units bigint,
    status text, reason_code text, reason text, attempt integer, max_attempts integer, overtaken integer,
    executor text, timeout_ms bigint, deadline timestamptz, not_before timestamptz, created_at timestamptz,
    started_at timestamptz, finished_at timestamptz, cancel_asked_at timestamptz, holder text, river_job_id bigint,
    mailbox_tenant text, mailbox_user text, mailbox_session text, labels jsonb, payload text, result text
);

-- from_: what the row has to be before.
CREATE TYPE pl_change_row AS (
    pool_id text, job_id bigint, from_status text, from_attempt integer, from_cancel_asked_at timestamptz,
    priority smallint, lane text, rank bigint, status text, reason_code text, reason text, attempt integer,
    max_attempts integer, overtaken integer, not_before timestamptz, started_at timestamptz, finished_at timestamptz,
    cancel_asked_at timestamptz, holder text, river_job_id bigint, result text
);

CREATE TYPE pl_mark_row AS (
    pool_id text, job_id bigint, tenant text, lane text, priority smallint, rank bigint, deadline timestamptz,
    not_before timestamptz
);

-- subjects is NULL when they are what the row names anyway.
CREATE TYPE pl_event_row AS (
    source text, seq bigint, at timestamptz, kind text, pool_id text, task_id text, job_id bigint, submission integer,
    tenant text, attempt integer, units bigint, status text, reason_code text, reason text, actor text,
    subjects text[], detail text
);

CREATE TYPE pl_message_row AS (
    source text, seq bigint, tenant text, user_id text, session_id text, pool_id text, task_id text, job_id bigint,
    submission integer, status text, reason_code text, reason text, payload text, created_at timestamptz
);

-- +goose Down
DROP TYPE pl_turn_row, pl_usage_row, pl_job_row, pl_change_row, pl_mark_row, pl_event_row, pl_message_row;
