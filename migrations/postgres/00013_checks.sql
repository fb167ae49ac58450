-- oldest-program: 6
-- +goose Up

-- Every statement that writes a table takes the text of each of its CHECKs apart anew, which for a turn of one
-- task was a sixth of what it costs the server. So each table that turns write has one, and says nothing twice:
-- what is bounded by something that is checked is checked with it.
ALTER TABLE pl_pool_turns
    DROP CONSTRAINT pl_pool_turns_active_units_check,
    DROP CONSTRAINT pl_pool_turns_ceiling_check,
    DROP CONSTRAINT pl_pool_turns_running_check,
    DROP CONSTRAINT pl_pool_turns_queued_check,
    DROP CONSTRAINT pl_pool_turns_queued_low_check,
    DROP CONSTRAINT pl_pool_turns_queued_normal_check,
    DROP CONSTRAINT pl_pool_turns_queued_high_check,
    DROP CONSTRAINT pl_pool_turns_queued_critical_check,
    DROP CONSTRAINT pl_pool_turns_waiting_check,
    DROP CONSTRAINT pl_pool_turns_capacity,
    DROP CONSTRAINT pl_pool_turns_queued,
    -- The ceiling and all that are queued are not below zero because of what they are not less than.
    ADD CONSTRAINT pl_pool_turns_capacity CHECK (
        active_units <= ceiling
        AND queued = queued_low + queued_normal + queued_high + queued_critical
        AND least(active_units, running, waiting, queued_low, queued_normal, queued_high, queued_critical) >= 0
    );

ALTER TABLE pl_tenants
    DROP CONSTRAINT pl_tenants_active_units_check,
    DROP CONSTRAINT pl_tenants_queued_check,
    ADD CONSTRAINT pl_tenants_usage CHECK (least(active_units, queued) >= 0);

ALTER TABLE pl_queue_jobs
    DROP CONSTRAINT pl_queue_jobs_requested_priority_check,
    DROP CONSTRAINT pl_queue_jobs_priority_check,
    DROP CONSTRAINT pl_queue_jobs_resource_kind_check,
    DROP CONSTRAINT pl_queue_jobs_resource_units_check,
    DROP CONSTRAINT pl_queue_jobs_status_check,
    DROP CONSTRAINT pl_queue_jobs_attempt_check,
    DROP CONSTRAINT pl_queue_jobs_max_attempts_check,
    DROP CONSTRAINT pl_queue_jobs_timeout_ms_check,
    DROP CONSTRAINT pl_queue_jobs_attempt,
    DROP CONSTRAINT pl_queue_jobs_running,
    DROP CONSTRAINT pl_queue_jobs_final,
    ADD CONSTRAINT pl_queue_jobs_sound CHECK (
        least(requested_priority, priority) >= 0
        AND greatest(requested_priority, priority) <= 3
        AND least(resource_units, timeout_ms) >= 1
        AND attempt >= 0
        AND greatest(attempt, 1) <= max_attempts
        AND resource_kind = ANY ('{cpu,gpuVram,io,mixed}')
        AND CASE
            WHEN finished_at IS NOT NULL THEN status = ANY ('{completed,failed,expired,rejected,dropped}')
            WHEN status = 'running' THEN attempt >= 1 AND started_at IS NOT NULL
            ELSE status = 'queued'
        END
    );

-- +goose Down
ALTER TABLE pl_queue_jobs
    DROP CONSTRAINT pl_queue_jobs_sound,
    ADD CONSTRAINT pl_queue_jobs_requested_priority_check CHECK (requested_priority BETWEEN 0 AND 3),
    ADD CONSTRAINT pl_queue_jobs_priority_check CHECK (priority BETWEEN 0 AND 3),
    ADD CONSTRAINT pl_queue_jobs_resource_kind_check CHECK (resource_kind IN ('cpu', 'gpuVram', 'io', 'mixed')),
    ADD CONSTRAINT pl_queue_jobs_resource_units_check CHECK (resource_units >= 1),
    ADD CONSTRAINT pl_queue_jobs_status_check CHECK (status IN ('queued', 'running', 'completed', 'failed', 'expired', 'rejected', 'dropped')),
    ADD CONSTRAINT pl_queue_jobs_attempt_check CHECK (attempt >= 0),
    ADD CONSTRAINT pl_queue_jobs_max_attempts_check CHECK (max_attempts >= 1),
    ADD CONSTRAINT pl_queue_jobs_timeout_ms_check CHECK (timeout_ms > 0),
    ADD CONSTRAINT pl_queue_jobs_attempt CHECK (attempt <= max_attempts),
    ADD CONSTRAINT pl_queue_jobs_running CHECK (status <> 'running' OR (attempt >= 1 AND started_at IS NOT NULL)),
    ADD CONSTRAINT pl_queue_jobs_final CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed', 'expired', 'rejected', 'dropped')));

ALTER TABLE pl_tenants
    DROP CONSTRAINT pl_tenants_usage,
    ADD CONSTRAINT pl_tenants_active_units_check CHECK (active_units >= 0),
    ADD CONSTRAINT pl_tenants_queued_check CHECK (queued >= 0);

ALTER TABLE pl_pool_turns
    DROP CONSTRAINT pl_pool_turns_capacity,
    ADD CONSTRAINT pl_pool_turns_active_units_check CHECK (active_units >= 0),
    ADD CONSTRAINT pl_pool_turns_ceiling_check CHECK (ceiling >= 0),
    ADD CONSTRAINT pl_pool_turns_running_check CHECK (running >= 0),
    ADD CONSTRAINT pl_pool_turns_queued_check CHECK (queued >= 0),
    ADD CONSTRAINT pl_pool_turns_queued_low_check CHECK (queued_low >= 0),
    ADD CONSTRAINT pl_pool_turns_queued_normal_check CHECK (queued_normal >= 0),
    ADD CONSTRAINT pl_pool_turns_queued_high_check CHECK (queued_high >= 0),
    ADD CONSTRAINT pl_pool_turns_queued_critical_check CHECK (queued_critical >= 0),
    ADD CONSTRAINT pl_pool_turns_waiting_check CHECK (waiting >= 0),
    ADD CONSTRAINT pl_pool_turns_capacity CHECK (active_units <= ceiling),
    ADD CONSTRAINT pl_pool_turns_queued CHECK (queued = queued_low + queued_normal + queued_high + queued_critical);
