package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/feed"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/telemetry"
)

const (
	// feedPayload is the longest payload that is read for all followers at once, in
	// bytes; followers of a longer one read it for themselves.
	feedPayload = 16 << 10
	// trailPoll is how often the trail is read although nothing was heard, while somebody
	// follows it: other processes hint at what ended, not at every event.
	trailPoll = 250 * time.Millisecond
	// trailSpan is how far before the first look of a tail an event may lie: turns take
	// seconds, and clocks go wrong by less. It keeps the tail to the newest partitions.
	trailSpan = 48 * time.Hour
	// followPage is how many entries a follower reads at once.
	followPage = 100
)

// feeds hand on what is written, to the followers in this process.
type feeds struct {
	messages *feed.Hub[domain.Message]
	events   *feed.Hub[domain.Event]
}

func newFeeds(stores map[domain.Backend]store.Store, poll time.Duration, metrics *telemetry.Metrics, stop <-chan struct{}, log *slog.Logger) *feeds {
	mailboxes, trails := map[string]feed.Reader[domain.Message]{}, map[string]feed.Reader[domain.Event]{}
	for backend, st := range stores {
		mailboxes[string(backend)] = mailboxReader{st}
		trails[string(backend)] = &trailReader{st: st}
	}
	return &feeds{
		messages: feed.New(feed.Options[domain.Message]{
			Readers: mailboxes, Topics: mailboxTopics, Poll: poll, Stop: stop, Metrics: metrics.Feed("mailbox"), Log: log,
		}),
		events: feed.New(feed.Options[domain.Event]{
			Readers: trails, Topics: trailTopics, Poll: min(poll, trailPoll), Stop: stop, Metrics: metrics.Feed("audit"), Log: log,
		}),
	}
}

// run serves followers until ctx ends.
func (f *feeds) run(ctx context.Context, s *scheduler.Scheduler) {
	elsewhere, forget := s.WatchElsewhere()
	defer forget()

	var all sync.WaitGroup
	all.Go(func() { f.messages.Run(ctx) })
	all.Go(func() { f.events.Run(ctx) })
	for ctx.Err() == nil {
		select {
		case <-elsewhere:
			f.messages.Wake()
			f.events.Wake()
		case <-ctx.Done():
		}
	}
	all.Wait()
}

// Posted implements scheduler.Feed.
func (f *feeds) Posted(backend domain.Backend, messages []domain.Message) {
	if !f.messages.Wanted() {
		return
	}
	entries := make([]feed.Entry[domain.Message], len(messages))
	for i := range messages {
		entries[i] = messageEntry(messages[i])
		if len(messages[i].Payload) > feedPayload {
			entries[i].Value.Payload, entries[i].Cut = nil, true
		}
	}
	f.messages.Offer(string(backend), entries)
}

// Recorded implements scheduler.Feed.
func (f *feeds) Recorded(backend domain.Backend, events []domain.Event) {
	if f.events.Wanted() {
		f.events.Offer(string(backend), eventEntries(events))
	}
}

// mailboxReader reads every mailbox of a backend.
type mailboxReader struct{ st store.Mailboxes }

// Heads implements feed.Reader.
func (r mailboxReader) Heads(ctx context.Context) (domain.Cursor, error) {
	return r.st.MessageHeads(ctx) //nolint:wrapcheck // the store's words
}

// After implements feed.Reader.
func (r mailboxReader) After(ctx context.Context, cursor domain.Cursor, limit int) ([]feed.Entry[domain.Message], error) {
	posted, err := r.st.PostedMessages(ctx, store.PostedFilter{Cursor: cursor, MaxPayload: feedPayload, Limit: limit})
	entries := make([]feed.Entry[domain.Message], len(posted))
	for i := range posted {
		entries[i] = messageEntry(posted[i].Message)
		entries[i].Cut, entries[i].Gone = posted[i].Cut, posted[i].AckedAt != nil
	}
	return entries, err //nolint:wrapcheck // the store's words
}

// trailReader reads the whole trail of a backend.
type trailReader struct {
	st   store.Audit
	from time.Time // what is new is not older
}

// Heads implements feed.Reader.
func (r *trailReader) Heads(ctx context.Context) (domain.Cursor, error) {
	r.from = now().Add(-trailSpan)
	return r.st.EventHeads(ctx) //nolint:wrapcheck // the store's words
}

// After implements feed.Reader.
func (r *trailReader) After(ctx context.Context, cursor domain.Cursor, limit int) ([]feed.Entry[domain.Event], error) {
	events, err := r.st.Events(ctx, store.EventFilter{Cursor: cursor, From: r.from, Limit: limit})
	return eventEntries(events), err //nolint:wrapcheck // the store's words
}

// The topics of a message are those of the keys that read it: of all the tenant's, of
// the user's. Who follows a session is among the user's.
func mailboxTopics(m *domain.Message) []string {
	return []string{tenantTopic(m.Mailbox.Tenant), userTopic(m.Mailbox.Tenant, m.Mailbox.UserID)}
}

func mailboxTopic(f *store.MailboxFilter) string {
	if f.AllUsers {
		return tenantTopic(f.Tenant)
	}
	return userTopic(f.Tenant, f.UserID)
}

func tenantTopic(tenant domain.Tenant) string { return string(tenant) }

// userTopic separates by what no name contains.
func userTopic(tenant domain.Tenant, user string) string { return string(tenant) + "\x00" + user }

// The topics of an event are the narrowest thing that a filter can name about it, and
// everything wider.
func trailTopics(e *domain.Event) []string {
	topics := make([]string, 0, 4)
	if e.TaskID != "" {
		topics = append(topics, "task:"+string(e.TaskID))
	}
	if e.Tenant != "" {
		topics = append(topics, "tenant:"+string(e.Tenant))
	}
	return append(topics, "source:"+string(e.Source), "")
}

func trailTopic(f *store.EventFilter) string {
	switch {
	case f.TaskID != "":
		return "task:" + string(f.TaskID)
	case f.Tenant != "":
		return "tenant:" + string(f.Tenant)
	case f.Pool != "":
		return "source:" + string(f.Pool)
	}
	return ""
}

func messageEntry(m domain.Message) feed.Entry[domain.Message] {
	return feed.Entry[domain.Message]{Source: m.Source, Seq: m.Seq, Value: m, Size: len(m.Payload)}
}

func eventEntries(events []domain.Event) []feed.Entry[domain.Event] {
	entries := make([]feed.Entry[domain.Event], len(events))
	for i := range events {
		entries[i] = feed.Entry[domain.Event]{
			Source: events[i].Source, Seq: events[i].Seq, Value: events[i], Size: len(events[i].Detail),
		}
	}
	return entries
}
