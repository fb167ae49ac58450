-- What is free is walked in the order of the allocation; only spots that are free and in
-- service are in these indexes. A spot has all the features when none is wanted that it lacks.

-- name: FirstFreeByPlace :one
SELECT s.* FROM pl_spots AS s
WHERE s.facility_id = sqlc.arg(facility_id) AND s.kind = sqlc.arg(kind) AND s.state = 'free' AND s.out_of_service = 0
  AND NOT EXISTS (SELECT 1 FROM json_each(CAST(sqlc.arg(features) AS TEXT)) AS w
                  WHERE w.value NOT IN (SELECT h.value FROM json_each(s.features) AS h))
ORDER BY s.level, s.row_no, s.position
LIMIT 1;

-- name: FirstFreeNearest :one
SELECT s.* FROM pl_spots AS s
WHERE s.facility_id = sqlc.arg(facility_id) AND s.kind = sqlc.arg(kind) AND s.state = 'free' AND s.out_of_service = 0
  AND NOT EXISTS (SELECT 1 FROM json_each(CAST(sqlc.arg(features) AS TEXT)) AS w
                  WHERE w.value NOT IN (SELECT h.value FROM json_each(s.features) AS h))
ORDER BY s.distance_rank, s.spot_id
LIMIT 1;

-- name: OpenLevels :many
-- By skipping through the index of what is taken.
WITH RECURSIVE open_levels (level) AS (
    SELECT min(t.level) FROM pl_spots AS t
    WHERE t.facility_id = sqlc.arg(facility_id) AND t.state <> 'free' AND t.out_of_service = 0
    UNION ALL
    SELECT (SELECT min(t.level) FROM pl_spots AS t
            WHERE t.facility_id = sqlc.arg(facility_id) AND t.state <> 'free' AND t.out_of_service = 0 AND t.level > l.level)
    FROM open_levels AS l
    WHERE l.level IS NOT NULL
)
SELECT CAST(l.level AS INTEGER) AS level FROM open_levels AS l WHERE l.level IS NOT NULL ORDER BY l.level;

-- name: FirstFreeOfLevel :one
SELECT s.* FROM pl_spots AS s
WHERE s.facility_id = sqlc.arg(facility_id) AND s.kind = sqlc.arg(kind) AND s.state = 'free' AND s.out_of_service = 0
  AND s.level = sqlc.arg(level)
  AND NOT EXISTS (SELECT 1 FROM json_each(CAST(sqlc.arg(features) AS TEXT)) AS w
                  WHERE w.value NOT IN (SELECT h.value FROM json_each(s.features) AS h))
ORDER BY s.row_no, s.position
LIMIT 1;

-- name: SmallestWindow :many
-- Gaps and islands: an island starts where the spot before is not next to it, and ends
-- where the next one starts. open_levels is JSON, empty where they do not come first;
-- nearest is 1 where distance decides, else 0. Parameters in ORDER BY would be lost.
WITH fitting AS (
    SELECT s.level, s.row_no, s.position,
           s.level NOT IN (SELECT o.value FROM json_each(CAST(sqlc.arg(open_levels) AS TEXT)) AS o) AS shut,
           CAST(sqlc.arg(nearest) AS INTEGER) * s.distance_rank AS distance,
           substr(s.spot_id, 1, CAST(sqlc.arg(nearest) AS INTEGER) * length(s.spot_id)) AS name,
           lag(s.position) OVER (PARTITION BY s.level, s.row_no ORDER BY s.position) AS prior,
           row_number() OVER (ORDER BY s.level, s.row_no, s.position) AS n,
           count(*) OVER () AS total
    FROM pl_spots AS s
    WHERE s.facility_id = sqlc.arg(facility_id) AND s.kind = sqlc.arg(kind) AND s.state = 'free' AND s.out_of_service = 0
      AND NOT EXISTS (SELECT 1 FROM json_each(CAST(sqlc.arg(features) AS TEXT)) AS w
                      WHERE w.value NOT IN (SELECT h.value FROM json_each(s.features) AS h))
), islands AS (
    SELECT f.level, f.row_no, f.position, f.shut, f.distance, f.name,
           lead(f.n, 1, f.total + 1) OVER (ORDER BY f.n) - f.n AS length
    FROM fitting AS f
    WHERE f.prior IS NULL OR f.prior <> f.position - 1
), best AS (
    SELECT i.level, i.row_no, i.position FROM islands AS i
    WHERE i.length >= CAST(sqlc.arg(size) AS INTEGER)
    ORDER BY i.length, i.shut, i.distance, i.name, i.level, i.row_no, i.position
    LIMIT 1
)
SELECT s.* FROM pl_spots AS s
JOIN best AS b ON b.level = s.level AND b.row_no = s.row_no
WHERE s.facility_id = sqlc.arg(facility_id) AND s.position >= b.position
ORDER BY s.position
LIMIT sqlc.arg(max_rows);

-- name: BookableSpot :one
-- FirstFree for a reservation: no booked one may overlap.
WITH fitting AS (
    SELECT s.spot_no, s.level, s.row_no, s.position,
           s.level NOT IN (SELECT o.value FROM json_each(CAST(sqlc.arg(open_levels) AS TEXT)) AS o) AS shut,
           CAST(sqlc.arg(nearest) AS INTEGER) * s.distance_rank AS distance,
           substr(s.spot_id, 1, CAST(sqlc.arg(nearest) AS INTEGER) * length(s.spot_id)) AS name
    FROM pl_spots AS s
    WHERE s.facility_id = sqlc.arg(facility_id) AND s.kind = sqlc.arg(kind) AND s.out_of_service = 0
      AND (s.state = 'free' OR CAST(sqlc.arg(must_be_free) AS INTEGER) = 0)
      AND NOT EXISTS (SELECT 1 FROM pl_reservation_spots AS b
                      WHERE b.spot_no = s.spot_no AND b.booked = 1 AND b.from_at < sqlc.arg(to_at) AND b.to_at > sqlc.arg(from_at))
      AND NOT EXISTS (SELECT 1 FROM json_each(CAST(sqlc.arg(features) AS TEXT)) AS w
                      WHERE w.value NOT IN (SELECT h.value FROM json_each(s.features) AS h))
), best AS (
    SELECT f.spot_no FROM fitting AS f
    ORDER BY f.shut, f.distance, f.name, f.level, f.row_no, f.position
    LIMIT 1
)
SELECT s.* FROM best AS b JOIN pl_spots AS s ON s.spot_no = b.spot_no;

-- name: BookableWindow :many
-- SmallestWindow for a reservation.
WITH fitting AS (
    SELECT s.level, s.row_no, s.position,
           s.level NOT IN (SELECT o.value FROM json_each(CAST(sqlc.arg(open_levels) AS TEXT)) AS o) AS shut,
           CAST(sqlc.arg(nearest) AS INTEGER) * s.distance_rank AS distance,
           substr(s.spot_id, 1, CAST(sqlc.arg(nearest) AS INTEGER) * length(s.spot_id)) AS name,
           lag(s.position) OVER (PARTITION BY s.level, s.row_no ORDER BY s.position) AS prior,
           row_number() OVER (ORDER BY s.level, s.row_no, s.position) AS n,
           count(*) OVER () AS total
    FROM pl_spots AS s
    WHERE s.facility_id = sqlc.arg(facility_id) AND s.kind = sqlc.arg(kind) AND s.out_of_service = 0
      AND (s.state = 'free' OR CAST(sqlc.arg(must_be_free) AS INTEGER) = 0)
      AND NOT EXISTS (SELECT 1 FROM pl_reservation_spots AS b
                      WHERE b.spot_no = s.spot_no AND b.booked = 1 AND b.from_at < sqlc.arg(to_at) AND b.to_at > sqlc.arg(from_at))
      AND NOT EXISTS (SELECT 1 FROM json_each(CAST(sqlc.arg(features) AS TEXT)) AS w
                      WHERE w.value NOT IN (SELECT h.value FROM json_each(s.features) AS h))
), islands AS (
    SELECT f.level, f.row_no, f.position, f.shut, f.distance, f.name,
           lead(f.n, 1, f.total + 1) OVER (ORDER BY f.n) - f.n AS length
    FROM fitting AS f
    WHERE f.prior IS NULL OR f.prior <> f.position - 1
), best AS (
    SELECT i.level, i.row_no, i.position FROM islands AS i
    WHERE i.length >= CAST(sqlc.arg(size) AS INTEGER)
    ORDER BY i.length, i.shut, i.distance, i.name, i.level, i.row_no, i.position
    LIMIT 1
)
SELECT s.* FROM pl_spots AS s
JOIN best AS b ON b.level = s.level AND b.row_no = s.row_no
WHERE s.facility_id = sqlc.arg(facility_id) AND s.position >= b.position
ORDER BY s.position
LIMIT sqlc.arg(max_rows);
