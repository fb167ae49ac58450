package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// lonelyBeat is how often a process that has a backend for itself writes its
// heartbeat: nobody reads it but people.
const lonelyBeat = 30 * time.Second

// beat registers this process and then says that it lives, until ctx ends. It is
// not behind any pool's lock.
func (b *backend) beat(ctx context.Context) {
	room := false
	for ctx.Err() == nil {
		sent := b.s.now()
		worker, leaving := b.current()
		if leaving { // one more beat would only keep a dead incarnation's tasks from being lost
			b.pause(ctx, b.s.opts.HeartbeatEvery)
			continue
		}
		err := b.beatOnce(ctx, worker)
		wait := b.s.opts.HeartbeatEvery
		if errors.Is(err, store.ErrOutdated) { // it was taken all the same: what runs may end in order
			b.log.Error("this program is too old for the schema", "error", err)
			b.s.opts.Outdated(err)
			err = nil
		}
		switch {
		case err == nil:
			if room = room || b.roomForAudit(ctx); !room {
				wait /= 4
				break
			}
			b.heard(worker.ID, sent)
			if b.waker == nil {
				wait = lonelyBeat
			}
		case errors.Is(err, store.ErrGuard):
			b.giveUp(ctx, worker.ID, "others have marked it dead")
			wait = retryFirst
		case ctx.Err() == nil:
			b.trouble(err)
			wait /= 4
		}
		b.pause(ctx, wait)
	}
}

func (b *backend) beatOnce(ctx context.Context, worker store.Worker) error {
	ctx, cancel := context.WithTimeout(ctx, b.s.opts.HeartbeatEvery)
	defer cancel()

	return b.store.Heartbeat(ctx, worker, time.Time{})
}

// pause waits for the next beat, or until an incarnation begins.
func (b *backend) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-b.born:
	case <-timer.C:
	}
}

// current returns the incarnation, and whether it is being given up.
func (b *backend) current() (w store.Worker, leaving bool) {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.worker, b.leaving
}

// heard notes a heartbeat that arrived. The first one of an incarnation lets the
// loops start tasks.
func (b *backend) heard(id domain.WorkerID, sent time.Time) {
	b.mu.Lock()
	if b.worker.ID != id || b.leaving {
		b.mu.Unlock()
		return
	}
	stale := !b.registered || b.waker != nil && b.s.since(b.beatAt) >= b.graceLeft()
	b.registered, b.beatAt = true, sent
	select {
	case <-b.ready:
	default:
		b.troubleAt = sent // who reaps now knows nothing of the time before
		close(b.ready)
	}
	b.mu.Unlock()

	if stale {
		b.lookEverywhere()
	}
}

// trouble notes that the backend did not answer a heartbeat: those of other
// processes may be missing for the same reason, so the reaper waits.
func (b *backend) trouble(err error) {
	b.mu.Lock()
	b.troubleAt = b.s.now()
	b.mu.Unlock()

	b.log.Warn("heartbeat failed", "error", err)
}

// guard gives the incarnation up, by this process's monotonic clock, when no heartbeat
// has arrived for so long that others will soon take the process for dead.
func (b *backend) guard(ctx context.Context) {
	if b.waker == nil {
		return
	}
	every(ctx, max(b.s.opts.Margin/8, time.Millisecond), b.cutOff)
}

func (b *backend) cutOff(ctx context.Context) {
	b.mu.Lock()
	id, due := b.worker.ID, b.registered && b.s.since(b.beatAt) >= b.graceLeft()
	b.mu.Unlock()

	if due && ctx.Err() == nil {
		b.giveUp(ctx, id, "no heartbeat has arrived for too long")
	}
}

// giveUp ends incarnation id: what it holds is abandoned, and the process starts over
// under a new id.
func (b *backend) giveUp(ctx context.Context, id domain.WorkerID, why string) {
	b.mu.Lock()
	old := b.worker
	if old.ID != id || b.leaving {
		b.mu.Unlock()
		return
	}
	// From here on turns start nothing under the old id.
	b.registered, b.leaving = false, true
	b.mu.Unlock()

	b.s.distrust() // first: what begins meanwhile would not be among held
	var held []domain.Ref
	for _, l := range b.loops() {
		held = append(held, b.s.holding(l.pool)...)
	}
	b.log.Error("this process's hold on its tasks is given up; starting over under a new id",
		"worker", string(id), "why", why, "tasks", len(held))
	b.s.abandon(held)
	fresh := b.s.opts.Reborn(ctx, b.name, old)

	b.mu.Lock()
	b.worker, b.leaving = fresh, false
	b.mu.Unlock()
	signal(b.born)
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
