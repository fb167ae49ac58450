-- name: InsertFacility :execrows
INSERT INTO pl_facilities (
    facility_id, body_hash, name, time_zone, currency, allocation_strategy, dynamic_bands, pricing_strategy_id,
    window_regular, window_compact, window_rule, max_overtakes, offer_hold_secs, event_seq, last_at, created_at
) VALUES (
    sqlc.arg(facility_id), sqlc.arg(body_hash), sqlc.arg(name), sqlc.arg(time_zone), sqlc.arg(currency),
    sqlc.arg(allocation_strategy), sqlc.arg(dynamic_bands), sqlc.arg(pricing_strategy_id), sqlc.arg(window_regular),
    sqlc.arg(window_compact), sqlc.arg(window_rule), sqlc.arg(max_overtakes), sqlc.arg(offer_hold_secs),
    sqlc.arg(event_seq), sqlc.arg(now), sqlc.arg(now)
)
ON CONFLICT DO NOTHING;

-- name: UpdateFacility :exec
UPDATE pl_facilities SET
    name = sqlc.arg(name), allocation_strategy = sqlc.arg(allocation_strategy), dynamic_bands = sqlc.arg(dynamic_bands),
    pricing_strategy_id = sqlc.arg(pricing_strategy_id), window_regular = sqlc.arg(window_regular),
    window_compact = sqlc.arg(window_compact), window_rule = sqlc.arg(window_rule), max_overtakes = sqlc.arg(max_overtakes),
    offer_hold_secs = sqlc.arg(offer_hold_secs), total = sqlc.arg(total), in_service = sqlc.arg(in_service),
    occupied = sqlc.arg(occupied), reserved = sqlc.arg(reserved), event_seq = sqlc.arg(event_seq),
    message_seq = sqlc.arg(message_seq), wait_seq = sqlc.arg(wait_seq), last_at = sqlc.arg(last_at),
    next_due_at = sqlc.narg(next_due_at)
WHERE facility_id = sqlc.arg(facility_id);

-- name: GetFacility :one
SELECT f.* FROM pl_facilities AS f WHERE f.facility_id = sqlc.arg(facility_id);

-- name: ListFacilities :many
SELECT f.* FROM pl_facilities AS f ORDER BY f.facility_id;

-- name: DueFacilities :many
SELECT f.* FROM pl_facilities AS f
WHERE f.next_due_at IS NOT NULL AND f.next_due_at <= sqlc.arg(now)
ORDER BY f.next_due_at, f.facility_id;

-- name: NextDueFacility :one
-- ErrNoRows: none.
SELECT f.next_due_at FROM pl_facilities AS f
WHERE f.next_due_at IS NOT NULL AND f.next_due_at > sqlc.arg(now)
ORDER BY f.next_due_at
LIMIT 1;

-- name: NextDue :one
-- The earliest instant at which something of a facility falls due; ErrNoRows: none. A
-- reservation's from that has come is not named again.
SELECT CAST(d.at AS INTEGER) AS next_due_at
FROM (
    SELECT r.from_at AS at FROM pl_reservations AS r
    WHERE r.facility_id = sqlc.arg(facility_id) AND r.status = 'booked' AND r.from_at > sqlc.arg(now)
    UNION ALL
    SELECT min(r.no_show_at, r.to_at) AS at FROM pl_reservations AS r
    WHERE r.facility_id = sqlc.arg(facility_id) AND r.status = 'booked' AND r.from_at <= sqlc.arg(now)
    UNION ALL
    SELECT w.deadline AS at FROM pl_waiting AS w
    WHERE w.facility_id = sqlc.arg(facility_id) AND w.status IN ('waiting', 'offered')
    UNION ALL
    SELECT w.offer_expires_at AS at FROM pl_waiting AS w
    WHERE w.facility_id = sqlc.arg(facility_id) AND w.status = 'offered'
) AS d
WHERE d.at IS NOT NULL
ORDER BY d.at
LIMIT 1;

-- name: NextEventSeq :one
-- Numbers for events of a source that has no row of its own.
INSERT INTO pl_parking_sources (source, event_seq, last_at)
VALUES (sqlc.arg(source), sqlc.arg(events), sqlc.arg(now))
ON CONFLICT (source) DO UPDATE SET
    event_seq = pl_parking_sources.event_seq + excluded.event_seq, last_at = max(pl_parking_sources.last_at, excluded.last_at)
RETURNING event_seq, last_at;
