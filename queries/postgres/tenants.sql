-- name: TurnTenants :many
-- The usage of the tenants named and of those with a cap in the pool.
SELECT n.tenant::text AS tenant, u.active_units, u.queued, u.finish_tag
FROM (
    SELECT unnest(@tenants::text[]) AS tenant
    UNION
    SELECT c.key FROM pl_pools AS p CROSS JOIN LATERAL jsonb_each(p.tenants) AS c
    WHERE p.pool_id = @pool_id AND ((c.value ->> 'max_units')::bigint > 0 OR (c.value ->> 'max_queue_depth')::bigint > 0)
) AS n
CROSS JOIN LATERAL (
    SELECT v.active_units, v.queued, v.finish_tag FROM pl_tenants AS v
    WHERE v.pool_id = @pool_id AND v.tenant = n.tenant
    ORDER BY v.turn_no DESC
    LIMIT 1
) AS u;

-- name: ListTenants :many
SELECT DISTINCT ON (t.tenant) t.tenant, t.active_units, t.queued, t.finish_tag
FROM pl_tenants AS t
WHERE t.pool_id = @pool_id
ORDER BY t.tenant, t.turn_no DESC;

-- name: PruneTenants :execrows
-- Of every tenant the newest row stays, however old.
DELETE FROM pl_tenants AS t
USING (
    SELECT o.tenant, o.turn_no FROM pl_tenants AS o
    WHERE o.pool_id = @pool_id
      AND o.turn_no <= (SELECT n.turn_no FROM pl_pool_turns AS n WHERE n.pool_id = @pool_id ORDER BY n.turn_no DESC LIMIT 1) - @keep::bigint
      AND EXISTS (SELECT 1 FROM pl_tenants AS w WHERE w.pool_id = @pool_id AND w.tenant = o.tenant AND w.turn_no > o.turn_no)
    LIMIT @max_rows
) AS old
WHERE t.pool_id = @pool_id AND t.tenant = old.tenant AND t.turn_no = old.turn_no;
