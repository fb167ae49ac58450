-- oldest-program: 6
-- +goose Up

-- Puts places together. They come in any order, and readers of pl_audit_blocks put them in order.
CREATE AGGREGATE pl_gather(smallint[]) (SFUNC = array_cat, STYPE = smallint[], INITCOND = '{}');

-- As before (00010), in one pass over the events: what has the same kind and tenant is gathered first, and
-- only the few groups are given their keys and put together. Half of the time went into a key for every event
-- and into sorting those. Without enable_sort, because the planner takes the events for nine and would sort them.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION pl_audit_summarise(of_source text, before bigint, now timestamptz) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    last    bigint;
    last_at timestamptz;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('pl_audit_summarise ' || current_schema() || ' ' || of_source, 0)) THEN
        RETURN;
    END IF;
    SELECT b.block, b.at INTO last, last_at FROM pl_audit_blocks AS b
    WHERE b.key = '' AND b.source = of_source AND b.at >= now - interval '1 day'
    ORDER BY b.block DESC LIMIT 1;
    IF last IS NULL THEN
        SELECT b.block, b.at INTO last, last_at FROM pl_audit_blocks AS b
        WHERE b.key = '' AND b.source = of_source ORDER BY b.block DESC LIMIT 1;
    END IF;
    INSERT INTO pl_audit_blocks (key, source, block, from_at, at, places)
    WITH e AS MATERIALIZED (
        SELECT a.seq / 256 AS block, (a.seq % 256)::smallint AS place, a.at, a.kind, a.tenant, a.subjects
        FROM pl_audit_events AS a
        WHERE a.source = of_source AND a.seq >= coalesce(last + 1, 0) * 256 AND a.seq < before * 256
          AND a.at >= coalesce(last_at, '-infinity')
    ), g AS MATERIALIZED (
        SELECT e.block, e.kind, e.tenant, min(e.at) AS from_at, max(e.at) AS at, array_agg(e.place) AS places
        FROM e GROUP BY e.block, e.kind, e.tenant
    ), b AS MATERIALIZED (
        SELECT g.block, min(g.from_at) AS from_at, max(g.at) AS at FROM g GROUP BY g.block
    )
    SELECT k.key, of_source, k.block, b.from_at, b.at, k.places
    FROM (
        SELECT '' AS key, o.block, '{}'::smallint[] AS places FROM b AS o
        UNION ALL
        SELECT u.key, u.block, pl_gather(u.places)
        FROM (
            SELECT 'kind:' || g.kind AS key, g.block, g.places FROM g
            UNION ALL
            SELECT 'tenant:' || g.tenant, g.block, g.places FROM g WHERE g.tenant <> ''
            UNION ALL
            SELECT s.key, e.block, ARRAY[e.place] FROM e
            CROSS JOIN LATERAL (
                SELECT DISTINCT n.key FROM unnest(e.subjects) AS n (key)
                WHERE n.key NOT LIKE 'task:%' AND n.key NOT LIKE 'pool:%'
                  AND n.key NOT IN ('', 'tenant:', 'kind:' || e.kind, 'tenant:' || e.tenant)
            ) AS s
            WHERE e.subjects IS NOT NULL
        ) AS u
        GROUP BY u.key, u.block
    ) AS k
    JOIN b ON b.block = k.block;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION pl_audit_summarise(of_source text, before bigint, now timestamptz) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    last    bigint;
    last_at timestamptz;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('pl_audit_summarise ' || current_schema() || ' ' || of_source, 0)) THEN
        RETURN;
    END IF;
    SELECT b.block, b.at INTO last, last_at FROM pl_audit_blocks AS b
    WHERE b.key = '' AND b.source = of_source AND b.at >= now - interval '1 day'
    ORDER BY b.block DESC LIMIT 1;
    IF last IS NULL THEN
        SELECT b.block, b.at INTO last, last_at FROM pl_audit_blocks AS b
        WHERE b.key = '' AND b.source = of_source ORDER BY b.block DESC LIMIT 1;
    END IF;
    INSERT INTO pl_audit_blocks (key, source, block, from_at, at, places)
    WITH e AS MATERIALIZED (
        SELECT a.seq / 256 AS block, (a.seq % 256)::smallint AS place, a.at, a.kind, a.tenant, a.subjects
        FROM pl_audit_events AS a
        WHERE a.source = of_source AND a.seq >= coalesce(last + 1, 0) * 256 AND a.seq < before * 256
          AND a.at >= coalesce(last_at, '-infinity')
    ), b AS MATERIALIZED (
        SELECT e.block, min(e.at) AS from_at, max(e.at) AS at FROM e GROUP BY e.block
    )
    SELECT k.key, of_source, k.block, b.from_at, b.at, k.places
    FROM (
        SELECT '' AS key, o.block, '{}'::smallint[] AS places FROM b AS o
        UNION ALL
        SELECT u.key, u.block, array_agg(u.place ORDER BY u.place)
        FROM (
            SELECT 'kind:' || e.kind AS key, e.block, e.place FROM e
            UNION ALL
            SELECT 'tenant:' || e.tenant, e.block, e.place FROM e WHERE e.tenant <> ''
            UNION ALL
            SELECT s.key, e.block, e.place FROM e
            CROSS JOIN LATERAL (
                SELECT DISTINCT n.key FROM unnest(e.subjects) AS n (key)
                WHERE n.key NOT LIKE 'task:%' AND n.key NOT LIKE 'pool:%'
                  AND n.key NOT IN ('', 'tenant:', 'kind:' || e.kind, 'tenant:' || e.tenant)
            ) AS s
            WHERE e.subjects IS NOT NULL
        ) AS u
        GROUP BY u.key, u.block
    ) AS k
    JOIN b ON b.block = k.block;
END
$$;
-- +goose StatementEnd


DROP AGGREGATE pl_gather(smallint[]);
