-- name: InsertOccupancy :exec
-- One row a transaction that moved a count. Two of them without an event between leave
-- the later one.
INSERT INTO pl_occupancy (facility_id, event_seq, at, in_service, occupied, reserved)
VALUES (@facility_id, @event_seq, @at, @in_service, @occupied, @reserved)
ON CONFLICT (facility_id, event_seq) DO UPDATE SET
    at = excluded.at, in_service = excluded.in_service, occupied = excluded.occupied, reserved = excluded.reserved;

-- name: OccupancyNow :many
SELECT
    s.level, s.kind,
    count(*) AS total,
    count(*) FILTER (WHERE NOT s.out_of_service) AS in_service,
    count(*) FILTER (WHERE NOT s.out_of_service AND s.state = 'occupied') AS occupied,
    count(*) FILTER (WHERE NOT s.out_of_service AND s.state = 'reserved') AS reserved
FROM pl_spots AS s
WHERE s.facility_id = @facility_id
GROUP BY s.level, s.kind
ORDER BY s.level, array_position(ARRAY['compact', 'regular', 'oversized'], s.kind::text);

-- name: OccupancyAt :many
-- The newest at or before each instant.
SELECT i.at::timestamptz AS at, o.in_service, o.occupied, o.reserved
FROM unnest(@instants::timestamptz[]) AS i(at)
CROSS JOIN LATERAL (
    SELECT p.in_service, p.occupied, p.reserved FROM pl_occupancy AS p
    WHERE p.facility_id = @facility_id AND p.at <= i.at
    ORDER BY p.at DESC, p.event_seq DESC
    LIMIT 1
) AS o
ORDER BY i.at;
