-- +goose Up

-- As in migrations/postgres.
ALTER TABLE pl_mailbox_messages ADD COLUMN acked_at INTEGER;

DROP INDEX pl_mailbox_messages_tenant;
DROP INDEX pl_mailbox_messages_user;
CREATE INDEX pl_mailbox_messages_tenant ON pl_mailbox_messages (tenant, source, seq) WHERE acked_at IS NULL;
CREATE INDEX pl_mailbox_messages_user ON pl_mailbox_messages (tenant, user_id, source, seq)
    WHERE user_id <> '' AND acked_at IS NULL;
CREATE INDEX pl_mailbox_messages_acked ON pl_mailbox_messages (acked_at) WHERE acked_at IS NOT NULL;

-- +goose Down
DROP INDEX pl_mailbox_messages_acked;
DROP INDEX pl_mailbox_messages_tenant;
DROP INDEX pl_mailbox_messages_user;
CREATE INDEX pl_mailbox_messages_tenant ON pl_mailbox_messages (tenant, source, seq);
CREATE INDEX pl_mailbox_messages_user ON pl_mailbox_messages (tenant, user_id, source, seq) WHERE user_id <> '';
ALTER TABLE pl_mailbox_messages DROP COLUMN acked_at;
