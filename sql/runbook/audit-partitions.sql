-- The day partitions of the audit trail and their sizes; there should be a week ahead.
SELECT c.relname AS partition, pg_size_pretty(pg_total_relation_size(c.oid)) AS size,
       c.reltuples::bigint AS rows_estimated
FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'pl_audit_events'::regclass
ORDER BY c.relname;
