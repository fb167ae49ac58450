-- +goose Up

-- Who of the remote workers of web pools holds what. A row begins with the attempt it
-- is for and goes in the turn that ends that. Heartbeats write it outside of any turn,
-- which is why it stands apart from the task.
CREATE TABLE pl_leases (
    pool_id         TEXT    NOT NULL,
    job_id          INTEGER NOT NULL,
    attempt         INTEGER NOT NULL CHECK (attempt >= 1),
    lease_id        TEXT    NOT NULL,
    worker_id       TEXT    NOT NULL,
    ttl_ms          INTEGER NOT NULL CHECK (ttl_ms > 0),
    granted_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL CHECK (expires_at <= timeout_at),
    timeout_at      INTEGER NOT NULL,
    cancel_asked_at INTEGER,
    PRIMARY KEY (pool_id, job_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX pl_leases_expiry ON pl_leases (expires_at, pool_id, job_id);

-- +goose Down
DROP TABLE pl_leases;
