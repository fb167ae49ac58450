-- name: InsertTicket :one
-- The ticket and its spots' rows, or nothing when an index would refuse one of them.
WITH made AS (
    INSERT INTO pl_tickets (
        ticket_id, seq, facility_id, vehicle_id, spot_id, spot_ids, status, entry_time, exit_time, lost, strategy_id,
        strategy_version, entry_occupancy_bp, amount, priced_until, window_opened_at, void_reason, reservation_id
    )
    SELECT @ticket_id, @seq, @facility_id, @vehicle_id, @spot_id, @spot_ids::text[], @status::text, @entry_time,
           sqlc.narg(exit_time)::timestamptz, @lost, @strategy_id, @strategy_version, sqlc.narg(entry_occupancy_bp)::bigint,
           sqlc.narg(amount)::bigint, sqlc.narg(priced_until)::timestamptz, sqlc.narg(window_opened_at)::timestamptz,
           @void_reason, @reservation_id
    WHERE NOT EXISTS (
        SELECT 1 FROM pl_ticket_spots AS l
        WHERE l.facility_id = @facility_id AND l.spot_id = ANY (@spot_ids::text[]) AND l.live AND @status::text = 'open')
    ON CONFLICT DO NOTHING
    RETURNING ticket_id
), placed AS (
    INSERT INTO pl_ticket_spots (ticket_id, facility_id, spot_id, live)
    SELECT m.ticket_id, @facility_id, unnest(@spot_ids::text[]), @status::text = 'open' FROM made AS m
    RETURNING 1
)
SELECT count(*) AS made FROM made;

-- name: TicketClash :one
-- Why a ticket was not inserted.
SELECT
    EXISTS (SELECT 1 FROM pl_tickets AS t WHERE t.ticket_id = @ticket_id) AS id_taken,
    EXISTS (SELECT 1 FROM pl_tickets AS t WHERE t.facility_id = @facility_id AND t.seq = @seq) AS seq_taken;

-- name: GetTicket :one
SELECT t.* FROM pl_tickets AS t WHERE t.ticket_id = @ticket_id;

-- name: UpdateTicket :execrows
UPDATE pl_tickets SET
    status = @status, exit_time = sqlc.narg(exit_time), lost = @lost, amount = sqlc.narg(amount),
    priced_until = sqlc.narg(priced_until), window_opened_at = sqlc.narg(window_opened_at), void_reason = @void_reason
WHERE ticket_id = @ticket_id AND facility_id = @facility_id;

-- name: EndTicketSpots :exec
UPDATE pl_ticket_spots SET live = false WHERE ticket_id = @ticket_id AND live;

-- name: TicketsOfFacility :many
SELECT t.* FROM pl_tickets AS t
WHERE t.facility_id = @facility_id AND t.seq > @after_seq AND (@status::text = '' OR t.status = @status)
ORDER BY t.seq
LIMIT @max_rows;

-- name: OpenTicketsOfFacility :many
SELECT t.* FROM pl_tickets AS t
WHERE t.facility_id = @facility_id AND t.seq > @after_seq AND t.status = 'open'
ORDER BY t.seq
LIMIT @max_rows;

-- name: TicketsExited :many
SELECT t.* FROM pl_tickets AS t
WHERE t.facility_id = @facility_id AND t.exit_time IS NOT NULL AND t.exit_time >= @exited_from AND t.exit_time < @exited_to
  AND t.seq > @after_seq AND (@status::text = '' OR t.status = @status)
ORDER BY t.seq
LIMIT @max_rows;

-- name: TicketsOfVehicle :many
SELECT t.* FROM pl_tickets AS t
WHERE t.vehicle_id = @vehicle_id AND (t.facility_id, t.seq) > (@after_facility::text, @after_seq::bigint)
  AND (@facility_id::text = '' OR t.facility_id = @facility_id)
  AND (@status::text = '' OR t.status = @status)
  AND coalesce(t.exit_time >= sqlc.narg(exited_from)::timestamptz, sqlc.narg(exited_from)::timestamptz IS NULL)
  AND coalesce(t.exit_time < sqlc.narg(exited_to)::timestamptz, sqlc.narg(exited_to)::timestamptz IS NULL)
ORDER BY t.facility_id, t.seq
LIMIT @max_rows;

-- name: Tickets :many
SELECT t.* FROM pl_tickets AS t
WHERE (t.facility_id, t.seq) > (@after_facility::text, @after_seq::bigint)
  AND (@status::text = '' OR t.status = @status)
  AND coalesce(t.exit_time >= sqlc.narg(exited_from)::timestamptz, sqlc.narg(exited_from)::timestamptz IS NULL)
  AND coalesce(t.exit_time < sqlc.narg(exited_to)::timestamptz, sqlc.narg(exited_to)::timestamptz IS NULL)
ORDER BY t.facility_id, t.seq
LIMIT @max_rows;

-- name: PaymentsOf :many
SELECT p.* FROM pl_payments AS p WHERE p.ticket_id = ANY (@ticket_ids::text[]) ORDER BY p.ticket_id, p.position;

-- name: AdjustmentsOf :many
SELECT a.* FROM pl_adjustments AS a WHERE a.ticket_id = ANY (@ticket_ids::text[]) ORDER BY a.ticket_id, a.position;

-- name: InsertPayment :execrows
INSERT INTO pl_payments (ticket_id, payment_id, position, body_hash, amount, method, paid_at, refunded, refunded_at)
SELECT @ticket_id, @payment_id, (SELECT count(*) FROM pl_payments AS p WHERE p.ticket_id = @ticket_id)::integer + 1,
       @body_hash, @amount, @method, @paid_at, @refunded, sqlc.narg(refunded_at)::timestamptz
ON CONFLICT DO NOTHING;

-- name: RefundPayments :exec
UPDATE pl_payments SET refunded = amount, refunded_at = @at WHERE ticket_id = @ticket_id AND refunded_at IS NULL;

-- name: InsertAdjustment :execrows
INSERT INTO pl_adjustments (ticket_id, adjustment_id, position, body_hash, kind, minutes, bp, amount, reason)
SELECT @ticket_id, @adjustment_id, (SELECT count(*) FROM pl_adjustments AS a WHERE a.ticket_id = @ticket_id)::integer + 1,
       @body_hash, @kind, @minutes, @bp, @amount, @reason
ON CONFLICT DO NOTHING;
