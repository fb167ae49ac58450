-- name: RowTypes :many
-- The composite types that rows are sent as, by their OIDs in this database.
SELECT t.typname::text AS name, t.oid::bigint AS oid, t.typarray::bigint AS array_oid
FROM pg_type AS t
WHERE t.typnamespace = current_schema()::regnamespace AND t.typtype = 'c' AND t.typname LIKE 'pl\_%\_row';
