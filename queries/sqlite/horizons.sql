-- name: RaiseHorizon :exec
-- What was deleted is told with the deletion.
INSERT INTO pl_horizons (source, what, cut_at, deleted)
VALUES (sqlc.arg(source), sqlc.arg(what), sqlc.arg(cut_at), sqlc.arg(deleted))
ON CONFLICT (source, what) DO UPDATE SET
    cut_at = max(pl_horizons.cut_at, excluded.cut_at),
    deleted = pl_horizons.deleted + excluded.deleted;

-- name: Horizons :many
-- Of a source, and of all.
SELECT h.what, h.cut_at, h.deleted FROM pl_horizons AS h
WHERE h.source = sqlc.arg(source) OR h.source = '';

-- name: TurnBefore :many
-- The newest turn of a pool before an instant, if it is still there.
SELECT t.* FROM pl_pool_turns AS t
WHERE t.pool_id = sqlc.arg(pool_id) AND t.at < sqlc.arg(before)
ORDER BY t.turn_no DESC
LIMIT 1;

-- name: FirstTurn :many
-- The oldest turn of a pool that is still there.
SELECT t.* FROM pl_pool_turns AS t
WHERE t.pool_id = sqlc.arg(pool_id)
ORDER BY t.turn_no
LIMIT 1;
