-- name: ListSpots :many
SELECT s.* FROM pl_spots AS s
WHERE s.facility_id = sqlc.arg(facility_id) AND s.spot_id > sqlc.arg(after)
  AND (CAST(sqlc.arg(kind) AS TEXT) = '' OR s.kind = sqlc.arg(kind))
  AND (CAST(sqlc.arg(state) AS TEXT) = '' OR s.state = sqlc.arg(state))
  AND (CAST(sqlc.arg(any_level) AS INTEGER) = 1 OR s.level = sqlc.arg(level))
ORDER BY s.spot_id
LIMIT sqlc.arg(max_rows);

-- name: SpotsByID :many
SELECT s.* FROM pl_spots AS s
WHERE s.facility_id = sqlc.arg(facility_id) AND s.spot_id IN (SELECT j.value FROM json_each(CAST(sqlc.arg(spot_ids) AS TEXT)) AS j)
ORDER BY s.level, s.row_no, s.position;

-- name: AllSpots :many
SELECT s.* FROM pl_spots AS s
WHERE s.facility_id = sqlc.arg(facility_id)
ORDER BY s.level, s.row_no, s.position;

-- name: KindInService :one
SELECT EXISTS (
    SELECT 1 FROM pl_spots AS s WHERE s.facility_id = sqlc.arg(facility_id) AND s.kind = sqlc.arg(kind) AND s.out_of_service = 0
);

-- name: LiftSpots :exec
-- Out of the index of places, so that they may change them among themselves.
UPDATE pl_spots SET placed = 0
WHERE facility_id = sqlc.arg(facility_id) AND spot_id IN (SELECT j.value FROM json_each(CAST(sqlc.arg(spot_ids) AS TEXT)) AS j);

-- name: UpdateSpot :execrows
-- Everything but what stands there.
UPDATE pl_spots SET
    kind = sqlc.arg(kind), level = sqlc.arg(level), row_no = sqlc.arg(row_no), position = sqlc.arg(position),
    features = sqlc.arg(features), distance_rank = sqlc.arg(distance_rank), out_of_service = sqlc.arg(out_of_service), placed = 1
WHERE facility_id = sqlc.arg(facility_id) AND spot_id = sqlc.arg(spot_id);

-- name: InsertSpot :exec
INSERT INTO pl_spots (facility_id, spot_id, kind, level, row_no, position, features, distance_rank, out_of_service)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: CountSpots :one
SELECT
    count(*) AS total,
    count(*) FILTER (WHERE s.out_of_service = 0) AS in_service,
    count(*) FILTER (WHERE s.out_of_service = 0 AND s.state = 'occupied') AS occupied,
    count(*) FILTER (WHERE s.out_of_service = 0 AND s.state = 'reserved') AS reserved
FROM pl_spots AS s
WHERE s.facility_id = sqlc.arg(facility_id);

-- name: OccupySpots :execrows
UPDATE pl_spots SET state = 'occupied', ticket_id = sqlc.arg(ticket_id), vehicle_id = sqlc.arg(vehicle_id), held_by = ''
WHERE facility_id = sqlc.arg(facility_id) AND spot_id IN (SELECT j.value FROM json_each(CAST(sqlc.arg(spot_ids) AS TEXT)) AS j)
  AND (state = 'free' AND out_of_service = 0 OR state = 'reserved' AND held_by = CAST(sqlc.arg(held_by) AS TEXT));

-- name: HoldSpots :execrows
UPDATE pl_spots SET state = 'reserved', held_by = sqlc.arg(held_by)
WHERE facility_id = sqlc.arg(facility_id) AND spot_id IN (SELECT j.value FROM json_each(CAST(sqlc.arg(spot_ids) AS TEXT)) AS j)
  AND state = 'free' AND out_of_service = 0;

-- name: FreeSpots :execrows
UPDATE pl_spots SET state = 'free', ticket_id = '', vehicle_id = '', held_by = ''
WHERE facility_id = sqlc.arg(facility_id) AND spot_id IN (SELECT j.value FROM json_each(CAST(sqlc.arg(spot_ids) AS TEXT)) AS j)
  AND state <> 'free';

-- name: SetSpotService :execrows
UPDATE pl_spots SET out_of_service = sqlc.arg(out_of_service), features = sqlc.arg(features)
WHERE facility_id = sqlc.arg(facility_id) AND spot_id = sqlc.arg(spot_id);
