-- name: ListSpots :many
SELECT s.* FROM pl_spots AS s
WHERE s.facility_id = @facility_id AND s.spot_id > @after
  AND (@kind::text = '' OR s.kind = @kind)
  AND (@state::text = '' OR s.state = @state)
  AND (sqlc.narg(level)::bigint IS NULL OR s.level = sqlc.narg(level))
ORDER BY s.spot_id
LIMIT @max_rows;

-- name: SpotsByID :many
SELECT s.* FROM pl_spots AS s
WHERE s.facility_id = @facility_id AND s.spot_id = ANY (@spot_ids::text[])
ORDER BY s.level, s.row_no, s.position;

-- name: AllSpots :many
SELECT s.* FROM pl_spots AS s
WHERE s.facility_id = @facility_id
ORDER BY s.level, s.row_no, s.position;

-- name: KindInService :one
SELECT (EXISTS (
    SELECT 1 FROM pl_spots AS s
    WHERE s.facility_id = @facility_id AND s.kind = @kind AND s.state = 'free' AND NOT s.out_of_service
) OR EXISTS (
    SELECT 1 FROM pl_spots AS s
    WHERE s.facility_id = @facility_id AND s.kind = @kind AND s.state <> 'free' AND NOT s.out_of_service
))::boolean AS in_service;

-- name: PutSpots :one
-- Inserts or updates everything but what stands there. features come as the text of an array
-- literal, one a spot. updated is how many there were before.
WITH put AS (
    INSERT INTO pl_spots (facility_id, spot_id, kind, level, row_no, position, features, distance_rank, out_of_service)
    SELECT @facility_id, r.spot_id, r.kind, r.level, r.row_no, r.position, r.features::text[], r.distance_rank, r.out_of_service
    FROM (
        SELECT
            unnest(@spot_ids::text[]) AS spot_id,
            unnest(@kinds::text[]) AS kind,
            unnest(@levels::bigint[]) AS level,
            unnest(@row_nos::bigint[]) AS row_no,
            unnest(@positions::bigint[]) AS position,
            unnest(@features::text[]) AS features,
            unnest(@distance_ranks::bigint[]) AS distance_rank,
            unnest(@out_of_services::boolean[]) AS out_of_service
    ) AS r
    ON CONFLICT (facility_id, spot_id) DO UPDATE SET
        kind = excluded.kind, level = excluded.level, row_no = excluded.row_no, position = excluded.position,
        features = excluded.features, distance_rank = excluded.distance_rank, out_of_service = excluded.out_of_service
    RETURNING 1
)
SELECT (SELECT count(*) FROM put)::bigint AS stored,
       (SELECT count(*) FROM pl_spots AS s
        WHERE s.facility_id = @facility_id AND s.spot_id = ANY (@spot_ids::text[]))::bigint AS updated;

-- name: CountSpots :one
SELECT
    count(*) AS total,
    count(*) FILTER (WHERE NOT s.out_of_service) AS in_service,
    count(*) FILTER (WHERE NOT s.out_of_service AND s.state = 'occupied') AS occupied,
    count(*) FILTER (WHERE NOT s.out_of_service AND s.state = 'reserved') AS reserved
FROM pl_spots AS s
WHERE s.facility_id = @facility_id;

-- name: OccupySpots :many
-- All of them or none: each must be free and in service, or held by held_by.
UPDATE pl_spots AS s SET state = 'occupied', ticket_id = @ticket_id, vehicle_id = @vehicle_id, held_by = ''
FROM (
    SELECT o.spot_no, o.state FROM pl_spots AS o
    WHERE o.facility_id = @facility_id AND o.spot_id = ANY (@spot_ids::text[])
      AND (o.state = 'free' AND NOT o.out_of_service OR o.state = 'reserved' AND o.held_by = @held_by)
) AS was
WHERE s.spot_no = was.spot_no
  AND @want::bigint = (
      SELECT count(*) FROM pl_spots AS o
      WHERE o.facility_id = @facility_id AND o.spot_id = ANY (@spot_ids::text[])
        AND (o.state = 'free' AND NOT o.out_of_service OR o.state = 'reserved' AND o.held_by = @held_by))
RETURNING was.state, s.out_of_service;

-- name: HoldSpots :many
-- All of them or none: each must be free and in service.
UPDATE pl_spots AS s SET state = 'reserved', held_by = @held_by
WHERE s.facility_id = @facility_id AND s.spot_id = ANY (@spot_ids::text[])
  AND @want::bigint = (
      SELECT count(*) FROM pl_spots AS o
      WHERE o.facility_id = @facility_id AND o.spot_id = ANY (@spot_ids::text[])
        AND o.state = 'free' AND NOT o.out_of_service)
RETURNING s.out_of_service;

-- name: FreeSpots :many
-- All of them or none: none may be free already.
UPDATE pl_spots AS s SET state = 'free', ticket_id = '', vehicle_id = '', held_by = ''
FROM (
    SELECT o.spot_no, o.state FROM pl_spots AS o
    WHERE o.facility_id = @facility_id AND o.spot_id = ANY (@spot_ids::text[]) AND o.state <> 'free'
) AS was
WHERE s.spot_no = was.spot_no
  AND @want::bigint = (
      SELECT count(*) FROM pl_spots AS o
      WHERE o.facility_id = @facility_id AND o.spot_id = ANY (@spot_ids::text[]) AND o.state <> 'free')
RETURNING was.state, s.out_of_service;

-- name: SetSpotService :one
UPDATE pl_spots AS s SET out_of_service = @out_of_service, features = @features::text[]
FROM (SELECT o.spot_no, o.out_of_service FROM pl_spots AS o WHERE o.facility_id = @facility_id AND o.spot_id = @spot_id) AS was
WHERE s.spot_no = was.spot_no
RETURNING s.state, was.out_of_service AS was_out_of_service;
