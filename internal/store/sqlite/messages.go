package sqlite

import (
	"context"
	"fmt"
	"maps"
	"slices"
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

// ackBatch bounds one transaction of an acknowledgement.
const ackBatch = 5000

// Acknowledge implements store.Mailboxes, source by source, a batch a transaction.
func (s *Store) Acknowledge(ctx context.Context, f store.MailboxFilter, upTo domain.Cursor, now time.Time) (int64, error) {
	var total int64
	at := micros(s.clockOr(now))
	for _, source := range slices.Sorted(maps.Keys(upTo)) {
		for {
			n, err := s.acknowledge(ctx, &f, source, upTo[source], at)
			total += n
			if err != nil {
				return total, err
			}
			if n < ackBatch {
				break
			}
		}
	}
	return total, nil
}

func (s *Store) acknowledge(ctx context.Context, f *store.MailboxFilter, source domain.Source, upTo, at int64) (n int64, err error) {
	since, _ := span(f.Since, time.Time{})
	err = s.write(ctx, "acknowledge messages", func(ctx context.Context, q *dbsqlc.Queries) (err error) {
		if f.AllUsers {
			n, err = q.AckMessagesOfTenant(ctx, dbsqlc.AckMessagesOfTenantParams{
				Now: at, Source: string(source), Tenant: string(f.Tenant), UpTo: upTo, Since: since, MaxRows: ackBatch,
			})
			return err
		}
		p := dbsqlc.AckMessagesOfUserParams{
			Now: at, Source: string(source), Tenant: string(f.Tenant), UserID: f.UserID, UpTo: upTo,
			AnySession: 1, Since: since, MaxRows: ackBatch,
		}
		if f.SessionID != nil {
			p.AnySession, p.SessionID = 0, *f.SessionID
		}
		n, err = q.AckMessagesOfUser(ctx, p)
		return err
	})
	if err != nil {
		n = 0
	}
	return n, err
}

// PostedMessages implements store.Mailboxes.
func (s *Store) PostedMessages(ctx context.Context, f store.PostedFilter) (posted []store.Posted, err error) {
	err = s.read(ctx, "posted messages", func(ctx context.Context, q *dbsqlc.Queries) error {
		names, err := sources(ctx, q, f.Source)
		if err != nil {
			return err
		}
		streams := make([][]store.Posted, 0, len(names))
		for _, source := range names {
			rows, err := q.PostedMessages(ctx, dbsqlc.PostedMessagesParams{
				MaxPayload: int64(f.MaxPayload), Source: source, After: f.Cursor[domain.Source(source)], MaxRows: int64(f.Limit),
			})
			if err != nil {
				return err
			}
			stream := make([]store.Posted, len(rows))
			for i := range rows {
				stream[i] = postedOf(rows[i])
			}
			streams = append(streams, stream)
		}
		posted = merge(streams, f.Limit, func(p *store.Posted) (time.Time, domain.Source) { return p.CreatedAt, p.Source })
		return nil
	})
	return posted, err
}

// MessageHeads implements store.Mailboxes.
func (s *Store) MessageHeads(ctx context.Context) (domain.Cursor, error) {
	heads := domain.Cursor{}
	err := s.read(ctx, "heads of messages", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.MessageHeads(ctx)
		for i := range rows {
			heads[domain.Source(rows[i].Source)] = rows[i].Seq
		}
		return err
	})
	return heads, err
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
			messages = append(messages, outboxOf(rows[i]))
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
