package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/feed"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Messages implements api.Service.
func (s *service) Messages(ctx context.Context, filter store.MailboxFilter, wait time.Duration) ([]domain.Message, error) {
	messages, err := s.messages(ctx, filter)
	if err != nil || len(messages) > 0 || wait <= 0 {
		return messages, err
	}
	stream, err := s.FollowMessages(ctx, filter)
	switch {
	case errors.Is(err, io.EOF), ctx.Err() != nil:
		return nil, nil // stopping, or nobody is there to be told
	case err != nil:
		return nil, err
	}
	defer stream.Close()
	messages, err = stream.Next(ctx, min(wait, s.limits.MaxWait()))
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		return nil, nil
	}
	return messages, err
}

func (s *service) messages(ctx context.Context, filter store.MailboxFilter) ([]domain.Message, error) {
	lists, err := everywhere(ctx, s.stores, func(ctx context.Context, st store.Store) ([]domain.Message, error) {
		return st.Messages(ctx, filter)
	})
	if err != nil {
		return nil, err
	}
	return mergeMessages(lists, filter.Limit), nil
}

// FollowMessages implements api.Service.
func (s *service) FollowMessages(ctx context.Context, filter store.MailboxFilter) (api.Stream[domain.Message], error) {
	filter.Since = filter.Since.Truncate(time.Microsecond) // as the stores compare
	follower, err := s.feeds.messages.Follow(ctx, feed.Spec[domain.Message]{
		Topic: mailboxTopic(&filter), Match: filter.Matches, Cursor: filter.Cursor, Limit: pageOf(filter.Limit),
		Read: func(ctx context.Context, after domain.Cursor, limit int) ([]feed.Entry[domain.Message], error) {
			page := filter
			page.Cursor, page.Limit = after, limit
			messages, err := s.messages(ctx, page)
			entries := make([]feed.Entry[domain.Message], len(messages))
			for i := range messages {
				entries[i] = messageEntry(messages[i])
			}
			return entries, err
		},
	})
	return stream[domain.Message]{follower}, streamEnd(err)
}

// Acknowledge implements api.Service. One backend that does not answer fails the
// whole: asked again, it goes on with what is left.
func (s *service) Acknowledge(ctx context.Context, filter store.MailboxFilter, upTo domain.Cursor) (int64, error) {
	counts, err := everywhere(ctx, s.stores, func(ctx context.Context, st store.Store) ([]int64, error) {
		n, err := st.Acknowledge(ctx, filter, upTo, time.Time{})
		return []int64{n}, err //nolint:wrapcheck // the store's words
	})
	var total int64
	for _, count := range counts {
		total += count[0]
	}
	return total, err
}

// PostedMessages implements api.Service.
func (s *service) PostedMessages(ctx context.Context, pool domain.PoolID, after domain.Cursor, limit int) ([]domain.Message, error) {
	lists, err := everywhere(ctx, s.stores, func(ctx context.Context, st store.Store) ([]domain.Message, error) {
		posted, err := st.PostedMessages(ctx, store.PostedFilter{Source: domain.Source(pool), Cursor: after, Limit: limit})
		messages := make([]domain.Message, len(posted))
		for i := range posted {
			messages[i] = posted[i].Message
		}
		return messages, err //nolint:wrapcheck // the store's words
	})
	if err != nil {
		return nil, err
	}
	return mergeMessages(lists, limit), nil
}

// Events implements api.Service. The trail of a pool is where its queue is; the
// filter's pool narrows the search to that backend.
func (s *service) Events(ctx context.Context, filter store.EventFilter) ([]domain.Event, error) {
	if backend, configured := s.homes[filter.Pool]; configured {
		events, err := s.stores[backend].Events(ctx, filter)
		return events, edge(err, nil)
	}
	lists, err := everywhere(ctx, s.stores, func(ctx context.Context, st store.Store) ([]domain.Event, error) {
		return st.Events(ctx, filter)
	})
	if err != nil {
		return nil, err
	}
	return mergeEvents(lists, filter.Limit), nil
}

// FollowEvents implements api.Service.
func (s *service) FollowEvents(ctx context.Context, filter store.EventFilter) (api.Stream[domain.Event], error) {
	filter.From, filter.To = filter.From.Truncate(time.Microsecond), filter.To.Truncate(time.Microsecond)
	follower, err := s.feeds.events.Follow(ctx, feed.Spec[domain.Event]{
		Topic: trailTopic(&filter), Match: filter.Matches, Cursor: filter.Cursor, Limit: pageOf(filter.Limit),
		Read: func(ctx context.Context, after domain.Cursor, limit int) ([]feed.Entry[domain.Event], error) {
			page := filter
			page.Cursor, page.Limit = after, limit
			events, err := s.Events(ctx, page)
			return eventEntries(events), err
		},
	})
	return stream[domain.Event]{follower}, streamEnd(err)
}

func pageOf(limit int) int {
	if limit <= 0 {
		return followPage
	}
	return limit
}

// stream is a follower in the words of the edge.
type stream[T any] struct{ follower *feed.Follower[T] }

// Next implements api.Stream.
func (s stream[T]) Next(ctx context.Context, quiet time.Duration) ([]T, error) {
	values, err := s.follower.Next(ctx, quiet)
	return values, streamEnd(err)
}

// Close implements api.Stream.
func (s stream[T]) Close() { s.follower.Close() }

func streamEnd(err error) error {
	if errors.Is(err, feed.ErrClosed) {
		return fmt.Errorf("%w: %w", io.EOF, err)
	}
	return edge(err, nil)
}
