-- What the statements of the run cost, dearest first.
SELECT round(sum(s.total_exec_time))::bigint                            AS total_ms,
       sum(s.calls)::bigint                                             AS calls,
       round((sum(s.total_exec_time) / sum(s.calls))::numeric, 3)::text AS mean_ms,
       sum(s.rows)::bigint                                              AS rows,
       left(regexp_replace(min(s.query), '\s+', ' ', 'g'), 110)         AS query
FROM pg_stat_statements AS s
GROUP BY left(regexp_replace(regexp_replace(s.query, 'bench_[0-9_]+', '', 'g'), '\s+', ' ', 'g'), 90)
ORDER BY 1 DESC
LIMIT 16;
