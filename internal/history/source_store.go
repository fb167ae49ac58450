package history

import (
	"context"
	"fmt"
	"slices"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Pages that a direct read takes at a time.
const (
	storeEvents   = 5000
	storeTasks    = 1000
	storeMessages = 5000
)

// Stores reads a history directly from backends. It reads only.
type Stores []store.Store

// Pools implements Source.
func (s Stores) Pools(ctx context.Context) ([]Pool, error) {
	var pools []Pool
	for _, st := range s {
		views, err := st.ListPools(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", st.Backend(), err)
		}
		for i := range views {
			v := &views[i]
			if v.QueueBackend != st.Backend() {
				continue
			}
			pools = append(pools, Pool{
				ID: v.PoolID, State: v.State, MaxUnits: v.MaxUnits, MaxOvertakes: v.MaxOvertakes,
				Counters: Counters{
					EventSeq: v.EventSeq, ActiveUnits: v.ActiveUnits,
					Running: v.Running, Queued: v.Queued, Waiting: v.Waiting,
				},
			})
		}
	}
	return pools, nil
}

// Others implements Source.
func (s Stores) Others(ctx context.Context) ([]domain.Source, error) {
	pools, err := s.Pools(ctx)
	if err != nil {
		return nil, err
	}
	var others []domain.Source
	for _, st := range s {
		heads, err := st.EventHeads(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", st.Backend(), err)
		}
		for source := range heads {
			if !slices.ContainsFunc(pools, func(p Pool) bool { return domain.Source(p.ID) == source }) {
				others = append(others, source)
			}
		}
	}
	slices.Sort(others)
	return slices.Compact(others), nil
}

// Origin implements Source.
func (s Stores) Origin(ctx context.Context, source domain.Source) (store.Origin, error) {
	var origin store.Origin
	for _, st := range s {
		of, err := st.Origin(ctx, domain.PoolID(source))
		if err != nil {
			return origin, fmt.Errorf("%s: %w", st.Backend(), err)
		}
		origin.Join(&of)
	}
	return origin, nil
}

// Events implements Source.
func (s Stores) Events(query EventQuery) Stream[domain.Event] {
	stream := &storeEventStream{}
	for _, st := range s {
		stream.parts = append(stream.parts, storeEventPart{st, store.EventFilter{
			Pool: domain.PoolID(query.Source), Kind: query.Kind, From: query.From,
			Cursor: domain.Cursor{query.Source: query.After}, Limit: storeEvents,
		}})
	}
	return stream
}

// storeEventStream reads the backends one after the other: a source lives in one of them.
type storeEventStream struct{ parts []storeEventPart }

type storeEventPart struct {
	audit  store.Audit
	filter store.EventFilter
}

// Next implements Stream.
func (s *storeEventStream) Next(ctx context.Context) ([]domain.Event, error) {
	for i := range s.parts {
		part := &s.parts[i]
		events, err := part.audit.Events(ctx, part.filter)
		if err != nil {
			return nil, err
		}
		for i := range events {
			part.filter.Cursor[events[i].Source] = events[i].Seq
		}
		if len(events) > 0 {
			return events, nil
		}
	}
	return nil, nil
}

// Tasks implements Source.
func (s Stores) Tasks(ctx context.Context, pool domain.PoolID, each func(*domain.Task)) error {
	for _, st := range s {
		filter := store.TaskFilter{Pool: pool, Limit: storeTasks}
		for {
			tasks, err := st.ListTasks(ctx, filter)
			if err != nil {
				return err
			}
			for i := range tasks {
				each(&tasks[i])
				filter.Before = tasks[i].JobID
			}
			if len(tasks) < storeTasks {
				break
			}
		}
	}
	return nil
}

// Messages implements Source.
func (s Stores) Messages(pool domain.PoolID) Stream[domain.Message] {
	stream := &storeMessageStream{}
	for _, st := range s {
		stream.parts = append(stream.parts, storeMessagePart{st, store.PostedFilter{
			Source: domain.Source(pool), Cursor: domain.Cursor{}, Limit: storeMessages,
		}})
	}
	return stream
}

type storeMessageStream struct{ parts []storeMessagePart }

type storeMessagePart struct {
	mailboxes store.Mailboxes
	filter    store.PostedFilter
}

// Next implements Stream.
func (s *storeMessageStream) Next(ctx context.Context) ([]domain.Message, error) {
	for i := range s.parts {
		part := &s.parts[i]
		posted, err := part.mailboxes.PostedMessages(ctx, part.filter)
		if err != nil {
			return nil, err
		}
		messages := make([]domain.Message, len(posted))
		for i := range posted {
			messages[i] = posted[i].Message
			part.filter.Cursor[posted[i].Source] = posted[i].Seq
		}
		if len(messages) > 0 {
			return messages, nil
		}
	}
	return nil, nil
}
