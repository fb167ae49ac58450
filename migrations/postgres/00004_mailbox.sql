-- oldest-program: 2
-- +goose Up

-- When a message was acknowledged; NULL: a read still returns it. A flag of the row,
-- not a position of each key: the keys of a tenant, of a user and of a session overlap,
-- and a read has to seek past what any of them acknowledged.
ALTER TABLE pl_mailbox_messages ADD COLUMN acked_at timestamptz;

-- Reads look at what is not acknowledged only, so that what is acknowledged costs
-- them nothing however much there is of it.
DROP INDEX pl_mailbox_messages_tenant, pl_mailbox_messages_user;
CREATE INDEX pl_mailbox_messages_tenant ON pl_mailbox_messages (tenant, source, seq) WHERE acked_at IS NULL;
CREATE INDEX pl_mailbox_messages_user ON pl_mailbox_messages (tenant, user_id, source, seq)
    WHERE user_id <> '' AND acked_at IS NULL;
-- What retention takes first. Nothing is written here until somebody acknowledges.
CREATE INDEX pl_mailbox_messages_acked ON pl_mailbox_messages (acked_at) WHERE acked_at IS NOT NULL;

-- +goose Down
DROP INDEX pl_mailbox_messages_acked, pl_mailbox_messages_tenant, pl_mailbox_messages_user;
CREATE INDEX pl_mailbox_messages_tenant ON pl_mailbox_messages (tenant, source, seq);
CREATE INDEX pl_mailbox_messages_user ON pl_mailbox_messages (tenant, user_id, source, seq) WHERE user_id <> '';
ALTER TABLE pl_mailbox_messages DROP COLUMN acked_at;
