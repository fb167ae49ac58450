-- +goose Up

-- The same tables, columns, checks and index names as migrations/postgres, with the
-- differences that 00001_scheduler.sql tells, and these:
--
--   * Lists of ids and features are TEXT holding a JSON array.
--   * pl_spots.placed: SQLite cannot defer a unique index, so an import lifts the spots
--     that it moves out of it, and two of them may change places.
--   * Reservations are kept apart by triggers: there is no EXCLUDE.

CREATE TABLE pl_facilities (
    facility_id         TEXT    NOT NULL PRIMARY KEY,
    body_hash           BLOB    NOT NULL,
    name                TEXT    NOT NULL,
    time_zone           TEXT    NOT NULL,
    currency            TEXT    NOT NULL,
    allocation_strategy TEXT    NOT NULL CHECK (allocation_strategy IN ('first_available', 'nearest', 'fill_in', 'dynamic')),
    dynamic_bands       TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(dynamic_bands)),
    pricing_strategy_id TEXT    NOT NULL,
    window_regular      INTEGER NOT NULL CHECK (window_regular >= 0), -- 0: no windows of this kind
    window_compact      INTEGER NOT NULL CHECK (window_compact >= 0),
    window_rule         TEXT    NOT NULL CHECK (window_rule IN ('none_free', 'none_exist')),
    max_overtakes       INTEGER NOT NULL CHECK (max_overtakes >= 0),
    offer_hold_secs     INTEGER NOT NULL CHECK (offer_hold_secs >= 1),
    total               INTEGER NOT NULL DEFAULT 0 CHECK (total >= 0),
    in_service          INTEGER NOT NULL DEFAULT 0 CHECK (in_service >= 0 AND in_service <= total),
    occupied            INTEGER NOT NULL DEFAULT 0 CHECK (occupied >= 0), -- of those in service
    reserved            INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0), -- of those in service
    event_seq           INTEGER NOT NULL DEFAULT 0,
    message_seq         INTEGER NOT NULL DEFAULT 0,
    wait_seq            INTEGER NOT NULL DEFAULT 0, -- arrival numbers of the waiting line
    last_at             INTEGER NOT NULL,           -- now of the last change; the next one is never earlier
    next_due_at         INTEGER,                    -- earliest reservation, offer or deadline to look at
    created_at          INTEGER NOT NULL,
    CONSTRAINT pl_facilities_capacity CHECK (occupied + reserved <= in_service)
) STRICT;
CREATE INDEX pl_facilities_due ON pl_facilities (next_due_at) WHERE next_due_at IS NOT NULL;

CREATE TABLE pl_spots (
    spot_no        INTEGER NOT NULL PRIMARY KEY,
    facility_id    TEXT    NOT NULL REFERENCES pl_facilities,
    spot_id        TEXT    NOT NULL,
    kind           TEXT    NOT NULL CHECK (kind IN ('compact', 'regular', 'oversized')),
    level          INTEGER NOT NULL,
    row_no         INTEGER NOT NULL,
    position       INTEGER NOT NULL,
    features       TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(features)),
    distance_rank  INTEGER NOT NULL DEFAULT 0,
    state          TEXT    NOT NULL DEFAULT 'free' CHECK (state IN ('free', 'occupied', 'reserved')),
    out_of_service INTEGER NOT NULL DEFAULT 0 CHECK (out_of_service IN (0, 1)),
    placed         INTEGER NOT NULL DEFAULT 1 CHECK (placed IN (0, 1)), -- 0: within an import only
    ticket_id      TEXT    NOT NULL DEFAULT '', -- who stands here
    vehicle_id     TEXT    NOT NULL DEFAULT '',
    held_by        TEXT    NOT NULL DEFAULT '', -- 'reservation:…' or 'offer:…' while reserved
    CONSTRAINT pl_spots_id UNIQUE (facility_id, spot_id),
    CONSTRAINT pl_spots_occupied CHECK ((state = 'occupied') = (ticket_id <> '') AND (ticket_id = '') = (vehicle_id = '')),
    CONSTRAINT pl_spots_reserved CHECK ((state = 'reserved') = (held_by <> ''))
) STRICT;
CREATE UNIQUE INDEX pl_spots_place ON pl_spots (facility_id, level, row_no, position) WHERE placed = 1;
-- What allocation walks: its order with what is free, and nothing else.
CREATE INDEX pl_spots_free_place ON pl_spots (facility_id, kind, level, row_no, position)
    WHERE state = 'free' AND out_of_service = 0;
CREATE INDEX pl_spots_free_near ON pl_spots (facility_id, kind, distance_rank, spot_id)
    WHERE state = 'free' AND out_of_service = 0;
CREATE INDEX pl_spots_kind ON pl_spots (facility_id, kind) WHERE out_of_service = 0;
-- Which levels are open.
CREATE INDEX pl_spots_taken ON pl_spots (facility_id, level) WHERE state <> 'free' AND out_of_service = 0;

CREATE TABLE pl_vehicles (
    vehicle_id   TEXT    NOT NULL PRIMARY KEY,
    body_hash    BLOB    NOT NULL,
    plate        TEXT    NOT NULL, -- normalised
    jurisdiction TEXT    NOT NULL,
    size         TEXT    NOT NULL CHECK (size IN ('small', 'medium', 'large')),
    type         TEXT    NOT NULL CHECK (type IN ('car', 'truck', 'van', 'motorcycle')),
    permits      TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(permits)), -- the only thing of a vehicle that changes
    created_at   INTEGER NOT NULL,
    CONSTRAINT pl_vehicles_plate UNIQUE (plate, jurisdiction)
) STRICT;

-- Versions are immutable: a ticket pins one for ever.
CREATE TABLE pl_pricing_strategies (
    strategy_id TEXT    NOT NULL,
    version     INTEGER NOT NULL CHECK (version >= 1),
    body_hash   BLOB    NOT NULL,
    spec        TEXT    NOT NULL, -- JSON, always as tiers
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (strategy_id, version)
) STRICT;

CREATE TABLE pl_tickets (
    ticket_id          TEXT    NOT NULL PRIMARY KEY,
    seq                INTEGER NOT NULL, -- audit number of the entry: orders lists
    facility_id        TEXT    NOT NULL REFERENCES pl_facilities,
    vehicle_id         TEXT    NOT NULL REFERENCES pl_vehicles,
    spot_id            TEXT    NOT NULL, -- the anchor: lowest position
    spot_ids           TEXT    NOT NULL CHECK (json_valid(spot_ids)),
    status             TEXT    NOT NULL CHECK (status IN ('open', 'closed', 'void')),
    entry_time         INTEGER NOT NULL,
    exit_time          INTEGER,
    lost               INTEGER NOT NULL DEFAULT 0 CHECK (lost IN (0, 1)),
    strategy_id        TEXT    NOT NULL,
    strategy_version   INTEGER NOT NULL,
    entry_occupancy_bp INTEGER,
    amount             INTEGER,
    priced_until       INTEGER,
    window_opened_at   INTEGER, -- paidAt of the payment that covered the price
    void_reason        TEXT    NOT NULL DEFAULT '',
    reservation_id     TEXT    NOT NULL DEFAULT '',
    FOREIGN KEY (strategy_id, strategy_version) REFERENCES pl_pricing_strategies (strategy_id, version),
    CONSTRAINT pl_tickets_closed CHECK (status <> 'closed' OR (exit_time IS NOT NULL AND amount IS NOT NULL AND priced_until IS NOT NULL))
) STRICT;
-- One open ticket a vehicle, anywhere.
CREATE UNIQUE INDEX pl_tickets_open_vehicle ON pl_tickets (vehicle_id) WHERE status = 'open';
CREATE UNIQUE INDEX pl_tickets_facility ON pl_tickets (facility_id, seq);
CREATE INDEX pl_tickets_open ON pl_tickets (facility_id, seq) WHERE status = 'open';
CREATE INDEX pl_tickets_vehicle ON pl_tickets (vehicle_id, facility_id, seq);
CREATE INDEX pl_tickets_exit ON pl_tickets (facility_id, exit_time) WHERE exit_time IS NOT NULL;

-- One live ticket a spot.
CREATE TABLE pl_ticket_spots (
    ticket_id   TEXT    NOT NULL REFERENCES pl_tickets,
    facility_id TEXT    NOT NULL,
    spot_id     TEXT    NOT NULL,
    live        INTEGER NOT NULL CHECK (live IN (0, 1)),
    PRIMARY KEY (ticket_id, spot_id),
    FOREIGN KEY (facility_id, spot_id) REFERENCES pl_spots (facility_id, spot_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX pl_ticket_spots_live ON pl_ticket_spots (facility_id, spot_id) WHERE live = 1;

CREATE TABLE pl_payments (
    ticket_id   TEXT    NOT NULL REFERENCES pl_tickets,
    payment_id  TEXT    NOT NULL,
    position    INTEGER NOT NULL, -- order of recording
    body_hash   BLOB    NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount > 0),
    method      TEXT    NOT NULL DEFAULT '',
    paid_at     INTEGER NOT NULL,
    refunded    INTEGER NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= amount),
    refunded_at INTEGER,
    PRIMARY KEY (ticket_id, payment_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE pl_adjustments (
    ticket_id     TEXT    NOT NULL REFERENCES pl_tickets,
    adjustment_id TEXT    NOT NULL,
    position      INTEGER NOT NULL,
    body_hash     BLOB    NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind IN ('freeMinutes', 'percent', 'fixed')),
    minutes       INTEGER NOT NULL DEFAULT 0,
    bp            INTEGER NOT NULL DEFAULT 0,
    amount        INTEGER NOT NULL DEFAULT 0,
    reason        TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (ticket_id, adjustment_id)
) STRICT, WITHOUT ROWID;

-- What a gate asked, and the first answer it got: a repeat gets it again.
CREATE TABLE pl_gate_calls (
    gate_id     TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    facility_id TEXT    NOT NULL REFERENCES pl_facilities,
    kind        TEXT    NOT NULL CHECK (kind IN ('entry', 'exit', 'open')),
    body_hash   BLOB    NOT NULL,
    status      INTEGER NOT NULL, -- HTTP status of the answer
    answer      TEXT    NOT NULL, -- JSON
    ticket_id   TEXT    NOT NULL DEFAULT '',
    observed_at INTEGER NOT NULL,
    PRIMARY KEY (gate_id, sequence)
) STRICT;
CREATE INDEX pl_gate_calls_facility ON pl_gate_calls (facility_id, observed_at);

CREATE TABLE pl_reservations (
    reservation_id TEXT    NOT NULL PRIMARY KEY,
    facility_id    TEXT    NOT NULL REFERENCES pl_facilities,
    body_hash      BLOB    NOT NULL,
    vehicle_id     TEXT    NOT NULL REFERENCES pl_vehicles,
    spot_ids       TEXT    NOT NULL CHECK (json_valid(spot_ids)),
    from_at        INTEGER NOT NULL,
    to_at          INTEGER NOT NULL CHECK (to_at > from_at),
    no_show_at     INTEGER NOT NULL,
    features       TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(features)),
    status         TEXT    NOT NULL CHECK (status IN ('booked', 'used', 'cancelled', 'no_show')),
    holding        INTEGER NOT NULL DEFAULT 0 CHECK (holding IN (0, 1)), -- its spots are reserved for it now
    created_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX pl_reservations_due ON pl_reservations (facility_id, from_at) WHERE status = 'booked';

-- Reservations of a spot never overlap while they are booked: see the triggers.
CREATE TABLE pl_reservation_spots (
    reservation_id TEXT    NOT NULL REFERENCES pl_reservations,
    spot_no        INTEGER NOT NULL REFERENCES pl_spots (spot_no),
    from_at        INTEGER NOT NULL,
    to_at          INTEGER NOT NULL CHECK (to_at > from_at),
    booked         INTEGER NOT NULL CHECK (booked IN (0, 1)),
    PRIMARY KEY (reservation_id, spot_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX pl_reservation_spots_booked ON pl_reservation_spots (spot_no, from_at, to_at) WHERE booked = 1;

-- +goose StatementBegin
CREATE TRIGGER pl_reservation_spots_apart_insert BEFORE INSERT ON pl_reservation_spots
WHEN NEW.booked = 1 AND EXISTS (
    SELECT 1 FROM pl_reservation_spots AS b
    WHERE b.spot_no = NEW.spot_no AND b.booked = 1 AND b.reservation_id <> NEW.reservation_id
      AND b.from_at < NEW.to_at AND b.to_at > NEW.from_at)
BEGIN
    SELECT RAISE(ABORT, 'pl_reservation_spots_apart');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER pl_reservation_spots_apart_update BEFORE UPDATE ON pl_reservation_spots
WHEN NEW.booked = 1 AND EXISTS (
    SELECT 1 FROM pl_reservation_spots AS b
    WHERE b.spot_no = NEW.spot_no AND b.booked = 1 AND b.reservation_id <> NEW.reservation_id
      AND b.from_at < NEW.to_at AND b.to_at > NEW.from_at)
BEGIN
    SELECT RAISE(ABORT, 'pl_reservation_spots_apart');
END;
-- +goose StatementEnd

CREATE TABLE pl_waiting (
    waiting_id       TEXT    NOT NULL PRIMARY KEY,
    facility_id      TEXT    NOT NULL REFERENCES pl_facilities,
    seq              INTEGER NOT NULL, -- arrival number
    vehicle_id       TEXT    NOT NULL REFERENCES pl_vehicles,
    features         TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(features)),
    priority         INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 3),
    overtaken        INTEGER NOT NULL DEFAULT 0,
    deadline         INTEGER NOT NULL,
    mailbox_tenant   TEXT,
    mailbox_user     TEXT    NOT NULL DEFAULT '',
    mailbox_session  TEXT    NOT NULL DEFAULT '',
    status           TEXT    NOT NULL CHECK (status IN ('waiting', 'offered', 'taken', 'expired', 'cancelled')),
    reason_code      TEXT    NOT NULL DEFAULT '',
    offer_spot_ids   TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(offer_spot_ids)),
    offer_expires_at INTEGER,
    ticket_id        TEXT    NOT NULL DEFAULT '',
    created_at       INTEGER NOT NULL,
    CONSTRAINT pl_waiting_offer CHECK ((status = 'offered') = (offer_expires_at IS NOT NULL))
) STRICT;
-- The line. There is no other order.
CREATE INDEX pl_waiting_line ON pl_waiting (facility_id, priority DESC, seq) WHERE status IN ('waiting', 'offered');
CREATE INDEX pl_waiting_due ON pl_waiting (facility_id, deadline) WHERE status IN ('waiting', 'offered');
CREATE INDEX pl_waiting_offers ON pl_waiting (facility_id, offer_expires_at) WHERE status = 'offered';
-- A vehicle waits in one line at a time.
CREATE UNIQUE INDEX pl_waiting_vehicle ON pl_waiting (vehicle_id) WHERE status IN ('waiting', 'offered');

-- The numbers of events that belong to no facility.
CREATE TABLE pl_parking_sources (
    source    TEXT    NOT NULL PRIMARY KEY,
    event_seq INTEGER NOT NULL,
    last_at   INTEGER NOT NULL
) STRICT;

-- How full it was, after every change that moved a count: insert-only.
CREATE TABLE pl_occupancy (
    facility_id TEXT    NOT NULL REFERENCES pl_facilities,
    event_seq   INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    in_service  INTEGER NOT NULL,
    occupied    INTEGER NOT NULL,
    reserved    INTEGER NOT NULL,
    PRIMARY KEY (facility_id, event_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX pl_occupancy_at ON pl_occupancy (facility_id, at, event_seq);

-- +goose Down
DROP TABLE pl_occupancy;
DROP TABLE pl_parking_sources;
DROP TABLE pl_waiting;
DROP TABLE pl_reservation_spots;
DROP TABLE pl_reservations;
DROP TABLE pl_gate_calls;
DROP TABLE pl_adjustments;
DROP TABLE pl_payments;
DROP TABLE pl_ticket_spots;
DROP TABLE pl_tickets;
DROP TABLE pl_pricing_strategies;
DROP TABLE pl_vehicles;
DROP TABLE pl_spots;
DROP TABLE pl_facilities;
