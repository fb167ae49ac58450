-- +goose Up

-- Differences to Postgres: the audit trail keeps its indexes by task and by tenant, and
-- retention deletes its rows; there is one writer, and nobody to wait for.
--
-- One message per terminal outcome, by the job: a task id may come again once its row
-- has gone at retention, and its numbers of submissions begin anew.
DROP INDEX pl_mailbox_messages_task;
CREATE UNIQUE INDEX pl_mailbox_messages_job ON pl_mailbox_messages (pool_id, job_id) WHERE job_id <> 0;

-- +goose Down
DROP INDEX pl_mailbox_messages_job;
CREATE UNIQUE INDEX pl_mailbox_messages_task ON pl_mailbox_messages (task_id, pool_id, submission) WHERE task_id <> '';
