package replay

import (
	"context"
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
)

// Waiting for outcomes.
const (
	MailboxWait = 10 * time.Second // one long poll
	mailboxPage = int64(500)
	stillness   = 20 * time.Second // after which an idle pool owes nothing any more
)

// collect reads the outcomes of one tenant's tasks from its mailbox until ctx ends.
func (r *run) collect(ctx context.Context, tenant domain.Tenant) error {
	limit, wait := mailboxPage, MailboxWait.String()
	params := &client.ReadMailboxParams{Limit: &limit, Wait: &wait}
	key := client.UserMailbox(r.RunID, "")
	for ctx.Err() == nil {
		page, err := client.Read[client.MailboxPage](
			r.API.ReadMailbox(ctx, string(tenant), key, params, client.Address(string(tenant), key)))
		if err != nil {
			// The server may be down for a while; the cursor knows where to go on.
			rest(ctx, leastPause)
			continue
		}
		for i := range page.Messages {
			r.outcome(&page.Messages[i])
		}
		params.Since = &page.NextCursor
	}
	return nil
}

// outcome counts a task's end. A rejection is none: whoever submitted it tries
// again or has counted it.
func (r *run) outcome(m *client.Message) {
	status, id := domain.Status(m.Status), domain.TaskID(m.TaskID)
	if status == domain.StatusRejected || domain.PoolID(m.PoolID) != r.Pool {
		return
	}
	r.note(func() {
		if !r.open[id] {
			r.early[id] = status
			return
		}
		delete(r.open, id)
		r.outcomes[status]++
	})
	r.endIfDone()
}

// endIfDone reports progress, and stops the readers when every task has ended.
func (r *run) endIfDone() {
	r.mu.Lock()
	defer r.mu.Unlock()
	ended := 0
	for _, n := range r.outcomes {
		ended += n
	}
	for _, n := range r.refused {
		ended += n
	}
	if r.Progress != nil {
		r.Progress(ended)
	}
	if r.sent && len(r.open) == 0 {
		r.ended()
	}
}

func (r *run) done() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent && len(r.open) == 0
}

// rest sleeps for a while, or until ctx ends, which its caller looks at.
func rest(ctx context.Context, d time.Duration) { _ = sleepUntil(ctx, time.Now().Add(d)) }

// watch gives up when outcomes stay away although the pool is idle.
func (r *run) watch(ctx context.Context) error {
	for {
		rest(ctx, stillness/4)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // everything has ended
		}
		r.mu.Lock()
		still, open := r.sent && time.Since(r.news) > stillness, len(r.open)
		r.mu.Unlock()
		if !still {
			continue
		}
		pool, err := poolOf(ctx, r.API, r.Pool)
		if err != nil || pool.Running+pool.Queued+pool.Waiting > 0 {
			continue
		}
		return fmt.Errorf("%d accepted tasks have no outcome in a mailbox, and pool %s has nothing left to run", open, r.Pool)
	}
}
