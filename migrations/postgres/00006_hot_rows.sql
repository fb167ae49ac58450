-- oldest-program: 6
-- +goose Up

-- What is alive is kept beside the tasks: one narrow row for every queued task, one for
-- every running one. A task's status was part of what the indexes of pl_queue_jobs are
-- about, so that every change of it wrote the row's entries in all of them again; now
-- no index of pl_queue_jobs has a column that changes, a change stays within the
-- row's page, and what has ended is never touched again.
--
-- The turn that changes a task changes these with it, under the same guards.

-- The queue. lane, priority and rank are the order, and there is no other; the
-- columns of the same names in pl_queue_jobs say what they were last.
CREATE TABLE pl_queued_jobs (
    pool_id    text COLLATE "C" NOT NULL,
    job_id     bigint   NOT NULL,
    tenant     text COLLATE "C" NOT NULL,
    lane       text COLLATE "C" NOT NULL,
    priority   smallint NOT NULL,
    rank       bigint   NOT NULL,
    deadline   timestamptz,
    not_before timestamptz, -- not NULL: outside the order until then
    PRIMARY KEY (pool_id, job_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX pl_queued_jobs_order ON pl_queued_jobs (pool_id, lane, priority DESC, rank, job_id) WHERE not_before IS NULL;
CREATE INDEX pl_queued_jobs_deadline ON pl_queued_jobs (pool_id, deadline) WHERE deadline IS NOT NULL;
CREATE INDEX pl_queued_jobs_backoff ON pl_queued_jobs (pool_id, not_before) WHERE not_before IS NOT NULL;

CREATE TABLE pl_running_jobs (
    pool_id text COLLATE "C" NOT NULL,
    job_id  bigint NOT NULL,
    PRIMARY KEY (pool_id, job_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

-- What is alive, for people and for counting.
CREATE VIEW pl_live_jobs AS
SELECT j.*
FROM (
    SELECT q.pool_id, q.job_id, 'queued' AS status FROM pl_queued_jobs AS q
    UNION ALL
    SELECT r.pool_id, r.job_id, 'running' FROM pl_running_jobs AS r
) AS m
JOIN pl_queue_jobs_light AS j ON j.pool_id = m.pool_id AND j.job_id = m.job_id AND j.status = m.status;

INSERT INTO pl_queued_jobs (pool_id, job_id, tenant, lane, priority, rank, deadline, not_before)
SELECT j.pool_id, j.job_id, j.tenant, j.lane, j.priority, j.rank, j.deadline, j.not_before
FROM pl_queue_jobs AS j WHERE j.status = 'queued';

INSERT INTO pl_running_jobs (pool_id, job_id)
SELECT j.pool_id, j.job_id FROM pl_queue_jobs AS j WHERE j.status = 'running';

DROP INDEX pl_queue_jobs_order, pl_queue_jobs_deadline, pl_queue_jobs_backoff, pl_queue_jobs_live;

-- A turn's new rows lie side by side and change together, all before any older
-- version can be cleared away: half of a page is kept for that.
ALTER TABLE pl_queue_jobs SET (fillfactor = 50);

-- One message per terminal outcome, whoever delivers it: by the job, whose numbers grow,
-- so that the index is written at its end only. A job is one submission of a task.
DROP INDEX pl_mailbox_messages_task;
CREATE UNIQUE INDEX pl_mailbox_messages_job ON pl_mailbox_messages (pool_id, job_id) WHERE job_id <> 0;

-- +goose Down
DROP INDEX pl_mailbox_messages_job;
CREATE UNIQUE INDEX pl_mailbox_messages_task ON pl_mailbox_messages (task_id, pool_id, submission) WHERE task_id <> '';
ALTER TABLE pl_queue_jobs SET (fillfactor = 70);
CREATE INDEX pl_queue_jobs_order ON pl_queue_jobs (pool_id, lane, priority DESC, rank, job_id)
    WHERE status = 'queued' AND not_before IS NULL;
CREATE INDEX pl_queue_jobs_deadline ON pl_queue_jobs (pool_id, deadline)
    WHERE status = 'queued' AND deadline IS NOT NULL;
CREATE INDEX pl_queue_jobs_backoff ON pl_queue_jobs (pool_id, not_before)
    WHERE status = 'queued' AND not_before IS NOT NULL;
CREATE INDEX pl_queue_jobs_live ON pl_queue_jobs (pool_id, status, job_id)
    WHERE status IN ('queued', 'running');
DROP VIEW pl_live_jobs;
DROP TABLE pl_running_jobs, pl_queued_jobs;
