package postgres

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// summaries adds finished blocks of events to pl_audit_blocks, after the commit of who
// finished them and outside of every transaction that others wait for: readers look
// through what is in no block yet. One goroutine at a time does it, source by source; what
// is finished meanwhile is done together. Safe for concurrent use.
type summaries struct {
	store *Store

	mu      sync.Mutex
	waiting map[string]dbsqlc.SummariseEventsParams // by source
	busy    bool                                    // a goroutine is at it; it ends when nothing waits
}

// summaryTimeout bounds the summary of one source. One that was left out is made up for with
// the next block.
const summaryTimeout = 10 * time.Second

// committed tells of blocks that are finished and durable now. It never blocks.
func (s *summaries) committed(finished []dbsqlc.SummariseEventsParams) {
	if len(finished) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		s.waiting = make(map[string]dbsqlc.SummariseEventsParams)
	}
	for _, f := range finished {
		s.waiting[f.Source] = f
	}
	if !s.busy {
		s.busy = true
		go s.run()
	}
}

func (s *summaries) run() {
	for {
		s.mu.Lock()
		finished := slices.Collect(maps.Values(s.waiting))
		clear(s.waiting)
		s.busy = len(finished) > 0
		s.mu.Unlock()
		if len(finished) == 0 {
			return
		}
		for _, f := range finished {
			if err := s.store.summarise(f); err != nil {
				s.store.log.Warn("a block of the audit trail is not summarised yet; the next one makes up for it", "source", f.Source, "error", err)
			}
		}
	}
}

func (s *Store) summarise(finished dbsqlc.SummariseEventsParams) error {
	ctx, cancel := context.WithTimeout(context.Background(), summaryTimeout)
	defer cancel()
	return classify("summarise events of "+finished.Source, pipelined(ctx, s.pool, func(p pipe) error {
		if err := s.planner(ctx, p.Queries); err != nil {
			return err
		}
		if err := p.SummarySettings(ctx, milliseconds(summaryTimeout)); err != nil {
			return err
		}
		return p.SummariseEvents(ctx, finished)
	}))
}
