-- oldest-program: 6
-- +goose Up

-- What a turn will have left, for the process that decides the next one meanwhile. Nothing is ever written that
-- goes by it alone: whoever does has the database compare (InsertTurns). So it may be lost, and is not logged: a
-- server that took over begins without. A row a turn instead of one that is updated, whose versions
-- every reader would walk through while some transaction is held open.
CREATE UNLOGGED TABLE pl_turn_previews (
    pool_id text   NOT NULL,
    turn_no bigint NOT NULL,
    preview jsonb  NOT NULL,
    PRIMARY KEY (pool_id, turn_no)
);

-- +goose Down
DROP TABLE pl_turn_previews;
