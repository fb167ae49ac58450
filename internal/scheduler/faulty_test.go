package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

var errInjected = errors.New("injected")

// faulty is a real store that fails when it is told to.
type faulty struct {
	store.Store

	mu       sync.Mutex
	down     bool // nothing answers
	deaf     bool // heartbeats do not arrive
	noMail   bool // PutMessages fails
	turns    int  // reached the store
	poison   func(*plan.Requests) error
	commit   []commitFault // of the next turns that write
	unknowns int
	lost     []plan.Decisions // of commits that did not go through
	after    func()           // runs between the commit of a turn and its answer
}

// commitFault is how a COMMIT goes wrong.
type commitFault struct {
	durable bool // the turn went through, and only the answer is missing
	lookups int  // how many calls fail until its fate can be looked up
}

func (f *faulty) set(change func(f *faulty)) {
	f.mu.Lock()
	defer f.mu.Unlock()

	change(f)
}

func (f *faulty) turnCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.turns
}

func (f *faulty) lostTurns() []plan.Decisions {
	f.mu.Lock()
	defer f.mu.Unlock()

	return slices.Clone(f.lost)
}

func (f *faulty) unavailable() error {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.down {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, errInjected)
	}
	if f.unknowns > 0 {
		f.unknowns--
		return fmt.Errorf("%w: %w", store.ErrUnavailable, errInjected)
	}
	return nil
}

func (f *faulty) Turn(ctx context.Context, spec store.TurnSpec) (plan.Decisions, error) {
	f.mu.Lock()
	f.turns++
	f.mu.Unlock()
	if err := f.unavailable(); err != nil {
		spec.Gather()
		return plan.Decisions{}, err
	}
	var refused, unknown error
	var lost plan.Decisions
	decide := spec.Decide
	spec.Decide = func(snap plan.Snapshot, reqs *plan.Requests) plan.Decisions {
		d := decide(snap, reqs)
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.poison != nil {
			refused = f.poison(reqs)
		}
		if f.down { // since the turn began: nothing of it is written
			refused = fmt.Errorf("%w: %w", store.ErrUnavailable, errInjected)
		}
		if refused == nil && !d.Idle && len(f.commit) > 0 {
			fault := f.commit[0]
			f.commit = f.commit[1:]
			f.unknowns = fault.lookups
			unknown = fmt.Errorf("%w: %w", store.ErrCommitUnknown, errInjected)
			if !fault.durable {
				lost = d
				f.lost = append(f.lost, d)
			}
		}
		if refused != nil || lost.Counters.TurnNo > 0 {
			return plan.Decisions{Now: d.Now, Counters: snap.Counters, Idle: true}
		}
		return d
	}
	d, err := f.Store.Turn(ctx, spec)
	f.mu.Lock()
	after := f.after
	f.mu.Unlock()
	if after != nil {
		after()
	}
	switch {
	case err != nil:
		return d, err
	case refused != nil:
		return d, refused
	case lost.Counters.TurnNo > 0:
		return lost, unknown
	}
	return d, unknown
}

func (f *faulty) TurnCommitted(ctx context.Context, pool domain.PoolID, turnNo int64, turnID string) (bool, error) {
	if err := f.unavailable(); err != nil {
		return false, err
	}
	return f.Store.TurnCommitted(ctx, pool, turnNo, turnID)
}

func (f *faulty) Heartbeat(ctx context.Context, w store.Worker, now time.Time) error {
	f.mu.Lock()
	deaf := f.deaf || f.down
	f.mu.Unlock()
	if deaf {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, errInjected)
	}
	return f.Store.Heartbeat(ctx, w, now)
}

func (f *faulty) PutMessages(ctx context.Context, messages []domain.Message) error {
	f.mu.Lock()
	fails := f.noMail
	f.mu.Unlock()
	if fails {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, errInjected)
	}
	return f.Store.PutMessages(ctx, messages)
}

// bus carries hints between the processes of a test, as LISTEN/NOTIFY does. It makes
// a store in memory one that several schedulers share.
type bus struct {
	mu     sync.Mutex
	quiet  bool
	next   int
	hear   map[int]func(store.Wake)
	hinted []store.Wake
}

func newBus() *bus { return &bus{hear: make(map[int]func(store.Wake))} }

// shared is one process's connection to a store and its bus.
type shared struct {
	store.Store
	bus *bus
	id  int
}

func (b *bus) join(st store.Store) *shared {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.next++
	return &shared{Store: st, bus: b, id: b.next}
}

func (b *bus) silence() {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.quiet = true
}

func (b *bus) sent(ok func(store.Wake) bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	return slices.ContainsFunc(b.hinted, ok)
}

func (s *shared) Wake(_ context.Context, hints []store.Wake) error {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()

	s.bus.hinted = append(s.bus.hinted, hints...)
	if s.bus.quiet {
		return nil
	}
	for id, hear := range s.bus.hear {
		if id == s.id {
			continue
		}
		for _, w := range hints {
			hear(w)
		}
	}
	return nil
}

func (s *shared) Listen(ctx context.Context, hear func(store.Wake)) error {
	s.bus.mu.Lock()
	s.bus.hear[s.id] = hear
	s.bus.mu.Unlock()
	hear(store.Wake{})
	<-ctx.Done()
	s.bus.mu.Lock()
	delete(s.bus.hear, s.id)
	s.bus.mu.Unlock()
	return ctx.Err()
}
