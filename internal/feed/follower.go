package feed

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Follower is one reader of a stream. Next is for one goroutine at a time; while
// nothing comes it holds no connection and no goroutine of its own.
type Follower[T any] struct {
	hub  *Hub[T]
	spec Spec[T]
	wake chan struct{}
	had  domain.Cursor // what Next returned

	mu     sync.Mutex
	kept   []Entry[T]
	bytes  int
	behind bool // what is kept is not everything: ask the backends
}

func newFollower[T any](h *Hub[T], spec Spec[T]) *Follower[T] {
	f := &Follower[T]{hub: h, spec: spec, wake: make(chan struct{}, 1), had: maps.Clone(spec.Cursor), behind: true}
	if f.had == nil {
		f.had = domain.Cursor{}
	}
	return f
}

// Close ends following. It may be called again.
func (f *Follower[T]) Close() { f.hub.leave(f) }

// offer keeps an entry for Next, or makes Next read for itself. The hub's mutex is held.
func (f *Follower[T]) offer(e *Entry[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.behind || !f.spec.Match(&e.Value) {
		return // one that is behind reads it anyway, and has been woken
	}
	if e.Cut || len(f.kept) >= keepMost || f.bytes+e.Size > keepBytes && len(f.kept) > 0 {
		f.drop()
	} else {
		f.kept, f.bytes = append(f.kept, *e), f.bytes+e.Size // a copy: a page is not held by one entry of it
	}
	signal(f.wake)
}

// drop forgets what is kept; the backends have it. f.mu is held.
func (f *Follower[T]) drop() { f.kept, f.bytes, f.behind = nil, 0, true }

// Next returns what is new, in the order of each source, waiting for it at most quiet;
// nothing: nothing came. Errors are ErrClosed, ctx's, and those of Spec.Read, after
// which it may be called again.
func (f *Follower[T]) Next(ctx context.Context, quiet time.Duration) ([]T, error) {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case <-f.hub.opts.Stop:
			return nil, ErrClosed
		default:
		}
		values, again, err := f.take(ctx)
		if err != nil {
			return nil, err
		}
		if len(values) > 0 {
			f.hub.opts.Metrics.Delivered(len(values))
			return values, nil
		}
		if again {
			continue
		}
		select {
		case <-f.wake:
		case <-timer.C:
			return nil, nil
		case <-f.hub.opts.Stop:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take returns what is there without waiting, and whether there may be more.
func (f *Follower[T]) take(ctx context.Context) (values []T, again bool, err error) {
	f.mu.Lock()
	behind, kept := f.behind, f.kept
	f.kept, f.bytes, f.behind = nil, 0, false // what a tail finds from now on is kept
	if n := f.spec.Limit; len(kept) > n {
		f.kept = kept[n:] // their bytes are not counted again: they are few
		kept = kept[:n]
	}
	f.mu.Unlock()
	if !behind {
		values = make([]T, 0, len(kept))
		for i := range kept {
			if e := &kept[i]; e.Seq > f.had[e.Source] {
				f.had[e.Source] = e.Seq
				values = append(values, e.Value)
			}
		}
		return values, len(kept) > 0, nil
	}
	page, err := f.read(ctx)
	if err != nil || len(page) >= f.spec.Limit {
		f.mu.Lock()
		f.drop()
		f.mu.Unlock()
	}
	for i := range page {
		f.had[page[i].Source] = max(page[i].Seq, f.had[page[i].Source])
		values = append(values, page[i].Value)
	}
	return values, false, err
}

// read asks the backends for a page, when it is this follower's turn.
func (f *Follower[T]) read(ctx context.Context) ([]Entry[T], error) {
	select {
	case f.hub.catching <- struct{}{}:
		defer func() { <-f.hub.catching }()
	case <-f.hub.opts.Stop:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.hub.opts.Metrics.CaughtUp()
	return f.spec.Read(ctx, f.had, f.spec.Limit)
}
