-- oldest-program: 2
-- +goose Up

-- The audit trail with fewer and smaller indexes. Every event pays for each of them, and
-- the trail is most of what a turn writes.
--
-- (source, seq) is unique a partition, where the index need not carry the partition's
-- key; that no number comes twice on two days, the turn's and the facility's row see to.
-- A task's events are few: they are found by its id alone, and sorted.
ALTER TABLE pl_audit_events DROP CONSTRAINT pl_audit_events_pkey;
DROP INDEX pl_audit_events_task, pl_audit_events_tenant;
CREATE INDEX pl_audit_events_task ON pl_audit_events (task_id) WHERE task_id <> '';

-- NULL: the task, the pool and the tenant that the row names anyway.
ALTER TABLE pl_audit_events ALTER COLUMN subjects DROP NOT NULL, ALTER COLUMN subjects DROP DEFAULT;

-- What an event is about, as it is shown.
-- +goose StatementBegin
CREATE FUNCTION pl_event_subjects(stored text[], task_id text, pool_id text, tenant text) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(stored, array_remove(ARRAY['task:' || nullif(task_id, ''), 'pool:' || nullif(pool_id, ''), 'tenant:' || nullif(tenant, '')], NULL))
$$;
-- +goose StatementEnd

-- Instead of an index by tenant, by kind and by subject: which of a block of 256 events of
-- a source are about a key, 'tenant:…', 'kind:…' or a subject but a task or a pool. Who
-- writes the first event of a next block adds the rows of the finished ones, a few
-- hundredths of a row an event; readers look through the blocks of a key, and through
-- what is not in a block yet. The empty key is in every block.
CREATE TABLE pl_audit_blocks (
    key     text COLLATE "C" NOT NULL,
    source  text COLLATE "C" NOT NULL,
    block   bigint      NOT NULL, -- seq / 256
    from_at timestamptz NOT NULL, -- of the block's first event
    at      timestamptz NOT NULL, -- of its last
    places  smallint[]  NOT NULL, -- seq % 256, in order; of the empty key none
    PRIMARY KEY (key, source, block, at)
) PARTITION BY RANGE (at);

-- Makes the partitions of the days [first, first + days) that are missing: CREATE,
-- then ATTACH, so that writers wait for a short lock only. The program calls it
-- at start and daily, a week ahead; there is no default partition to scan.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION pl_ensure_audit_partitions(first date, days integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    day    date;
    parent text;
    part   text;
    made   integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('pl_ensure_audit_partitions ' || current_schema(), 0));
    FOR day IN SELECT first + g FROM generate_series(0, days - 1) AS g LOOP
        FOREACH parent IN ARRAY ARRAY['pl_audit_events', 'pl_audit_blocks'] LOOP
            part := parent || '_' || to_char(day, 'YYYYMMDD');
            CONTINUE WHEN to_regclass(format('%I.%I', current_schema(), part)) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS)', part, parent);
            IF parent = 'pl_audit_events' THEN
                EXECUTE format('CREATE UNIQUE INDEX %I ON %I (source, seq)', part || '_seq', part);
            END IF;
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           parent, part, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
-- +goose StatementEnd

-- Adds the finished blocks of a source up to before, from the first that is missing: a
-- process of an earlier version may have left some out. What is recent is looked at
-- first, to find the last one in few partitions.
-- +goose StatementBegin
CREATE FUNCTION pl_audit_summarise(of_source text, before bigint, now timestamptz) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    last    bigint;
    last_at timestamptz;
BEGIN
    SELECT b.block, b.at INTO last, last_at FROM pl_audit_blocks AS b
    WHERE b.key = '' AND b.source = of_source AND b.at >= now - interval '1 day'
    ORDER BY b.block DESC LIMIT 1;
    IF last IS NULL THEN
        SELECT b.block, b.at INTO last, last_at FROM pl_audit_blocks AS b
        WHERE b.key = '' AND b.source = of_source ORDER BY b.block DESC LIMIT 1;
    END IF;
    INSERT INTO pl_audit_blocks (key, source, block, from_at, at, places)
    SELECT k.key, of_source, e.block, e.from_at, e.at,
           coalesce(array_agg(e.place ORDER BY e.place) FILTER (WHERE k.key <> ''), '{}')
    FROM (
        SELECT a.seq / 256 AS block, (a.seq % 256)::smallint AS place, a.kind, a.tenant, a.subjects,
               min(a.at) OVER w AS from_at, max(a.at) OVER w AS at
        FROM pl_audit_events AS a
        WHERE a.source = of_source AND a.seq >= coalesce(last + 1, 0) * 256 AND a.seq < before * 256
          AND a.at >= coalesce(last_at, '-infinity')
        WINDOW w AS (PARTITION BY a.seq / 256)
    ) AS e
    CROSS JOIN LATERAL (
        SELECT DISTINCT u.key FROM unnest(ARRAY['', 'kind:' || e.kind, 'tenant:' || e.tenant] || e.subjects) AS u (key)
    ) AS k
    WHERE k.key NOT LIKE 'task:%' AND k.key NOT LIKE 'pool:%' AND k.key <> 'tenant:'
    GROUP BY k.key, e.block, e.from_at, e.at;
END
$$;
-- +goose StatementEnd

-- The first sequence number of a source's events at or after an instant; beyond every
-- number when there is none. Within a source at never falls as seq grows, so halving
-- finds it within the instant's day.
-- +goose StatementBegin
CREATE FUNCTION pl_first_event_seq(of_source text, since timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    beyond CONSTANT bigint := 9223372036854775807;
    midnight timestamptz;
    low    bigint;
    high   bigint;
    middle bigint;
    seen   timestamptz;
BEGIN
    IF since = '-infinity' THEN
        RETURN 1;
    ELSIF since = 'infinity' THEN
        RETURN beyond;
    END IF;
    midnight := date_trunc('day', since AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    SELECT a.seq INTO low FROM pl_audit_events AS a
    WHERE a.source = of_source AND a.at >= midnight AND a.at < midnight + interval '1 day' ORDER BY a.seq LIMIT 1;
    IF low IS NULL THEN
        SELECT a.seq INTO low FROM pl_audit_events AS a
        WHERE a.source = of_source AND a.at >= midnight + interval '1 day' ORDER BY a.seq LIMIT 1;
        RETURN coalesce(low, beyond);
    END IF;
    SELECT a.seq + 1 INTO high FROM pl_audit_events AS a
    WHERE a.source = of_source AND a.at >= midnight AND a.at < midnight + interval '1 day' ORDER BY a.seq DESC LIMIT 1;
    WHILE low < high LOOP
        middle := low + (high - low) / 2;
        SELECT a.at INTO seen FROM pl_audit_events AS a
        WHERE a.source = of_source AND a.seq >= middle AND a.at >= midnight AND a.at < midnight + interval '1 day'
        ORDER BY a.seq LIMIT 1;
        IF seen < since THEN
            low := middle + 1;
        ELSE
            high := middle;
        END IF;
    END LOOP;
    RETURN low;
END
$$;
-- +goose StatementEnd

-- The first events of a source, in order, that are in [first, before) and fit the filter:
-- those that blocks have of of_key (where they have something of also), then those in no
-- block yet. The empty key is for what blocks do not know. Stable, so that all of it
-- sees one state. One plan for all days, which prunes them as it runs: to plan for
-- each call anew would cost more than to read.
-- +goose StatementBegin
CREATE FUNCTION pl_audit_find(
    of_source text, first bigint, before bigint, of_key text, also text,
    of_tenant text, of_kind text, of_subject text, most integer
) RETURNS SETOF pl_audit_events
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    after bigint := first - 1;
    want  integer := most; -- candidates to look at
    seqs  bigint[];
    since timestamptz;
    until timestamptz;
    tail  bigint := 0;
    more  bigint;
    got   bigint := 0;
BEGIN
    WHILE of_key <> '' LOOP
        SELECT array_agg(c.seq), min(c.from_at), max(c.at) INTO seqs, since, until
        FROM (
            SELECT k.block * 256 + p.place AS seq, k.from_at, k.at
            FROM pl_audit_blocks AS k
            CROSS JOIN LATERAL unnest(k.places) AS p (place)
            WHERE k.key = of_key AND k.source = of_source
              AND k.block >= (after + 1) / 256 AND k.block <= (before - 1) / 256
              AND k.block * 256 + p.place > after AND k.block * 256 + p.place < before
              AND (also = '' OR EXISTS (
                SELECT FROM pl_audit_blocks AS o
                WHERE o.key = also AND o.source = of_source AND o.block = k.block AND o.at = k.at))
            ORDER BY k.block, p.place
            LIMIT want
        ) AS c;
        EXIT WHEN seqs IS NULL;
        -- One seek each: for = ANY or a join the server might walk over the whole source.
        RETURN QUERY SELECT a.* FROM unnest(seqs) AS u (seq)
        CROSS JOIN LATERAL (
            SELECT e.* FROM pl_audit_events AS e
            WHERE e.source = of_source AND e.seq = u.seq AND e.at >= since AND e.at <= until
            LIMIT 1
        ) AS a
        WHERE (of_tenant = '' OR a.tenant = of_tenant)
          AND (of_kind = '' OR a.kind = of_kind)
          AND (of_subject = '' OR of_subject = ANY (pl_event_subjects(a.subjects, a.task_id, a.pool_id, a.tenant)))
        ORDER BY u.seq
        LIMIT most - got;
        GET DIAGNOSTICS more = ROW_COUNT;
        got := got + more;
        IF got >= most THEN
            RETURN;
        END IF;
        after := seqs[cardinality(seqs)];
        want := least(2 * want, 10000);
    END LOOP;
    IF of_key <> '' THEN
        SELECT (k.block + 1) * 256 INTO tail FROM pl_audit_blocks AS k
        WHERE k.key = '' AND k.source = of_source ORDER BY k.block DESC LIMIT 1;
    END IF;
    RETURN QUERY SELECT a.* FROM pl_audit_events AS a
    WHERE a.source = of_source AND a.seq >= greatest(tail, first) AND a.seq < before
      AND (of_tenant = '' OR a.tenant = of_tenant)
      AND (of_kind = '' OR a.kind = of_kind)
      AND (of_subject = '' OR of_subject = ANY (pl_event_subjects(a.subjects, a.task_id, a.pool_id, a.tenant)))
    ORDER BY a.seq
    LIMIT most - got;
END
$$;
-- +goose StatementEnd

-- The day of the trail's oldest partition.
-- +goose StatementBegin
CREATE FUNCTION pl_oldest_audit_day() RETURNS date
LANGUAGE sql STABLE AS $$
    SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD'))
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'pl_audit_events'::regclass
$$;
-- +goose StatementEnd

-- Drops the oldest day of the trail if it was over before an instant, and returns 1; else
-- 0. It waits for readers and writers no longer than lock_timeout.
-- +goose StatementBegin
CREATE FUNCTION pl_drop_audit_day(before timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    day    date := pl_oldest_audit_day();
    parent text;
BEGIN
    IF day IS NULL OR (day + 1)::timestamp AT TIME ZONE 'UTC' > before THEN
        RETURN 0;
    END IF;
    FOREACH parent IN ARRAY ARRAY['pl_audit_events', 'pl_audit_blocks'] LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', parent || '_' || to_char(day, 'YYYYMMDD'));
    END LOOP;
    RETURN 1;
END
$$;
-- +goose StatementEnd

-- What was written before.
-- +goose StatementBegin
DO $$
DECLARE
    part  text;
    day   date;
    of    text;
    until bigint;
BEGIN
    FOR part IN SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'pl_audit_events'::regclass LOOP
        EXECUTE format('CREATE UNIQUE INDEX %I ON %I (source, seq)', part || '_seq', part);
        PERFORM pl_ensure_audit_partitions(to_date(right(part, 8), 'YYYYMMDD'), 1);
    END LOOP;
    FOR of, until IN SELECT a.source, max(a.seq) / 256 FROM pl_audit_events AS a GROUP BY a.source LOOP
        PERFORM pl_audit_summarise(of, until, now());
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$
DECLARE
    part text;
BEGIN
    UPDATE pl_audit_events AS a SET subjects = pl_event_subjects(a.subjects, a.task_id, a.pool_id, a.tenant) WHERE a.subjects IS NULL;
    FOR part IN SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'pl_audit_events'::regclass LOOP
        EXECUTE format('DROP INDEX %I', part || '_seq');
    END LOOP;
END
$$;
-- +goose StatementEnd
ALTER TABLE pl_audit_events ALTER COLUMN subjects SET DEFAULT '{}', ALTER COLUMN subjects SET NOT NULL;
DROP INDEX pl_audit_events_task;
CREATE INDEX pl_audit_events_task ON pl_audit_events (task_id, source, seq) WHERE task_id <> '';
CREATE INDEX pl_audit_events_tenant ON pl_audit_events (tenant, source, seq) WHERE tenant <> '';
ALTER TABLE pl_audit_events ADD PRIMARY KEY (source, seq, at);
DROP FUNCTION pl_drop_audit_day(timestamptz);
DROP FUNCTION pl_oldest_audit_day();
DROP FUNCTION pl_audit_find(text, bigint, bigint, text, text, text, text, text, integer);
DROP FUNCTION pl_first_event_seq(text, timestamptz);
DROP FUNCTION pl_audit_summarise(text, bigint, timestamptz);
DROP FUNCTION pl_event_subjects(text[], text, text, text);
DROP TABLE pl_audit_blocks;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION pl_ensure_audit_partitions(first date, days integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    day  date;
    part text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('pl_ensure_audit_partitions ' || current_schema(), 0));
    FOR day IN SELECT first + g FROM generate_series(0, days - 1) AS g LOOP
        part := 'pl_audit_events_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(format('%I.%I', current_schema(), part)) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE pl_audit_events INCLUDING DEFAULTS)', part);
        EXECUTE format('ALTER TABLE pl_audit_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       part, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
-- +goose StatementEnd
