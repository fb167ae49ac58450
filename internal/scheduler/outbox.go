package scheduler

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Bounds of the outbox.
const (
	outboxPage    = 500
	outboxMost    = 16_000
	outboxIdle    = 30 * time.Second // between looks although nothing was heard
	outboxTimeout = 10 * time.Second
	outboxSlowest = 30 * time.Second
)

// Backlog is what waits in a backend's outbox for a mailbox in another backend.
type Backlog struct {
	Backend  domain.Backend // where it waits
	Messages int            // at least; 0: nothing waits
	Since    time.Time      // of the oldest failure in a row; zero: delivery works
	Err      error          // of the last attempt
}

// outbox brings the messages of one backend to mailboxes in others: at least
// once, in the order of each source. Stored once is the mailbox's business
// (store.Mailboxes.PutMessages).
type outbox struct {
	b    *backend
	wake chan struct{}

	mu      sync.Mutex
	backlog Backlog
}

func newOutbox(b *backend) *outbox {
	return &outbox{b: b, wake: make(chan struct{}, 1), backlog: Backlog{Backend: b.name}}
}

// kick says that there is something to deliver.
func (o *outbox) kick() { signal(o.wake) }

// OutboxBacklog returns what waits in the outboxes that have something waiting.
func (s *Scheduler) OutboxBacklog() []Backlog {
	var all []Backlog
	for _, b := range s.backends {
		b.outbox.mu.Lock()
		if b.outbox.backlog.Messages > 0 || b.outbox.backlog.Err != nil {
			all = append(all, b.outbox.backlog)
		}
		b.outbox.mu.Unlock()
	}
	return all
}

func (o *outbox) run(ctx context.Context) {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval = retryFirst
	retry.MaxInterval = outboxSlowest
	page := outboxPage
	for ctx.Err() == nil {
		read, delivered, err := o.deliver(ctx, page)
		o.note(read-delivered, err)
		switch {
		case err != nil:
			// A mailbox that does not answer must not hide messages for another one.
			if read == page {
				page = min(2*page, outboxMost)
			}
			sleep(ctx, retry.NextBackOff())
			continue
		case read == page && delivered > 0:
			continue
		}
		retry.Reset()
		page = outboxPage
		o.rest(ctx)
	}
}

func (o *outbox) rest(ctx context.Context) {
	timer := time.NewTimer(outboxIdle)
	defer timer.Stop()
	select {
	case <-o.wake:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (o *outbox) note(left int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()

	o.backlog.Messages, o.backlog.Err = left, err
	switch {
	case err == nil:
		o.backlog.Since = time.Time{}
	case o.backlog.Since.IsZero():
		o.backlog.Since = o.b.s.now()
		o.b.log.Warn("messages wait for a mailbox in another backend", "messages", left, "error", err)
	}
}

// deliver brings one page to its mailboxes. It returns the first error of any of
// them, after it has tried all.
func (o *outbox) deliver(ctx context.Context, limit int) (read, delivered int, err error) {
	ctx, cancel := context.WithTimeout(ctx, outboxTimeout)
	defer cancel()

	messages, err := o.b.store.Outbox(ctx, limit)
	if err != nil {
		return 0, 0, err
	}
	byTarget := make(map[domain.Backend][]domain.Message)
	for i := range messages {
		target := o.target(ctx, messages[i].PoolID)
		byTarget[target] = append(byTarget[target], messages[i])
	}
	for name, mine := range byTarget {
		target := o.b.s.backends[name]
		if target == nil {
			continue // another process has that backend open and delivers
		}
		if failed := handOver(ctx, o.b.store, target.store, mine); failed != nil {
			err = failed
			continue
		}
		delivered += len(mine)
		o.tell(mine)
		o.b.s.opts.Feed.Posted(name, mine)
	}
	return len(messages), delivered, err
}

// tell wakes those who wait for messages of the pools.
func (o *outbox) tell(messages []domain.Message) {
	pools := make(map[domain.PoolID]bool)
	for i := range messages {
		if pool := messages[i].PoolID; !pools[pool] {
			pools[pool] = true
			o.b.s.watchers.ended(pool, nil)
		}
	}
}

// target returns the backend of the pool's mailbox; empty: not known.
func (o *outbox) target(ctx context.Context, pool domain.PoolID) domain.Backend {
	if l := o.b.s.loop(pool); l != nil {
		if p, known := l.view.snapshot(); known {
			return p.MailboxBackend
		}
	}
	p, err := o.b.store.Pool(ctx, pool)
	if err != nil {
		return ""
	}
	return p.MailboxBackend
}
