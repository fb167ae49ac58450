-- name: InsertReservation :one
-- The reservation and its spots' rows, or nothing when the id is taken or a booked one of a
-- spot overlaps; the exclusion constraint stands behind that.
WITH made AS (
    INSERT INTO pl_reservations (
        reservation_id, facility_id, body_hash, vehicle_id, spot_ids, from_at, to_at, no_show_at, features, status, holding, created_at
    )
    SELECT @reservation_id, @facility_id, @body_hash, @vehicle_id, @spot_ids::text[], @from_at::timestamptz, @to_at::timestamptz,
           @no_show_at, @features::text[], @status::text, @holding, @created_at
    WHERE @status::text <> 'booked' OR NOT EXISTS (
        SELECT 1 FROM pl_spots AS s
        JOIN pl_reservation_spots AS b ON b.spot_no = s.spot_no
        WHERE s.facility_id = @facility_id AND s.spot_id = ANY (@spot_ids::text[])
          AND b.booked AND b.during && tstzrange(@from_at::timestamptz, @to_at::timestamptz))
    ON CONFLICT DO NOTHING
    RETURNING reservation_id
), placed AS (
    INSERT INTO pl_reservation_spots (reservation_id, spot_no, during, booked)
    SELECT m.reservation_id, s.spot_no, tstzrange(@from_at::timestamptz, @to_at::timestamptz), @status::text = 'booked'
    FROM made AS m
    JOIN pl_spots AS s ON s.facility_id = @facility_id AND s.spot_id = ANY (@spot_ids::text[])
    RETURNING 1
)
SELECT (SELECT count(*) FROM made)::bigint AS made, (SELECT count(*) FROM placed)::bigint AS placed;

-- name: GetReservation :one
SELECT r.* FROM pl_reservations AS r WHERE r.reservation_id = @reservation_id;

-- name: ReservationOverlaps :one
-- Whether a booked reservation other than this one has one of the spots in its time.
SELECT EXISTS (
    SELECT 1 FROM pl_reservations AS r
    JOIN pl_spots AS s ON s.facility_id = r.facility_id AND s.spot_id = ANY (@spot_ids::text[])
    JOIN pl_reservation_spots AS b ON b.spot_no = s.spot_no
    WHERE r.reservation_id = @reservation_id AND b.reservation_id <> r.reservation_id
      AND b.booked AND b.during && tstzrange(r.from_at, r.to_at)
);

-- name: UpdateReservation :execrows
UPDATE pl_reservations SET status = @status, holding = @holding, spot_ids = @spot_ids::text[]
WHERE reservation_id = @reservation_id AND facility_id = @facility_id;

-- name: DropReservationSpots :exec
-- The rows of spots that a reservation has no longer.
DELETE FROM pl_reservation_spots AS b
USING pl_spots AS s
WHERE b.reservation_id = @reservation_id AND s.spot_no = b.spot_no AND NOT s.spot_id = ANY (@spot_ids::text[]);

-- name: PutReservationSpots :execrows
INSERT INTO pl_reservation_spots (reservation_id, spot_no, during, booked)
SELECT r.reservation_id, s.spot_no, tstzrange(r.from_at, r.to_at), r.status = 'booked'
FROM pl_reservations AS r
JOIN pl_spots AS s ON s.facility_id = r.facility_id AND s.spot_id = ANY (r.spot_ids)
WHERE r.reservation_id = @reservation_id
ON CONFLICT (reservation_id, spot_no) DO UPDATE SET booked = excluded.booked;

-- name: DueReservations :many
SELECT r.* FROM pl_reservations AS r
WHERE r.facility_id = @facility_id AND r.status = 'booked' AND r.from_at <= @now
ORDER BY r.from_at, r.reservation_id;
