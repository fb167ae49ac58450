-- name: ListTenants :many
SELECT t.tenant, t.active_units, t.queued, t.finish_tag FROM pl_tenants AS t
WHERE t.pool_id = sqlc.arg(pool_id)
ORDER BY t.tenant;

-- name: TenantsByName :many
SELECT t.tenant, t.active_units, t.queued, t.finish_tag FROM pl_tenants AS t
WHERE t.pool_id = sqlc.arg(pool_id)
  AND t.tenant IN (SELECT n.value FROM json_each(CAST(sqlc.arg(tenants) AS TEXT)) AS n)
ORDER BY t.tenant;

-- name: UpsertTenant :exec
INSERT INTO pl_tenants (pool_id, tenant, active_units, queued, finish_tag)
VALUES (sqlc.arg(pool_id), sqlc.arg(tenant), sqlc.arg(active_units), sqlc.arg(queued), sqlc.arg(finish_tag))
ON CONFLICT (pool_id, tenant) DO UPDATE SET
    active_units = excluded.active_units,
    queued = excluded.queued,
    finish_tag = excluded.finish_tag;
