package scheduler

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Bounds of a check.
const (
	heldPage  = 1000
	expelMost = 100
	expelPage = 20 // read at once, with their payloads
)

// checks compares what the rows say this process holds with what it really runs.
// It finds tasks whose start or end got lost between the backend and a runtime,
// whatever the cause, and running tasks that were asked to stop.
type checks struct {
	b    *backend
	wake chan struct{}

	mu    sync.Mutex
	stops map[domain.PoolID]bool // pools where somebody was asked to stop

	// Seen once; acted upon when seen again. Only run uses them.
	notRunning map[domain.Ref]bool // rows held by this process that do not run here
	notHeld    map[domain.Ref]bool // running here without such a row
}

func newChecks(b *backend) *checks {
	return &checks{b: b, wake: make(chan struct{}, 1), stops: make(map[domain.PoolID]bool)}
}

// stopAsked wants the pool's held tasks looked at because of a hint.
func (c *checks) stopAsked(pool domain.PoolID) {
	c.mu.Lock()
	c.stops[pool] = true
	c.mu.Unlock()
	signal(c.wake)
}

func (c *checks) run(ctx context.Context) {
	ticker := time.NewTicker(c.b.s.opts.OwnershipEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.compareAll(ctx)
		case <-c.wake:
			c.stopAll(ctx)
		}
	}
}

// stopAll stops what was asked to stop in the pools that were hinted at.
func (c *checks) stopAll(ctx context.Context) {
	c.mu.Lock()
	pools := c.stops
	c.stops = make(map[domain.PoolID]bool)
	c.mu.Unlock()

	// What begins from now on is read and says so itself; what began before is held.
	c.b.s.distrust()
	for _, l := range c.b.loops() {
		if !pools[l.pool] && !pools[""] || len(c.b.s.holding(l.pool)) == 0 {
			continue
		}
		if _, err := c.held(ctx, l); err != nil && ctx.Err() == nil {
			c.b.log.Warn("looking for tasks to stop failed; the next check does it", "pool", string(l.pool), "error", err)
		}
	}
}

// held returns the rows this process holds in the pool, and stops those that were
// asked to.
func (c *checks) held(ctx context.Context, l *loop) ([]domain.Task, error) {
	worker, _ := c.b.holder()
	var all, stopping []domain.Task
	var after domain.JobID
	for {
		page, err := c.b.store.Held(ctx, l.pool, worker, after, heldPage)
		if err != nil {
			return nil, err
		}
		for i := range page {
			if page[i].CancelAsked != nil {
				stopping = append(stopping, page[i])
			}
		}
		all = append(all, page...)
		if len(page) < heldPage {
			break
		}
		after = page[len(page)-1].JobID
	}
	c.b.s.stop(stopping)
	return all, nil
}

// compareAll compares the pools of the backend one after the other.
func (c *checks) compareAll(ctx context.Context) {
	if _, may := c.b.holder(); !may {
		return
	}
	notRunning, notHeld := make(map[domain.Ref]bool), make(map[domain.Ref]bool)
	for _, l := range c.b.loops() {
		running, settled := l.view.running()
		if !settled || running == 0 && len(c.b.s.holding(l.pool)) == 0 {
			continue
		}
		if err := c.compare(ctx, l, notRunning, notHeld); err != nil && ctx.Err() == nil {
			c.b.log.Warn("comparing what is held with what runs failed", "pool", string(l.pool), "error", err)
		}
	}
	c.notRunning, c.notHeld = notRunning, notHeld
}

// compare settles as lost what was twice held and not running, and abandons what
// was twice running and not held. Between two looks everything that is on its way
// has arrived.
func (c *checks) compare(ctx context.Context, l *loop, notRunning, notHeld map[domain.Ref]bool) error {
	rows, err := c.held(ctx, l)
	if err != nil {
		return err
	}
	here := c.b.s.holding(l.pool)
	settling := l.inbox.settling()
	runs := make(map[domain.Ref]bool, len(here))
	for _, ref := range here {
		runs[ref] = true
	}
	var lost []domain.Task
	has := make(map[domain.Ref]bool, len(rows))
	for i := range rows {
		ref := rows[i].Ref()
		has[ref] = true
		switch {
		case runs[ref] || settling[ref]:
		case c.notRunning[ref]:
			lost = append(lost, rows[i])
		default:
			notRunning[ref] = true
		}
	}
	var strangers []domain.Ref
	for ref := range runs {
		switch {
		case has[ref] || settling[ref]:
		case c.notHeld[ref]:
			strangers = append(strangers, ref)
		default:
			notHeld[ref] = true
		}
	}
	err = c.expel(ctx, l, strangers)
	if len(lost) > 0 {
		l.log.Warn("tasks held by this process do not run here; they are lost", "tasks", len(lost))
		l.lose(ctx, lost, "the process that held this attempt did not run it")
	}
	return err
}

// expel abandons attempts that run here and have ended in the rows. The row of each is read
// again, because who holds an attempt of a worker pool is River's to know.
func (c *checks) expel(ctx context.Context, l *loop, strangers []domain.Ref) error {
	for page := range slices.Chunk(strangers[:min(len(strangers), expelMost)], expelPage) {
		live, err := c.b.store.Attempts(ctx, page)
		if err != nil {
			return fmt.Errorf("look at attempts that nobody holds: %w", err)
		}
		for _, ref := range page {
			switch task, here := live[ref]; {
			case !here:
				l.log.Warn("an attempt runs here that has ended in the rows; abandoning it", "job", ref.JobID, "attempt", ref.Attempt)
				c.b.s.abandon([]domain.Ref{ref})
			case task.CancelAsked != nil:
				c.b.s.stop([]domain.Task{task})
			}
		}
	}
	return nil
}
