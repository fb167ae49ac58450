package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// Messages implements store.Mailboxes.
func (s *Store) Messages(ctx context.Context, f store.MailboxFilter) (messages []domain.Message, err error) {
	err = s.read(ctx, "messages", func(ctx context.Context, q *dbsqlc.Queries) error {
		names, err := sources(ctx, q, "")
		if err != nil {
			return err
		}
		streams := make([][]domain.Message, 0, len(names))
		for _, source := range names {
			rows, err := messageRows(ctx, q, source, &f)
			if err != nil {
				return err
			}
			stream := make([]domain.Message, len(rows))
			for i := range rows {
				stream[i] = messageOf(rows[i])
			}
			streams = append(streams, stream)
		}
		messages = merge(streams, f.Limit, func(m *domain.Message) (time.Time, domain.Source) { return m.CreatedAt, m.Source })
		return nil
	})
	return messages, err
}

func messageRows(ctx context.Context, q *dbsqlc.Queries, source string, f *store.MailboxFilter) ([]dbsqlc.PlMailboxMessage, error) {
	since, _ := span(f.Since, time.Time{})
	after := f.Cursor[domain.Source(source)]
	if f.AllUsers {
		return q.MessagesOfTenant(ctx, dbsqlc.MessagesOfTenantParams{
			Source: source, After: after, Tenant: string(f.Tenant), Since: since, MaxRows: int64(f.Limit),
		})
	}
	p := dbsqlc.MessagesOfUserParams{
		Source: source, After: after, Tenant: string(f.Tenant), UserID: f.UserID, AnySession: 1, Since: since, MaxRows: int64(f.Limit),
	}
	if f.SessionID != nil {
		p.AnySession, p.SessionID = 0, *f.SessionID
	}
	return q.MessagesOfUser(ctx, p)
}

// PutMessages implements store.Mailboxes.
func (s *Store) PutMessages(ctx context.Context, messages []domain.Message) error {
	return s.write(ctx, "store messages", func(ctx context.Context, q *dbsqlc.Queries) error {
		known := make(map[domain.Source]bool)
		now := micros(s.clock())
		for i := range messages {
			p, err := insertMessage(&messages[i])
			if err != nil {
				return err
			}
			if source := messages[i].Source; !known[source] {
				if err := q.InsertSource(ctx, dbsqlc.InsertSourceParams{Source: string(source), Now: now}); err != nil {
					return err
				}
				known[source] = true
			}
			if err := q.PutMessage(ctx, dbsqlc.PutMessageParams(p)); err != nil {
				return fmt.Errorf("message %s: %w", messages[i].ID(), err)
			}
		}
		return nil
	})
}

// Outbox implements store.Mailboxes.
func (s *Store) Outbox(ctx context.Context, limit int) (messages []domain.Message, err error) {
	err = s.read(ctx, "outbox", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListOutbox(ctx, int64(limit))
		for i := range rows {
			messages = append(messages, messageOf(dbsqlc.PlMailboxMessage(rows[i])))
		}
		return err
	})
	return messages, err
}

// OutboxDone implements store.Mailboxes.
func (s *Store) OutboxDone(ctx context.Context, messages []domain.Message) error {
	return s.write(ctx, "clear the outbox", func(ctx context.Context, q *dbsqlc.Queries) error {
		for i := range messages {
			if err := q.DeleteOutbox(ctx, dbsqlc.DeleteOutboxParams{Source: string(messages[i].Source), Seq: messages[i].Seq}); err != nil {
				return err
			}
		}
		return nil
	})
}
