package app

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Messages implements api.Service.
func (s *service) Messages(ctx context.Context, filter store.MailboxFilter, wait time.Duration) ([]domain.Message, error) {
	signal, forget := s.scheduler.Watch("") // any pool may post here
	defer forget()

	var messages []domain.Message
	err := await(ctx, min(wait, s.limits.MaxWait()), signal, s.stop, func(ctx context.Context) (bool, error) {
		lists, err := everywhere(ctx, s.stores, func(ctx context.Context, st store.Store) ([]domain.Message, error) {
			return st.Messages(ctx, filter)
		})
		if err != nil {
			return false, err
		}
		messages = mergeMessages(lists, filter.Limit)
		return len(messages) > 0, nil
	})
	return messages, err
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
