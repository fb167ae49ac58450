-- oldest-program: 6
-- +goose Up

-- Raises when the database does not agree to what a turn recalls instead of reading. It stands for
-- the read, and not among the guards of what is written (pl_expect): those only find what
-- the pool's lock has not prevented.
-- +goose StatementBegin
CREATE FUNCTION pl_agree(got bigint, want bigint, what text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF got <> want THEN
        RAISE EXCEPTION 'pl_guard: % of % rows of %', got, want, what USING ERRCODE = 'PL001';
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION pl_agree(bigint, bigint, text);
