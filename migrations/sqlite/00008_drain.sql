-- +goose Up

-- How many tasks have left the order so far, whatever for: what the drain of a queue is
-- measured by.
ALTER TABLE pl_pool_turns ADD COLUMN drained INTEGER NOT NULL DEFAULT 0;
