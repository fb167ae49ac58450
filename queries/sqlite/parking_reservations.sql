-- name: InsertReservation :execrows
INSERT INTO pl_reservations (
    reservation_id, facility_id, body_hash, vehicle_id, spot_ids, from_at, to_at, no_show_at, features, status, holding, created_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: GetReservation :one
SELECT r.* FROM pl_reservations AS r WHERE r.reservation_id = sqlc.arg(reservation_id);

-- name: UpdateReservation :execrows
UPDATE pl_reservations SET status = sqlc.arg(status), holding = sqlc.arg(holding), spot_ids = sqlc.arg(spot_ids)
WHERE reservation_id = sqlc.arg(reservation_id) AND facility_id = sqlc.arg(facility_id);

-- name: DropReservationSpots :exec
-- They are put anew.
DELETE FROM pl_reservation_spots WHERE reservation_id = sqlc.arg(reservation_id);

-- name: PutReservationSpots :execrows
-- The triggers refuse what overlaps.
INSERT INTO pl_reservation_spots (reservation_id, spot_no, from_at, to_at, booked)
SELECT r.reservation_id, s.spot_no, r.from_at, r.to_at, r.status = 'booked'
FROM pl_reservations AS r
JOIN pl_spots AS s ON s.facility_id = r.facility_id AND s.spot_id IN (SELECT j.value FROM json_each(r.spot_ids) AS j)
WHERE r.reservation_id = sqlc.arg(reservation_id);

-- name: DueReservations :many
SELECT r.* FROM pl_reservations AS r
WHERE r.facility_id = sqlc.arg(facility_id) AND r.status = 'booked' AND r.from_at <= sqlc.arg(now)
ORDER BY r.from_at, r.reservation_id;
