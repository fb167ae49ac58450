-- name: InsertTicket :execrows
INSERT INTO pl_tickets (
    ticket_id, seq, facility_id, vehicle_id, spot_id, spot_ids, status, entry_time, exit_time, lost, strategy_id,
    strategy_version, entry_occupancy_bp, amount, priced_until, window_opened_at, void_reason, reservation_id
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: InsertTicketSpot :exec
INSERT INTO pl_ticket_spots (ticket_id, facility_id, spot_id, live) VALUES (?, ?, ?, ?);

-- name: TicketClash :one
-- Why a ticket was not inserted.
SELECT
    EXISTS (SELECT 1 FROM pl_tickets AS t WHERE t.ticket_id = sqlc.arg(ticket_id)) AS id_taken,
    EXISTS (SELECT 1 FROM pl_tickets AS t WHERE t.facility_id = sqlc.arg(facility_id) AND t.seq = sqlc.arg(seq)) AS seq_taken;

-- name: GetTicket :one
SELECT t.* FROM pl_tickets AS t WHERE t.ticket_id = sqlc.arg(ticket_id);

-- name: UpdateTicket :execrows
UPDATE pl_tickets SET
    status = sqlc.arg(status), exit_time = sqlc.narg(exit_time), lost = sqlc.arg(lost), amount = sqlc.narg(amount),
    priced_until = sqlc.narg(priced_until), window_opened_at = sqlc.narg(window_opened_at), void_reason = sqlc.arg(void_reason)
WHERE ticket_id = sqlc.arg(ticket_id) AND facility_id = sqlc.arg(facility_id);

-- name: EndTicketSpots :exec
UPDATE pl_ticket_spots SET live = 0 WHERE ticket_id = sqlc.arg(ticket_id) AND live = 1;

-- name: TicketsOfFacility :many
SELECT t.* FROM pl_tickets AS t
WHERE t.facility_id = sqlc.arg(facility_id) AND t.seq > sqlc.arg(after_seq)
  AND (CAST(sqlc.arg(status) AS TEXT) = '' OR t.status = sqlc.arg(status))
ORDER BY t.seq
LIMIT sqlc.arg(max_rows);

-- name: OpenTicketsOfFacility :many
SELECT t.* FROM pl_tickets AS t
WHERE t.facility_id = sqlc.arg(facility_id) AND t.seq > sqlc.arg(after_seq) AND t.status = 'open'
ORDER BY t.seq
LIMIT sqlc.arg(max_rows);

-- name: TicketsExited :many
SELECT t.* FROM pl_tickets AS t
WHERE t.facility_id = sqlc.arg(facility_id) AND t.exit_time IS NOT NULL
  AND t.exit_time >= sqlc.arg(exited_from) AND t.exit_time < sqlc.arg(exited_to)
  AND t.seq > sqlc.arg(after_seq) AND (CAST(sqlc.arg(status) AS TEXT) = '' OR t.status = sqlc.arg(status))
ORDER BY t.seq
LIMIT sqlc.arg(max_rows);

-- name: TicketsOfVehicle :many
-- any_exit 1: with or without an exit, at any time.
SELECT t.* FROM pl_tickets AS t
WHERE t.vehicle_id = sqlc.arg(vehicle_id)
  AND (t.facility_id > CAST(sqlc.arg(after_facility) AS TEXT)
       OR t.facility_id = CAST(sqlc.arg(after_facility) AS TEXT) AND t.seq > sqlc.arg(after_seq))
  AND (CAST(sqlc.arg(facility_id) AS TEXT) = '' OR t.facility_id = CAST(sqlc.arg(facility_id) AS TEXT))
  AND (CAST(sqlc.arg(status) AS TEXT) = '' OR t.status = sqlc.arg(status))
  AND (CAST(sqlc.arg(any_exit) AS INTEGER) = 1
       OR t.exit_time >= CAST(sqlc.arg(exited_from) AS INTEGER) AND t.exit_time < CAST(sqlc.arg(exited_to) AS INTEGER))
ORDER BY t.facility_id, t.seq
LIMIT sqlc.arg(max_rows);

-- name: Tickets :many
SELECT t.* FROM pl_tickets AS t
WHERE (t.facility_id > CAST(sqlc.arg(after_facility) AS TEXT)
       OR t.facility_id = CAST(sqlc.arg(after_facility) AS TEXT) AND t.seq > sqlc.arg(after_seq))
  AND (CAST(sqlc.arg(status) AS TEXT) = '' OR t.status = sqlc.arg(status))
  AND (CAST(sqlc.arg(any_exit) AS INTEGER) = 1
       OR t.exit_time >= CAST(sqlc.arg(exited_from) AS INTEGER) AND t.exit_time < CAST(sqlc.arg(exited_to) AS INTEGER))
ORDER BY t.facility_id, t.seq
LIMIT sqlc.arg(max_rows);

-- name: PaymentsOf :many
SELECT p.* FROM pl_payments AS p
WHERE p.ticket_id IN (SELECT j.value FROM json_each(CAST(sqlc.arg(ticket_ids) AS TEXT)) AS j)
ORDER BY p.ticket_id, p.position;

-- name: AdjustmentsOf :many
SELECT a.* FROM pl_adjustments AS a
WHERE a.ticket_id IN (SELECT j.value FROM json_each(CAST(sqlc.arg(ticket_ids) AS TEXT)) AS j)
ORDER BY a.ticket_id, a.position;

-- name: InsertPayment :execrows
INSERT INTO pl_payments (ticket_id, payment_id, position, body_hash, amount, method, paid_at, refunded, refunded_at)
VALUES (
    sqlc.arg(ticket_id), sqlc.arg(payment_id),
    (SELECT count(*) FROM pl_payments AS p WHERE p.ticket_id = sqlc.arg(ticket_id)) + 1,
    sqlc.arg(body_hash), sqlc.arg(amount), sqlc.arg(method), sqlc.arg(paid_at), sqlc.arg(refunded), sqlc.narg(refunded_at)
)
ON CONFLICT DO NOTHING;

-- name: RefundPayments :exec
UPDATE pl_payments SET refunded = amount, refunded_at = sqlc.arg(at)
WHERE ticket_id = sqlc.arg(ticket_id) AND refunded_at IS NULL;

-- name: InsertAdjustment :execrows
INSERT INTO pl_adjustments (ticket_id, adjustment_id, position, body_hash, kind, minutes, bp, amount, reason)
VALUES (
    sqlc.arg(ticket_id), sqlc.arg(adjustment_id),
    (SELECT count(*) FROM pl_adjustments AS a WHERE a.ticket_id = sqlc.arg(ticket_id)) + 1,
    sqlc.arg(body_hash), sqlc.arg(kind), sqlc.arg(minutes), sqlc.arg(bp), sqlc.arg(amount), sqlc.arg(reason)
)
ON CONFLICT DO NOTHING;
