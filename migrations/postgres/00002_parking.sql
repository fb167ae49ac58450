-- +goose Up

-- The row that every change of a facility locks (FOR NO KEY UPDATE), with its
-- counters and sequences: number order is commit order.
CREATE TABLE pl_facilities (
    facility_id         text COLLATE "C" NOT NULL PRIMARY KEY,
    body_hash           bytea       NOT NULL,
    name                text        NOT NULL,
    time_zone           text        NOT NULL,
    currency            text        NOT NULL,
    allocation_strategy text        NOT NULL CHECK (allocation_strategy IN ('first_available', 'nearest', 'fill_in', 'dynamic')),
    dynamic_bands       text        NOT NULL DEFAULT '[]', -- JSON
    pricing_strategy_id text        NOT NULL,
    window_regular      integer     NOT NULL CHECK (window_regular >= 0), -- 0: no windows of this kind
    window_compact      integer     NOT NULL CHECK (window_compact >= 0),
    window_rule         text        NOT NULL CHECK (window_rule IN ('none_free', 'none_exist')),
    max_overtakes       integer     NOT NULL CHECK (max_overtakes >= 0),
    offer_hold_secs     integer     NOT NULL CHECK (offer_hold_secs >= 1),
    total               bigint      NOT NULL DEFAULT 0 CHECK (total >= 0),
    in_service          bigint      NOT NULL DEFAULT 0 CHECK (in_service >= 0 AND in_service <= total),
    occupied            bigint      NOT NULL DEFAULT 0 CHECK (occupied >= 0), -- of those in service
    reserved            bigint      NOT NULL DEFAULT 0 CHECK (reserved >= 0), -- of those in service
    event_seq           bigint      NOT NULL DEFAULT 0,
    message_seq         bigint      NOT NULL DEFAULT 0,
    wait_seq            bigint      NOT NULL DEFAULT 0, -- arrival numbers of the waiting line
    last_at             timestamptz NOT NULL,           -- now of the last change; the next one is never earlier
    next_due_at         timestamptz,                    -- earliest reservation, offer or deadline to look at
    created_at          timestamptz NOT NULL,
    CONSTRAINT pl_facilities_capacity CHECK (occupied + reserved <= in_service)
) WITH (fillfactor = 50);
CREATE INDEX pl_facilities_due ON pl_facilities (next_due_at) WHERE next_due_at IS NOT NULL;

-- spot_no stands for the spot in the constraint that keeps reservations apart: a
-- range of one number needs no extension to be in a GiST index beside a range of time.
CREATE TABLE pl_spots (
    spot_no        bigint  NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT pl_spots_no UNIQUE,
    facility_id    text COLLATE "C" NOT NULL REFERENCES pl_facilities,
    spot_id        text COLLATE "C" NOT NULL,
    kind           text    NOT NULL CHECK (kind IN ('compact', 'regular', 'oversized')),
    level          bigint  NOT NULL,
    row_no         bigint  NOT NULL,
    position       bigint  NOT NULL,
    features       text[] COLLATE "C" NOT NULL DEFAULT '{}',
    distance_rank  bigint  NOT NULL DEFAULT 0,
    state          text    NOT NULL DEFAULT 'free' CHECK (state IN ('free', 'occupied', 'reserved')),
    out_of_service boolean NOT NULL DEFAULT false,
    ticket_id      text COLLATE "C" NOT NULL DEFAULT '', -- who stands here
    vehicle_id     text COLLATE "C" NOT NULL DEFAULT '',
    held_by        text COLLATE "C" NOT NULL DEFAULT '', -- 'reservation:…' or 'offer:…' while reserved
    PRIMARY KEY (facility_id, spot_id),
    -- Checked at the end of a statement, so that an import may let two spots change places.
    -- Row before level, so that it has no order that allocation could walk over taken spots.
    CONSTRAINT pl_spots_place UNIQUE (facility_id, row_no, level, position) DEFERRABLE INITIALLY IMMEDIATE,
    CONSTRAINT pl_spots_occupied CHECK ((state = 'occupied') = (ticket_id <> '') AND (ticket_id = '') = (vehicle_id = '')),
    CONSTRAINT pl_spots_reserved CHECK ((state = 'reserved') = (held_by <> ''))
) WITH (fillfactor = 70);
-- What allocation walks: its order with what is free, and nothing else.
CREATE INDEX pl_spots_free_place ON pl_spots (facility_id, kind, level, row_no, position)
    WHERE state = 'free' AND NOT out_of_service;
CREATE INDEX pl_spots_free_near ON pl_spots (facility_id, kind, distance_rank, spot_id)
    WHERE state = 'free' AND NOT out_of_service;
-- Which levels are open, and which kinds are in service though none is free.
CREATE INDEX pl_spots_taken ON pl_spots (facility_id, level, kind) WHERE state <> 'free' AND NOT out_of_service;

CREATE TABLE pl_vehicles (
    vehicle_id   text COLLATE "C" NOT NULL PRIMARY KEY,
    body_hash    bytea       NOT NULL,
    plate        text COLLATE "C" NOT NULL, -- normalised
    jurisdiction text COLLATE "C" NOT NULL,
    size         text        NOT NULL CHECK (size IN ('small', 'medium', 'large')),
    type         text        NOT NULL CHECK (type IN ('car', 'truck', 'van', 'motorcycle')),
    permits      text[]      NOT NULL DEFAULT '{}', -- the only thing of a vehicle that changes
    created_at   timestamptz NOT NULL,
    CONSTRAINT pl_vehicles_plate UNIQUE (plate, jurisdiction)
);

-- Versions are immutable: a ticket pins one for ever.
CREATE TABLE pl_pricing_strategies (
    strategy_id text COLLATE "C" NOT NULL,
    version     integer     NOT NULL CHECK (version >= 1),
    body_hash   bytea       NOT NULL,
    spec        text        NOT NULL, -- JSON, always as tiers
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (strategy_id, version)
);

CREATE TABLE pl_tickets (
    ticket_id          text COLLATE "C" NOT NULL PRIMARY KEY,
    seq                bigint      NOT NULL, -- audit number of the entry: orders lists
    facility_id        text COLLATE "C" NOT NULL REFERENCES pl_facilities,
    vehicle_id         text COLLATE "C" NOT NULL REFERENCES pl_vehicles,
    spot_id            text COLLATE "C" NOT NULL, -- the anchor: lowest position
    spot_ids           text[] COLLATE "C" NOT NULL,
    status             text        NOT NULL CHECK (status IN ('open', 'closed', 'void')),
    entry_time         timestamptz NOT NULL,
    exit_time          timestamptz,
    lost               boolean     NOT NULL DEFAULT false,
    strategy_id        text COLLATE "C" NOT NULL,
    strategy_version   integer     NOT NULL,
    entry_occupancy_bp bigint,
    amount             bigint,
    priced_until       timestamptz,
    window_opened_at   timestamptz, -- paidAt of the payment that covered the price
    void_reason        text        NOT NULL DEFAULT '',
    reservation_id     text COLLATE "C" NOT NULL DEFAULT '',
    FOREIGN KEY (strategy_id, strategy_version) REFERENCES pl_pricing_strategies,
    CONSTRAINT pl_tickets_closed CHECK (status <> 'closed' OR (exit_time IS NOT NULL AND amount IS NOT NULL AND priced_until IS NOT NULL))
);
-- One open ticket a vehicle, anywhere.
CREATE UNIQUE INDEX pl_tickets_open_vehicle ON pl_tickets (vehicle_id) WHERE status = 'open';
CREATE UNIQUE INDEX pl_tickets_facility ON pl_tickets (facility_id, seq);
CREATE INDEX pl_tickets_open ON pl_tickets (facility_id, seq) WHERE status = 'open';
CREATE INDEX pl_tickets_vehicle ON pl_tickets (vehicle_id, facility_id, seq);
CREATE INDEX pl_tickets_exit ON pl_tickets (facility_id, exit_time) WHERE exit_time IS NOT NULL;

-- One live ticket a spot.
CREATE TABLE pl_ticket_spots (
    ticket_id   text COLLATE "C" NOT NULL REFERENCES pl_tickets,
    facility_id text COLLATE "C" NOT NULL,
    spot_id     text COLLATE "C" NOT NULL,
    live        boolean NOT NULL,
    PRIMARY KEY (ticket_id, spot_id),
    FOREIGN KEY (facility_id, spot_id) REFERENCES pl_spots
);
CREATE UNIQUE INDEX pl_ticket_spots_live ON pl_ticket_spots (facility_id, spot_id) WHERE live;

CREATE TABLE pl_payments (
    ticket_id  text COLLATE "C" NOT NULL REFERENCES pl_tickets,
    payment_id text COLLATE "C" NOT NULL,
    position   integer     NOT NULL, -- order of recording
    body_hash  bytea       NOT NULL,
    amount     bigint      NOT NULL CHECK (amount > 0),
    method     text        NOT NULL DEFAULT '',
    paid_at    timestamptz NOT NULL,
    refunded   bigint      NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= amount),
    refunded_at timestamptz,
    PRIMARY KEY (ticket_id, payment_id)
);

CREATE TABLE pl_adjustments (
    ticket_id     text COLLATE "C" NOT NULL REFERENCES pl_tickets,
    adjustment_id text COLLATE "C" NOT NULL,
    position      integer NOT NULL,
    body_hash     bytea   NOT NULL,
    kind          text    NOT NULL CHECK (kind IN ('freeMinutes', 'percent', 'fixed')),
    minutes       bigint  NOT NULL DEFAULT 0,
    bp            bigint  NOT NULL DEFAULT 0,
    amount        bigint  NOT NULL DEFAULT 0,
    reason        text    NOT NULL DEFAULT '',
    PRIMARY KEY (ticket_id, adjustment_id)
);

-- What a gate asked, and the first answer it got: a repeat gets it again.
CREATE TABLE pl_gate_calls (
    gate_id     text COLLATE "C" NOT NULL,
    sequence    bigint      NOT NULL,
    facility_id text COLLATE "C" NOT NULL REFERENCES pl_facilities,
    kind        text        NOT NULL CHECK (kind IN ('entry', 'exit', 'open')),
    body_hash   bytea       NOT NULL,
    status      integer     NOT NULL, -- HTTP status of the answer
    answer      text        NOT NULL, -- JSON
    ticket_id   text COLLATE "C" NOT NULL DEFAULT '',
    observed_at timestamptz NOT NULL,
    PRIMARY KEY (gate_id, sequence)
);
CREATE INDEX pl_gate_calls_facility ON pl_gate_calls (facility_id, observed_at);

CREATE TABLE pl_reservations (
    reservation_id  text COLLATE "C" NOT NULL PRIMARY KEY,
    facility_id     text COLLATE "C" NOT NULL REFERENCES pl_facilities,
    body_hash       bytea       NOT NULL,
    vehicle_id      text COLLATE "C" NOT NULL REFERENCES pl_vehicles,
    spot_ids        text[] COLLATE "C" NOT NULL,
    from_at         timestamptz NOT NULL,
    to_at           timestamptz NOT NULL CHECK (to_at > from_at),
    no_show_at      timestamptz NOT NULL,
    features        text[] COLLATE "C" NOT NULL DEFAULT '{}',
    status          text        NOT NULL CHECK (status IN ('booked', 'used', 'cancelled', 'no_show')),
    holding         boolean     NOT NULL DEFAULT false, -- its spots are reserved for it now
    created_at      timestamptz NOT NULL
);
CREATE INDEX pl_reservations_due ON pl_reservations (facility_id, from_at) WHERE status = 'booked';

-- Reservations of a spot never overlap while they are booked.
CREATE TABLE pl_reservation_spots (
    reservation_id text COLLATE "C" NOT NULL REFERENCES pl_reservations,
    spot_no        bigint    NOT NULL REFERENCES pl_spots (spot_no),
    during         tstzrange NOT NULL CHECK (NOT isempty(during)),
    booked         boolean   NOT NULL,
    PRIMARY KEY (reservation_id, spot_no),
    CONSTRAINT pl_reservation_spots_apart
        EXCLUDE USING gist (int8range(spot_no, spot_no, '[]') WITH &&, during WITH &&) WHERE (booked)
);
CREATE INDEX pl_reservation_spots_booked ON pl_reservation_spots (spot_no) WHERE booked;

CREATE TABLE pl_waiting (
    waiting_id       text COLLATE "C" NOT NULL PRIMARY KEY,
    facility_id      text COLLATE "C" NOT NULL REFERENCES pl_facilities,
    seq              bigint      NOT NULL, -- arrival number
    vehicle_id       text COLLATE "C" NOT NULL REFERENCES pl_vehicles,
    features         text[] COLLATE "C" NOT NULL DEFAULT '{}',
    priority         smallint    NOT NULL CHECK (priority BETWEEN 0 AND 3),
    overtaken        integer     NOT NULL DEFAULT 0,
    deadline         timestamptz NOT NULL,
    mailbox_tenant   text,
    mailbox_user     text        NOT NULL DEFAULT '',
    mailbox_session  text        NOT NULL DEFAULT '',
    status           text        NOT NULL CHECK (status IN ('waiting', 'offered', 'taken', 'expired', 'cancelled')),
    reason_code      text        NOT NULL DEFAULT '',
    offer_spot_ids   text[] COLLATE "C" NOT NULL DEFAULT '{}',
    offer_expires_at timestamptz,
    ticket_id        text COLLATE "C" NOT NULL DEFAULT '',
    created_at       timestamptz NOT NULL,
    CONSTRAINT pl_waiting_offer CHECK ((status = 'offered') = (offer_expires_at IS NOT NULL))
);
-- The line. There is no other order.
CREATE INDEX pl_waiting_line ON pl_waiting (facility_id, priority DESC, seq) WHERE status IN ('waiting', 'offered');
CREATE INDEX pl_waiting_due ON pl_waiting (facility_id, deadline) WHERE status IN ('waiting', 'offered');
CREATE INDEX pl_waiting_offers ON pl_waiting (facility_id, offer_expires_at) WHERE status = 'offered';
-- A vehicle waits in one line at a time.
CREATE UNIQUE INDEX pl_waiting_vehicle ON pl_waiting (vehicle_id) WHERE status IN ('waiting', 'offered');

-- The numbers of events that belong to no facility.
CREATE TABLE pl_parking_sources (
    source    text COLLATE "C" NOT NULL PRIMARY KEY,
    event_seq bigint      NOT NULL,
    last_at   timestamptz NOT NULL
) WITH (fillfactor = 50);

-- How full it was, after every change that moved a count: insert-only.
CREATE TABLE pl_occupancy (
    facility_id text COLLATE "C" NOT NULL REFERENCES pl_facilities,
    event_seq   bigint      NOT NULL,
    at          timestamptz NOT NULL,
    in_service  bigint      NOT NULL,
    occupied    bigint      NOT NULL,
    reserved    bigint      NOT NULL,
    PRIMARY KEY (facility_id, event_seq)
);
CREATE INDEX pl_occupancy_at ON pl_occupancy (facility_id, at, event_seq);

-- +goose Down
DROP TABLE pl_occupancy, pl_parking_sources, pl_waiting, pl_reservation_spots, pl_reservations, pl_gate_calls, pl_adjustments,
           pl_payments, pl_ticket_spots, pl_tickets, pl_pricing_strategies, pl_vehicles, pl_spots, pl_facilities;
