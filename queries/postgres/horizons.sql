-- name: RaiseHorizon :exec
-- What was deleted is told with the deletion.
INSERT INTO pl_horizons AS h (source, what, cut_at, deleted)
VALUES (@source, @what, @cut_at, @deleted)
ON CONFLICT (source, what) DO UPDATE SET
    cut_at = greatest(h.cut_at, excluded.cut_at),
    deleted = h.deleted + excluded.deleted;

-- name: Horizons :many
-- Of a source, and of all.
SELECT h.what, h.cut_at, h.deleted FROM pl_horizons AS h
WHERE h.source = @source OR h.source = '';

-- name: TurnBefore :many
-- The newest turn of a pool before an instant, if it is still there.
SELECT t.* FROM pl_pool_turns AS t
WHERE t.pool_id = @pool_id AND t.at < @before
ORDER BY t.turn_no DESC
LIMIT 1;

-- name: FirstTurn :many
-- The oldest turn of a pool that is still there.
SELECT t.* FROM pl_pool_turns AS t
WHERE t.pool_id = @pool_id
ORDER BY t.turn_no
LIMIT 1;
