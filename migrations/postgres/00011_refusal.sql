-- oldest-program: 6
-- +goose Up

-- Raises when the database does not agree to what a turn recalls instead of reading. It stands for
-- the read, and not among the guards of what is written (pl_expect): those only find what
-- the pool's lock has not prevented. Called in the branch that refuses only: a call costs more than the
-- comparison. A number, so that it can stand for a column's value.
-- +goose StatementBegin
CREATE FUNCTION pl_refuse(what text) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'pl_guard: not as recalled: %', what USING ERRCODE = 'PL001';
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION pl_refuse(text);
