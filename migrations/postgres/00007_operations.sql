-- oldest-program: 2
-- +goose Up
-- Which programs may use the schema. A program counts as old as the newest migration
-- it knows. Raised by the migrator, never lowered; every heartbeat reads it, and a
-- process of an older program stops.
CREATE TABLE pl_schema (
    one_row        boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    oldest_program bigint NOT NULL
);
INSERT INTO pl_schema (oldest_program) VALUES (0);

-- 0: a program from before this column.
ALTER TABLE pl_workers ADD COLUMN program bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE pl_workers DROP COLUMN program;
DROP TABLE pl_schema;
