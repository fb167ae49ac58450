-- oldest-program: 2
-- +goose Up

-- How many tasks have left the order so far, whatever for: what the drain of a queue is
-- measured by. A program that does not know the column leaves it at 0, which shows as a
-- count that went back; then the time in between is not measured.
ALTER TABLE pl_pool_turns ADD COLUMN drained bigint NOT NULL DEFAULT 0;
