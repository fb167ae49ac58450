-- +goose Up

-- What retention has deleted, so that a proof knows what is missing from what was deleted
-- on purpose. cut_at of tasks: those that ended before it may be gone; of unread messages:
-- those posted before it; of acknowledged ones: those acknowledged before it; of the audit
-- trail (source '': all of them): events before it are gone, or going. Written by the
-- transaction that deletes.
CREATE TABLE pl_horizons (
    source  TEXT    NOT NULL,
    what    TEXT    NOT NULL CHECK (what IN ('audit', 'tasks', 'unread', 'acknowledged')),
    cut_at  INTEGER NOT NULL,
    deleted INTEGER NOT NULL, -- how many so far
    PRIMARY KEY (source, what)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE pl_horizons;
