package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// ErrClosed says that the process is about to end, and with it every follower.
var ErrClosed = errors.New("the feed has ended")

// Entry is a message or an event on its way to its followers.
type Entry[T any] struct {
	Source domain.Source
	Seq    int64
	Value  T
	Size   int  // bytes of what is long about it
	Cut    bool // Value lacks what is too long: followers read it for themselves
	Gone   bool // not for followers any more
}

// Reader reads what was written to one backend.
type Reader[T any] interface {
	// Heads returns the last sequence number of every source that has entries.
	Heads(ctx context.Context) (domain.Cursor, error)
	// After returns entries after the cursor, within a source in order.
	After(ctx context.Context, cursor domain.Cursor, limit int) ([]Entry[T], error)
}

// Metrics are told what happens. Its methods never block.
type Metrics interface {
	Following(delta int) // followers that came or went
	Delivered(entries int)
	CaughtUp() // a follower asked the backends
}

// Options make a Hub.
type Options[T any] struct {
	// Readers are the backends' by name.
	Readers map[string]Reader[T]
	// Topics are what followers of an entry may be registered under; see Spec.
	Topics func(*T) []string
	// Poll is how often a followed backend is read although nobody called Wake.
	Poll time.Duration
	// Stop ends all following when it is closed.
	Stop    <-chan struct{}
	Metrics Metrics
	Log     *slog.Logger
}

// Hub is where followers of all backends meet. Its methods are safe for concurrent use.
type Hub[T any] struct {
	opts  Options[T]
	tails map[string]*tail[T] // by backend
	// catching holds a token for each follower that asks the backends: thousands that
	// come back at once must not take every connection from the turns.
	catching chan struct{}

	mu        sync.Mutex
	topics    map[string]map[*Follower[T]]struct{}
	followers int

	wanted atomic.Int64 // followers, for who does not have the mutex
}

// Bounds of followers.
const (
	catchingUp = 4               // followers that ask the backends at once
	keepMost   = 64              // entries kept for a follower
	keepBytes  = 64 << 10        // and their bytes
	joinFor    = 2 * time.Second // how long to wait for a backend that does not answer

	defaultPoll = time.Second
)

// New makes a hub. It reads nothing before Run.
func New[T any](opts Options[T]) *Hub[T] {
	h := &Hub[T]{
		opts: opts, tails: make(map[string]*tail[T], len(opts.Readers)), catching: make(chan struct{}, catchingUp),
		topics: make(map[string]map[*Follower[T]]struct{}),
	}
	if opts.Poll <= 0 {
		h.opts.Poll = defaultPoll
	}
	for name, reader := range opts.Readers {
		h.tails[name] = &tail[T]{
			hub: h, reader: reader, log: opts.Log.With("backend", name),
			wake: make(chan struct{}, 1), live: make(chan struct{}),
		}
	}
	return h
}

// Run serves followers until ctx ends.
func (h *Hub[T]) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, t := range h.tails {
		all.Go(func() { t.run(ctx) })
	}
	all.Wait()
}

// Wake says that something may have been written. It never blocks, and costs nothing
// while nobody follows.
func (h *Hub[T]) Wake() {
	for _, t := range h.tails {
		t.ask()
	}
}

// Offer hands over entries that are durable in a backend, within a source in order: what
// follows the tail's position without a gap need not be read. It never blocks; what is
// not wanted or too much is left to be read. The hub keeps the slice.
func (h *Hub[T]) Offer(backend string, entries []Entry[T]) {
	if t := h.tails[backend]; t != nil && len(entries) > 0 && h.Wanted() {
		t.offer(entries)
	}
}

// Wanted reports whether anybody follows.
func (h *Hub[T]) Wanted() bool { return h.wanted.Load() > 0 }

// Spec is what a follower wants.
type Spec[T any] struct {
	// Topic is one of the topics of every entry that Match takes.
	Topic string
	Match func(*T) bool
	// Read returns what Match takes after the cursor from all backends, within a source in
	// order, at most limit; fewer: there is no more.
	Read   func(ctx context.Context, after domain.Cursor, limit int) ([]Entry[T], error)
	Cursor domain.Cursor // where to begin
	Limit  int           // of one answer
}

// Follow registers a follower, which its caller closes. The error wraps that of a
// backend that does not answer, ctx's, or ErrClosed.
func (h *Hub[T]) Follow(ctx context.Context, spec Spec[T]) (*Follower[T], error) {
	f := newFollower(h, spec)
	h.mu.Lock()
	if h.topics[spec.Topic] == nil {
		h.topics[spec.Topic] = make(map[*Follower[T]]struct{})
	}
	h.topics[spec.Topic][f] = struct{}{}
	h.followers++
	h.wanted.Store(int64(h.followers))
	live := make(map[*tail[T]]<-chan struct{}, len(h.tails))
	for _, t := range h.tails {
		live[t] = t.live
		if h.followers == 1 {
			signal(t.wake)
		}
	}
	h.mu.Unlock()
	h.opts.Metrics.Following(1)
	if err := h.join(ctx, live); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// join waits until every tail has a position.
func (h *Hub[T]) join(ctx context.Context, live map[*tail[T]]<-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, joinFor)
	defer cancel()
	for t, ch := range live {
		select {
		case <-ch:
		case <-h.opts.Stop:
			return ErrClosed
		case <-ctx.Done():
			h.mu.Lock()
			defer h.mu.Unlock()
			return fmt.Errorf("begin to follow: %w", errors.Join(t.failed, ctx.Err()))
		}
	}
	return nil
}

// leave ends a follower's registration.
func (h *Hub[T]) leave(f *Follower[T]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, there := h.topics[f.spec.Topic][f]; !there {
		return
	}
	delete(h.topics[f.spec.Topic], f)
	if len(h.topics[f.spec.Topic]) == 0 {
		delete(h.topics, f.spec.Topic)
	}
	h.followers--
	h.wanted.Store(int64(h.followers))
	h.opts.Metrics.Following(-1)
}

// signal leaves a signal in a channel of capacity one unless one is there already.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
