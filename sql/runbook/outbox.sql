-- Outcomes on their way to a mailbox in another backend: none for long is right.
SELECT o.source, count(*) AS messages, min(o.created_at) AS oldest, now() - min(o.created_at) AS age
FROM pl_outbox AS o
GROUP BY o.source
ORDER BY age DESC;
