-- name: FacilitySettings :exec
-- What holds for one transaction under a facility's lock, after PlannerSettings, which keep the planner to
-- indexes: a plan made while the tables, or the garage, were empty must not stay when they are full. With that
-- little to choose from, planning again for each call gains nothing and costs a third of an entry. Hash joins
-- stay allowed: the windows of a whole garage are joined.
SELECT
    set_config('idle_in_transaction_session_timeout', @idle::text, true),
    set_config('statement_timeout', @statement::text, true),
    set_config('lock_timeout', @lock_wait::text, true),
    set_config('enable_hashjoin', 'on', true),
    set_config('plan_cache_mode', 'force_generic_plan', true);

-- name: LockFacility :exec
-- A statement of its own: one that also read would see the state from before the wait.
SELECT f.facility_id FROM pl_facilities AS f WHERE f.facility_id = @facility_id FOR NO KEY UPDATE;

-- name: LockedFacility :one
-- The facility and the clock, read after the lock: never before the last change.
SELECT sqlc.embed(f), greatest(coalesce(sqlc.narg(now)::timestamptz, clock_timestamp()), f.last_at)::timestamptz AS now
FROM pl_facilities AS f
WHERE f.facility_id = @facility_id;

-- name: InsertFacility :execrows
INSERT INTO pl_facilities (
    facility_id, body_hash, name, time_zone, currency, allocation_strategy, dynamic_bands, pricing_strategy_id,
    window_regular, window_compact, window_rule, max_overtakes, offer_hold_secs, event_seq, last_at, created_at
) VALUES (
    @facility_id, @body_hash, @name, @time_zone, @currency, @allocation_strategy, @dynamic_bands, @pricing_strategy_id,
    @window_regular, @window_compact, @window_rule, @max_overtakes, @offer_hold_secs, @event_seq, @now, @now
)
ON CONFLICT DO NOTHING;

-- name: UpdateFacility :exec
UPDATE pl_facilities SET
    name = @name, allocation_strategy = @allocation_strategy, dynamic_bands = @dynamic_bands,
    pricing_strategy_id = @pricing_strategy_id, window_regular = @window_regular, window_compact = @window_compact,
    window_rule = @window_rule, max_overtakes = @max_overtakes, offer_hold_secs = @offer_hold_secs,
    total = @total, in_service = @in_service, occupied = @occupied, reserved = @reserved,
    event_seq = @event_seq, message_seq = @message_seq, wait_seq = @wait_seq,
    last_at = @last_at, next_due_at = sqlc.narg(next_due_at)
WHERE facility_id = @facility_id;

-- name: GetFacility :one
SELECT f.* FROM pl_facilities AS f WHERE f.facility_id = @facility_id;

-- name: ListFacilities :many
SELECT f.* FROM pl_facilities AS f ORDER BY f.facility_id;

-- name: DueFacilities :many
SELECT f.facility_id FROM pl_facilities AS f
WHERE f.next_due_at IS NOT NULL AND f.next_due_at <= (SELECT coalesce(sqlc.narg(now)::timestamptz, clock_timestamp()))
ORDER BY f.next_due_at, f.facility_id;

-- name: NextDueFacility :one
-- It reads the clock too; SQLite has none but the process's.
SELECT
    c.now::timestamptz AS now,
    (SELECT min(f.next_due_at) FROM pl_facilities AS f WHERE f.next_due_at > c.now)::timestamptz AS next_due_at
FROM (SELECT coalesce(sqlc.narg(now)::timestamptz, clock_timestamp()) AS now) AS c;

-- name: NextDue :one
-- The earliest instant at which something of a facility falls due. A reservation's
-- from that has come is not named again.
SELECT least(
    (SELECT r.from_at FROM pl_reservations AS r
     WHERE r.facility_id = @facility_id AND r.status = 'booked' AND r.from_at > @now ORDER BY r.from_at LIMIT 1),
    (SELECT min(least(r.no_show_at, r.to_at)) FROM pl_reservations AS r
     WHERE r.facility_id = @facility_id AND r.status = 'booked' AND r.from_at <= @now),
    (SELECT w.deadline FROM pl_waiting AS w
     WHERE w.facility_id = @facility_id AND w.status IN ('waiting', 'offered') ORDER BY w.deadline LIMIT 1),
    (SELECT w.offer_expires_at FROM pl_waiting AS w
     WHERE w.facility_id = @facility_id AND w.status = 'offered' ORDER BY w.offer_expires_at LIMIT 1)
)::timestamptz AS next_due_at;

-- name: NextEventSeq :one
-- Numbers for events of a source that has no row of its own; its row stays locked, so
-- that the order of numbers is the order of commits.
INSERT INTO pl_parking_sources AS p (source, event_seq, last_at)
VALUES (@source, @events, coalesce(sqlc.narg(now)::timestamptz, clock_timestamp()))
ON CONFLICT (source) DO UPDATE SET
    event_seq = p.event_seq + excluded.event_seq, last_at = greatest(p.last_at, excluded.last_at)
RETURNING p.event_seq, p.last_at;
