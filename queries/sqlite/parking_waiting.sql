-- name: InsertWaiting :execrows
INSERT INTO pl_waiting (
    waiting_id, facility_id, seq, vehicle_id, features, priority, overtaken, deadline, mailbox_tenant, mailbox_user,
    mailbox_session, status, reason_code, offer_spot_ids, offer_expires_at, ticket_id, created_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: WaitingExists :one
SELECT EXISTS (SELECT 1 FROM pl_waiting AS w WHERE w.waiting_id = sqlc.arg(waiting_id));

-- name: GetWaiting :one
SELECT w.* FROM pl_waiting AS w WHERE w.waiting_id = sqlc.arg(waiting_id);

-- name: UpdateWaiting :execrows
UPDATE pl_waiting SET
    overtaken = sqlc.arg(overtaken), status = sqlc.arg(status), reason_code = sqlc.arg(reason_code),
    offer_spot_ids = sqlc.arg(offer_spot_ids), offer_expires_at = sqlc.narg(offer_expires_at), ticket_id = sqlc.arg(ticket_id)
WHERE waiting_id = sqlc.arg(waiting_id) AND facility_id = sqlc.arg(facility_id);

-- name: WaitingLine :many
SELECT w.* FROM pl_waiting AS w
WHERE w.facility_id = sqlc.arg(facility_id) AND w.status IN ('waiting', 'offered')
ORDER BY w.priority DESC, w.seq;

-- name: Line :many
-- The index's own condition stands beside the narrower one: SQLite does not conclude
-- the first from the second.
SELECT sqlc.embed(w), v.size
FROM pl_waiting AS w
JOIN pl_vehicles AS v ON v.vehicle_id = w.vehicle_id
WHERE w.facility_id = sqlc.arg(facility_id) AND w.status IN ('waiting', 'offered') AND w.status = 'waiting'
ORDER BY w.priority DESC, w.seq
LIMIT sqlc.arg(max_rows);

-- name: DueWaiting :many
SELECT w.* FROM pl_waiting AS w
WHERE w.facility_id = sqlc.arg(facility_id) AND w.status IN ('waiting', 'offered')
  AND (w.deadline <= sqlc.arg(now) OR w.offer_expires_at <= sqlc.arg(now))
ORDER BY w.priority DESC, w.seq;
