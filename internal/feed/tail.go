package feed

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Bounds of a tail.
const (
	tailPage    = 500
	tailRest    = 5 * time.Millisecond // after a read, so that wake-ups coalesce
	tailTimeout = 5 * time.Second
	offeredMost = 4000 // entries offered and not yet handed on
	retryFirst  = 50 * time.Millisecond
	retryMost   = 2 * time.Second
)

// tail reads one backend for all followers.
type tail[T any] struct {
	hub    *Hub[T]
	reader Reader[T]
	log    *slog.Logger
	wake   chan struct{}

	offering sync.Mutex
	offered  []Entry[T] // in the order they were offered
	unread   bool       // there may be more than what was offered

	// Guarded by the hub's mutex.
	live   chan struct{} // closed while there is a position
	at     domain.Cursor // the position: what followers were given; nil: none
	failed error         // of the last read
}

func (t *tail[T]) run(ctx context.Context) {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = retryFirst, retryMost
	for ctx.Err() == nil {
		if !t.wanted() {
			select {
			case <-t.wake:
			case <-ctx.Done():
			}
			continue
		}
		more, read, err := t.step(ctx)
		if err != nil {
			sleep(ctx, t.fault(ctx, err, retry))
			continue
		}
		retry.Reset()
		if more {
			continue
		}
		if read {
			sleep(ctx, tailRest)
		}
		t.rest(ctx)
	}
}

// wanted reports whether anybody follows. A position that nobody needs is given up: it
// would have to be read past everything written meanwhile.
func (t *tail[T]) wanted() bool {
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	if t.hub.followers > 0 {
		return true
	}
	if t.at != nil {
		t.at, t.live = nil, make(chan struct{})
	}
	t.offering.Lock()
	defer t.offering.Unlock()
	t.offered = nil
	return false
}

// step takes a position, or goes on from it. It reports whether to go on at once, and
// whether the backend was asked: what was offered costs it nothing, and needs no rest.
func (t *tail[T]) step(ctx context.Context) (more, read bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	if t.at == nil { // nobody else writes it
		heads, err := t.reader.Heads(ctx)
		if err != nil {
			return false, true, err
		}
		t.begin(heads)
		return true, true, nil
	}
	if !t.takeOffered() {
		return false, false, nil
	}
	entries, err := t.reader.After(ctx, t.at, tailPage)
	if err != nil {
		t.ask()
		return false, true, err
	}
	t.publish(entries)
	more = len(entries) >= tailPage
	if more {
		t.ask()
	}
	return more, true, nil
}

// ask makes the tail read.
func (t *tail[T]) ask() {
	t.offering.Lock()
	t.unread = true
	t.offering.Unlock()
	signal(t.wake)
}

// offer keeps entries for the tail, as far as there is room.
func (t *tail[T]) offer(entries []Entry[T]) {
	t.offering.Lock()
	if len(t.offered)+len(entries) <= offeredMost {
		t.offered = append(t.offered, entries...)
	} else {
		t.unread = true
	}
	t.offering.Unlock()
	signal(t.wake)
}

// takeOffered hands on what was offered and follows the position without a gap. It
// reports whether to read: something is missing, or may be.
func (t *tail[T]) takeOffered() (read bool) {
	t.offering.Lock()
	offered := t.offered
	read, t.offered, t.unread = t.unread, nil, false
	t.offering.Unlock()

	next := maps.Clone(t.at)
	kept := offered[:0]
	for i := range offered {
		switch e := &offered[i]; {
		case e.Seq == next[e.Source]+1:
			next[e.Source] = e.Seq
			kept = append(kept, *e)
		case e.Seq > next[e.Source]:
			read = true // written by others in between, or lost on the way
		}
	}
	t.publish(kept)
	return read
}

func (t *tail[T]) begin(heads domain.Cursor) {
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	t.at, t.failed = heads, nil
	close(t.live)
	t.ask() // what was written since
}

// publish gives entries to their followers. The position moves in the same critical
// section: who registers is before an entry or after it.
func (t *tail[T]) publish(entries []Entry[T]) {
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	t.failed = nil
	for i := range entries {
		e := &entries[i]
		if e.Seq <= t.at[e.Source] {
			continue
		}
		t.at[e.Source] = e.Seq
		if e.Gone {
			continue
		}
		for _, topic := range t.hub.opts.Topics(&e.Value) {
			for f := range t.hub.topics[topic] {
				f.offer(e)
			}
		}
	}
}

// fault notes an error and returns how long to wait.
func (t *tail[T]) fault(ctx context.Context, err error, retry backoff.BackOff) time.Duration {
	t.hub.mu.Lock()
	first := t.failed == nil
	t.failed = err
	t.hub.mu.Unlock()
	if first && ctx.Err() == nil {
		t.log.WarnContext(ctx, "followers wait: what is new cannot be read", "error", err)
	}
	return retry.NextBackOff()
}

// rest waits for news, or for the time to look without any.
func (t *tail[T]) rest(ctx context.Context) {
	poll := time.NewTimer(t.hub.opts.Poll)
	defer poll.Stop()
	select {
	case <-t.wake:
	case <-poll.C:
		t.ask()
	case <-ctx.Done():
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
