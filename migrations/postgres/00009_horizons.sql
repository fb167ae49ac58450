-- oldest-program: 6
-- +goose Up

-- What retention has deleted, so that a proof knows what is missing from what was deleted
-- on purpose. cut_at of tasks: those that ended before it may be gone; of unread messages:
-- those posted before it; of acknowledged ones: those acknowledged before it; of the audit
-- trail (source '': all of them): events before it are gone. Written by the transaction that
-- deletes. An older program beside this one deletes without writing it, and a proof then
-- reports that as missing.
CREATE TABLE pl_horizons (
    source  text COLLATE "C" NOT NULL,
    what    text        NOT NULL CHECK (what IN ('audit', 'tasks', 'unread', 'acknowledged')),
    cut_at  timestamptz NOT NULL,
    deleted bigint      NOT NULL, -- how many so far; of the audit trail: days
    PRIMARY KEY (source, what)
);

-- +goose Down
DROP TABLE pl_horizons;
