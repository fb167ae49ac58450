-- What is free is walked in the order of the allocation; only spots that are free and in
-- service are in these indexes.

-- name: FirstFreeByPlace :one
SELECT s.* FROM pl_spots AS s
WHERE s.facility_id = @facility_id AND s.kind = @kind AND s.state = 'free' AND NOT s.out_of_service
  AND s.features @> @features::text[]
ORDER BY s.level, s.row_no, s.position
LIMIT 1;

-- name: FirstFreeNearest :one
SELECT s.* FROM pl_spots AS s
WHERE s.facility_id = @facility_id AND s.kind = @kind AND s.state = 'free' AND NOT s.out_of_service
  AND s.features @> @features::text[]
ORDER BY s.distance_rank, s.spot_id
LIMIT 1;

-- name: FirstFreeOnOpenLevel :one
-- The open levels by skipping through the index of what is taken, then the first free
-- spot of each; one row that counts.
WITH RECURSIVE open_levels AS (
    SELECT min(t.level)::bigint AS level FROM pl_spots AS t
    WHERE t.facility_id = @facility_id AND t.state <> 'free' AND NOT t.out_of_service
    UNION ALL
    SELECT (SELECT min(t.level) FROM pl_spots AS t
            WHERE t.facility_id = @facility_id AND t.state <> 'free' AND NOT t.out_of_service AND t.level > o.level)::bigint
    FROM open_levels AS o
    WHERE o.level IS NOT NULL
)
SELECT f.*
FROM open_levels AS o
CROSS JOIN LATERAL (
    SELECT s.* FROM pl_spots AS s
    WHERE s.facility_id = @facility_id AND s.kind = @kind AND s.state = 'free' AND NOT s.out_of_service
      AND s.level = o.level AND s.features @> @features::text[]
    ORDER BY s.row_no, s.position
    LIMIT 1
) AS f
ORDER BY f.level
LIMIT 1;

-- name: SmallestWindow :many
-- Gaps and islands: the first and last spots of islands, by looking at the neighbours of
-- each; what is between is left out at once. A neighbour's position plus or minus one
-- cannot overflow, this one being beyond it.
WITH RECURSIVE open_levels AS (
    SELECT min(t.level)::bigint AS level FROM pl_spots AS t
    WHERE t.facility_id = @facility_id AND t.state <> 'free' AND NOT t.out_of_service AND @fill_in::boolean
    UNION ALL
    SELECT (SELECT min(t.level) FROM pl_spots AS t
            WHERE t.facility_id = @facility_id AND t.state <> 'free' AND NOT t.out_of_service AND t.level > o.level)::bigint
    FROM open_levels AS o
    WHERE o.level IS NOT NULL
), fitting AS (
    SELECT s.spot_id, s.level, s.row_no, s.position, s.distance_rank,
           coalesce(lag(s.position) OVER w + 1 < s.position, true) AS first,
           coalesce(lead(s.position) OVER w - 1 > s.position, true) AS last
    FROM pl_spots AS s
    WHERE s.facility_id = @facility_id AND s.kind = @kind AND s.state = 'free' AND NOT s.out_of_service
      AND s.features @> @features::text[]
    WINDOW w AS (PARTITION BY s.level, s.row_no ORDER BY s.position)
), islands AS (
    SELECT f.spot_id, f.level, f.row_no, f.position, f.distance_rank, f.first,
           CASE WHEN f.last THEN 1 ELSE lead(f.position) OVER (PARTITION BY f.level, f.row_no ORDER BY f.position) - f.position + 1 END AS length
    FROM fitting AS f
    WHERE f.first OR f.last
), best AS (
    SELECT i.level, i.row_no, i.position FROM islands AS i
    WHERE i.first AND i.length >= @size::bigint
    ORDER BY i.length,
             CASE WHEN @fill_in::boolean AND i.level IN (SELECT o.level FROM open_levels AS o WHERE o.level IS NOT NULL) THEN 0 ELSE 1 END,
             CASE WHEN @nearest::boolean THEN i.distance_rank END,
             CASE WHEN @nearest::boolean THEN i.spot_id END,
             i.level, i.row_no, i.position
    LIMIT 1
)
SELECT s.* FROM best AS b
JOIN pl_spots AS s ON s.facility_id = @facility_id AND s.level = b.level AND s.row_no = b.row_no AND s.position >= b.position
ORDER BY s.position
LIMIT @size::bigint;

-- name: BookableSpot :one
-- FirstFree for a reservation: no booked one may overlap.
WITH RECURSIVE open_levels AS (
    SELECT min(t.level)::bigint AS level FROM pl_spots AS t
    WHERE t.facility_id = @facility_id AND t.state <> 'free' AND NOT t.out_of_service AND @fill_in::boolean
    UNION ALL
    SELECT (SELECT min(t.level) FROM pl_spots AS t
            WHERE t.facility_id = @facility_id AND t.state <> 'free' AND NOT t.out_of_service AND t.level > o.level)::bigint
    FROM open_levels AS o
    WHERE o.level IS NOT NULL
)
SELECT s.* FROM pl_spots AS s
WHERE s.facility_id = @facility_id AND s.kind = @kind AND NOT s.out_of_service AND s.features @> @features::text[]
  AND (s.state = 'free' OR NOT @must_be_free::boolean)
  AND NOT EXISTS (
      SELECT 1 FROM pl_reservation_spots AS b
      WHERE b.spot_no = s.spot_no AND b.booked AND b.during && tstzrange(@from_at::timestamptz, @to_at::timestamptz))
ORDER BY CASE WHEN @fill_in::boolean AND s.level IN (SELECT o.level FROM open_levels AS o WHERE o.level IS NOT NULL) THEN 0 ELSE 1 END,
         CASE WHEN @nearest::boolean THEN s.distance_rank END,
         CASE WHEN @nearest::boolean THEN s.spot_id END,
         s.level, s.row_no, s.position
LIMIT 1;

-- name: BookableWindow :many
-- SmallestWindow for a reservation.
WITH RECURSIVE open_levels AS (
    SELECT min(t.level)::bigint AS level FROM pl_spots AS t
    WHERE t.facility_id = @facility_id AND t.state <> 'free' AND NOT t.out_of_service AND @fill_in::boolean
    UNION ALL
    SELECT (SELECT min(t.level) FROM pl_spots AS t
            WHERE t.facility_id = @facility_id AND t.state <> 'free' AND NOT t.out_of_service AND t.level > o.level)::bigint
    FROM open_levels AS o
    WHERE o.level IS NOT NULL
), fitting AS (
    SELECT s.spot_id, s.level, s.row_no, s.position, s.distance_rank,
           coalesce(lag(s.position) OVER w + 1 < s.position, true) AS first,
           coalesce(lead(s.position) OVER w - 1 > s.position, true) AS last
    FROM pl_spots AS s
    WHERE s.facility_id = @facility_id AND s.kind = @kind AND NOT s.out_of_service AND s.features @> @features::text[]
      AND (s.state = 'free' OR NOT @must_be_free::boolean)
      AND NOT EXISTS (
          SELECT 1 FROM pl_reservation_spots AS b
          WHERE b.spot_no = s.spot_no AND b.booked AND b.during && tstzrange(@from_at::timestamptz, @to_at::timestamptz))
    WINDOW w AS (PARTITION BY s.level, s.row_no ORDER BY s.position)
), islands AS (
    SELECT f.spot_id, f.level, f.row_no, f.position, f.distance_rank, f.first,
           CASE WHEN f.last THEN 1 ELSE lead(f.position) OVER (PARTITION BY f.level, f.row_no ORDER BY f.position) - f.position + 1 END AS length
    FROM fitting AS f
    WHERE f.first OR f.last
), best AS (
    SELECT i.level, i.row_no, i.position FROM islands AS i
    WHERE i.first AND i.length >= @size::bigint
    ORDER BY i.length,
             CASE WHEN @fill_in::boolean AND i.level IN (SELECT o.level FROM open_levels AS o WHERE o.level IS NOT NULL) THEN 0 ELSE 1 END,
             CASE WHEN @nearest::boolean THEN i.distance_rank END,
             CASE WHEN @nearest::boolean THEN i.spot_id END,
             i.level, i.row_no, i.position
    LIMIT 1
)
SELECT s.* FROM best AS b
JOIN pl_spots AS s ON s.facility_id = @facility_id AND s.level = b.level AND s.row_no = b.row_no AND s.position >= b.position
ORDER BY s.position
LIMIT @size::bigint;
