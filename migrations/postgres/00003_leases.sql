-- oldest-program: 2
-- +goose Up

-- Who of the remote workers of web pools holds what. A row begins with the attempt it
-- is for and goes in the turn that ends that. Heartbeats write it outside of any turn,
-- which is why it stands apart from the task.
CREATE TABLE pl_leases (
    pool_id         text COLLATE "C" NOT NULL,
    job_id          bigint      NOT NULL,
    attempt         integer     NOT NULL CHECK (attempt >= 1),
    lease_id        text COLLATE "C" NOT NULL,
    worker_id       text        NOT NULL,
    ttl_ms          bigint      NOT NULL CHECK (ttl_ms > 0),
    granted_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    timeout_at      timestamptz NOT NULL,
    cancel_asked_at timestamptz,
    PRIMARY KEY (pool_id, job_id),
    CONSTRAINT pl_leases_timeout CHECK (expires_at <= timeout_at)
) WITH (fillfactor = 50);

CREATE INDEX pl_leases_expiry ON pl_leases (expires_at, pool_id, job_id);

-- +goose Down
DROP TABLE pl_leases;
