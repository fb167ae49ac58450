-- name: InsertOccupancy :exec
-- One row a transaction that moved a count. Two of them without an event between leave
-- the later one.
INSERT INTO pl_occupancy (facility_id, event_seq, at, in_service, occupied, reserved)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (facility_id, event_seq) DO UPDATE SET
    at = excluded.at, in_service = excluded.in_service, occupied = excluded.occupied, reserved = excluded.reserved;

-- name: OccupancyNow :many
SELECT
    s.level, s.kind,
    count(*) AS total,
    count(*) FILTER (WHERE s.out_of_service = 0) AS in_service,
    count(*) FILTER (WHERE s.out_of_service = 0 AND s.state = 'occupied') AS occupied,
    count(*) FILTER (WHERE s.out_of_service = 0 AND s.state = 'reserved') AS reserved
FROM pl_spots AS s
WHERE s.facility_id = sqlc.arg(facility_id)
GROUP BY s.level, s.kind
ORDER BY s.level, CASE s.kind WHEN 'compact' THEN 1 WHEN 'regular' THEN 2 ELSE 3 END;

-- name: OccupancyAt :one
-- The newest at or before an instant.
SELECT o.* FROM pl_occupancy AS o
WHERE o.facility_id = sqlc.arg(facility_id) AND o.at <= sqlc.arg(instant)
ORDER BY o.at DESC, o.event_seq DESC
LIMIT 1;
