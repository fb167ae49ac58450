package history

import (
	"context"
	"fmt"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Pages that a direct read takes at a time.
const (
	storeEvents   = 5000
	storeTasks    = 1000
	storeMessages = 500
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

// Events implements Source.
func (s Stores) Events(query EventQuery) Stream {
	stream := &storeStream{}
	for _, st := range s {
		stream.parts = append(stream.parts, &storePart{
			audit: st,
			filter: store.EventFilter{
				Pool: query.Pool, Kind: query.Kind, From: query.From, Cursor: domain.Cursor{}, Limit: storeEvents,
			},
		})
	}
	return stream
}

// storeStream reads the backends one after the other: a source lives in one of them.
type storeStream struct{ parts []*storePart }

type storePart struct {
	audit  store.Audit
	filter store.EventFilter
}

// Next implements Stream.
func (s *storeStream) Next(ctx context.Context) ([]domain.Event, error) {
	for _, part := range s.parts {
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
func (s Stores) Messages(ctx context.Context, each func(*domain.Message)) error {
	for _, st := range s {
		filter := store.PostedFilter{Cursor: domain.Cursor{}, Limit: storeMessages}
		for {
			posted, err := st.PostedMessages(ctx, filter)
			if err != nil {
				return err
			}
			if len(posted) == 0 {
				break
			}
			for i := range posted {
				each(&posted[i].Message)
				filter.Cursor[posted[i].Source] = posted[i].Seq
			}
		}
	}
	return nil
}
