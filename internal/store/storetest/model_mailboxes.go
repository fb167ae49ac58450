package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Messages implements store.Mailboxes.
func (m *Model) Messages(_ context.Context, f store.MailboxFilter) ([]domain.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f.Since = f.Since.Truncate(time.Microsecond)
	streams := make(map[domain.Source][]domain.Message)
	for source, messages := range m.messages {
		for _, msg := range messages {
			if msg.AckedAt == nil && isFor(&msg, &f) && msg.Seq > f.Cursor[source] {
				streams[source] = append(streams[source], msg)
			}
		}
	}
	return mergeStreams(streams, f.Limit, func(msg *domain.Message) time.Time { return msg.CreatedAt }), nil
}

// isFor reports whether the message is of the mailbox and the time of f.
func isFor(msg *domain.Message, f *store.MailboxFilter) bool {
	box := msg.Mailbox
	mine := f.AllUsers || f.UserID != "" && box.UserID == f.UserID && (f.SessionID == nil || box.SessionID == *f.SessionID)
	return box.Tenant == f.Tenant && mine && !msg.CreatedAt.Before(f.Since)
}

// Acknowledge implements store.Mailboxes.
func (m *Model) Acknowledge(_ context.Context, f store.MailboxFilter, upTo domain.Cursor, now time.Time) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f.Since = f.Since.Truncate(time.Microsecond)
	at := m.clock(now)
	var n int64
	for source, messages := range m.messages {
		messages = slices.Clone(messages)
		for i := range messages {
			if msg := &messages[i]; msg.AckedAt == nil && isFor(msg, &f) && msg.Seq <= upTo[source] {
				msg.AckedAt = &at
				n++
			}
		}
		m.messages[source] = messages
	}
	return n, nil
}

// PostedMessages implements store.Mailboxes.
func (m *Model) PostedMessages(_ context.Context, f store.PostedFilter) ([]store.Posted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	streams := make(map[domain.Source][]store.Posted)
	for source, messages := range m.messages {
		for _, msg := range messages {
			if f.Source != "" && f.Source != source || msg.Seq <= f.Cursor[source] {
				continue
			}
			posted := store.Posted{Message: msg}
			if len(msg.Payload) > f.MaxPayload {
				posted.Payload, posted.Cut = nil, true
			}
			streams[source] = append(streams[source], posted)
		}
	}
	return mergeStreams(streams, f.Limit, func(p *store.Posted) time.Time { return p.CreatedAt }), nil
}

// MessageHeads implements store.Mailboxes.
func (m *Model) MessageHeads(context.Context) (domain.Cursor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	heads := domain.Cursor{}
	for source, messages := range m.messages {
		if len(messages) > 0 {
			heads[source] = messages[len(messages)-1].Seq
		}
	}
	return heads, nil
}

// PutMessages implements store.Mailboxes.
func (m *Model) PutMessages(_ context.Context, messages []domain.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range messages {
		if !storable(messages[i].Reason.Message, string(messages[i].Payload)) {
			return fmt.Errorf("%w: message %s", store.ErrData, messages[i].ID())
		}
	}
	for _, msg := range messages {
		same := func(o domain.Message) bool { return o.Seq == msg.Seq || outcome(o) == outcome(msg) }
		if slices.ContainsFunc(m.messages[msg.Source], same) {
			continue
		}
		list := append(slices.Clone(m.messages[msg.Source]), msg)
		slices.SortFunc(list, func(a, b domain.Message) int { return cmp.Compare(a.Seq, b.Seq) })
		m.messages[msg.Source] = list
	}
	return nil
}

// outcome is what a message is about: there is one for each.
// A task id may come again when its row has gone, a job id never does.
func outcome(m domain.Message) string {
	if m.JobID == 0 {
		return m.ID()
	}
	return fmt.Sprint(m.PoolID, "/", m.JobID)
}

// Outbox implements store.Mailboxes.
func (m *Model) Outbox(_ context.Context, limit int) ([]domain.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.Clone(m.outbox)
	slices.SortFunc(list, func(a, b domain.Message) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Seq, b.Seq))
	})
	return list[:min(len(list), limit)], nil
}

// OutboxDone implements store.Mailboxes.
func (m *Model) OutboxDone(_ context.Context, messages []domain.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outbox = slices.DeleteFunc(m.outbox, func(o domain.Message) bool {
		return slices.ContainsFunc(messages, func(d domain.Message) bool { return d.Source == o.Source && d.Seq == o.Seq })
	})
	return nil
}
