package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/composite"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// Messages implements store.Mailboxes.
func (s *Store) Messages(ctx context.Context, f store.MailboxFilter) ([]domain.Message, error) {
	sources, seqs := cursorOf(f.Cursor)
	since := bound(f.Since, pgtype.NegativeInfinity)
	var messages []domain.Message
	err := s.read(ctx, "messages of "+string(f.Tenant), func(ctx context.Context, q *dbsqlc.Queries) (err error) {
		var rows []dbsqlc.PlMailboxMessage
		if f.AllUsers {
			rows, err = q.MessagesOfTenant(ctx, dbsqlc.MessagesOfTenantParams{
				CursorSources: sources, CursorSeqs: seqs, Since: since, Tenant: string(f.Tenant), MaxRows: int32(f.Limit),
			})
		} else {
			arg := dbsqlc.MessagesOfUserParams{
				CursorSources: sources, CursorSeqs: seqs, Since: since, Tenant: string(f.Tenant), UserID: f.UserID,
				AnySession: f.SessionID == nil, MaxRows: int32(f.Limit),
			}
			if f.SessionID != nil {
				arg.SessionID = *f.SessionID
			}
			rows, err = q.MessagesOfUser(ctx, arg)
		}
		for i := range rows {
			messages = append(messages, messageOf(&rows[i]))
		}
		return err
	})
	return messages, err
}

// ackBatch bounds one statement of an acknowledgement.
const ackBatch = 5000

// Acknowledge implements store.Mailboxes, a batch a transaction.
func (s *Store) Acknowledge(ctx context.Context, f store.MailboxFilter, upTo domain.Cursor, now time.Time) (int64, error) {
	var total int64
	for {
		n, err := s.acknowledge(ctx, &f, upTo, now)
		total += n
		if err != nil || n < ackBatch {
			return total, err
		}
	}
}

func (s *Store) acknowledge(ctx context.Context, f *store.MailboxFilter, upTo domain.Cursor, now time.Time) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	sources, seqs := cursorOf(upTo)
	tenant := dbsqlc.AckMessagesOfTenantParams{
		Now: s.nowOr(now), CursorSources: sources, CursorSeqs: seqs, Tenant: string(f.Tenant),
		Since: bound(f.Since, pgtype.NegativeInfinity), MaxRows: ackBatch,
	}
	q := dbsqlc.New(s.pool)
	if f.AllUsers {
		n, err := q.AckMessagesOfTenant(ctx, tenant)
		return n, classify("acknowledge messages of "+string(f.Tenant), err)
	}
	user := dbsqlc.AckMessagesOfUserParams{
		Now: tenant.Now, CursorSources: sources, CursorSeqs: seqs, Tenant: tenant.Tenant, UserID: f.UserID,
		AnySession: f.SessionID == nil, Since: tenant.Since, MaxRows: ackBatch,
	}
	if f.SessionID != nil {
		user.SessionID = *f.SessionID
	}
	n, err := q.AckMessagesOfUser(ctx, user)
	return n, classify("acknowledge messages of "+string(f.Tenant), err)
}

// PostedMessages implements store.Mailboxes.
func (s *Store) PostedMessages(ctx context.Context, f store.PostedFilter) ([]store.Posted, error) {
	arg := dbsqlc.PostedMessagesParams{Source: string(f.Source), MaxPayload: int32(f.MaxPayload), MaxRows: int32(f.Limit)}
	arg.CursorSources, arg.CursorSeqs = cursorOf(f.Cursor)
	var posted []store.Posted
	err := s.read(ctx, "posted messages", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.PostedMessages(ctx, arg)
		for i := range rows {
			posted = append(posted, postedOf(&rows[i]))
		}
		return err
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

// PutMessages implements store.Mailboxes. All or none are stored.
func (s *Store) PutMessages(ctx context.Context, messages []domain.Message) error {
	if len(messages) == 0 {
		return nil
	}
	var b composite.Builder
	rows := make([]composite.Row, len(messages))
	sources := make([]string, len(messages))
	for i := range messages {
		rows[i], sources[i] = messageRow(&b, &messages[i]), string(messages[i].Source)
	}
	slices.Sort(sources)
	sources = slices.Compact(sources)
	return s.write(ctx, "put messages", func(ctx context.Context, q *dbsqlc.Queries) error {
		if err := q.InsertSources(ctx, dbsqlc.InsertSourcesParams{Sources: sources, Now: instant(messages[0].CreatedAt)}); err != nil {
			return err
		}
		return q.PutMessages(ctx, rows)
	})
}

// Outbox implements store.Mailboxes.
func (s *Store) Outbox(ctx context.Context, limit int) ([]domain.Message, error) {
	var messages []domain.Message
	err := s.read(ctx, "outbox", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListOutbox(ctx, int32(limit))
		for i := range rows {
			messages = append(messages, outboxOf(&rows[i]))
		}
		return err
	})
	return messages, err
}

// OutboxDone implements store.Mailboxes.
func (s *Store) OutboxDone(ctx context.Context, messages []domain.Message) error {
	done := dbsqlc.DeleteOutboxParams{}
	for i := range messages {
		done.Sources, done.Seqs = append(done.Sources, string(messages[i].Source)), append(done.Seqs, messages[i].Seq)
	}
	return s.read(ctx, "clear the outbox", func(ctx context.Context, q *dbsqlc.Queries) error { return q.DeleteOutbox(ctx, done) })
}
