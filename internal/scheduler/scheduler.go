package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Scheduler takes turns for the pools of this process. Its methods are safe for
// concurrent use.
type Scheduler struct {
	opts     Options
	decide   func(plan.Snapshot, *plan.Requests) plan.Decisions
	watchers *watchers
	draining atomic.Bool
	backends map[domain.Backend]*backend // never changes

	mu    sync.RWMutex
	loops map[domain.PoolID]*loop
	// launch starts a loop's goroutine; nil before Run and after its end.
	launch func(*loop)
	ran    bool
}

// New returns a scheduler that has not begun; see Run. The error joins every
// fault of the options.
func New(opts Options) (*Scheduler, error) {
	if err := opts.complete(); err != nil {
		return nil, fmt.Errorf("scheduler: %w", err)
	}
	s := &Scheduler{
		opts:     opts,
		decide:   opts.decide,
		watchers: newWatchers(),
		backends: make(map[domain.Backend]*backend, len(opts.Stores)),
		loops:    make(map[domain.PoolID]*loop, len(opts.Pools)),
	}
	for name, st := range opts.Stores {
		s.backends[name] = newBackend(s, name, st)
	}
	for _, p := range opts.Pools {
		s.loops[p.ID] = newLoop(s, s.backends[p.Backend], p.ID)
	}
	return s, nil
}

// Run takes turns until ctx ends, and returns when everything it began has
// stopped. It registers this process with every backend first; pools of a backend
// that does not answer yet begin when it does. It is called once. To leave nothing running behind,
// Drain and let the starter finish before ctx ends.
func (s *Scheduler) Run(ctx context.Context) error {
	var loops, helpers sync.WaitGroup
	if err := s.begin(ctx, &loops); err != nil {
		return err
	}
	for _, b := range s.backends {
		for _, help := range b.helpers() {
			helpers.Go(func() { help(ctx) })
		}
	}
	<-ctx.Done()
	s.mu.Lock()
	s.launch = nil
	s.mu.Unlock()
	loops.Wait()
	helpers.Wait()

	// A process that ended on purpose need not be waited for by the reaper.
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, b := range s.backends {
		b.leave(leave)
	}
	return nil
}

// begin starts the loops there are, and lets AddPool start later ones.
func (s *Scheduler) begin(ctx context.Context, loops *sync.WaitGroup) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.ran {
		return errors.New("scheduler: Run is called once")
	}
	s.ran = true
	s.launch = func(l *loop) { loops.Go(func() { l.run(ctx) }) }
	for _, l := range s.loops {
		s.launch(l)
	}
	return nil
}

// AddPool makes this process take turns for one more pool, which must be stored
// already. A pool that it takes turns for already is left as it is.
// Errors: *domain.Error with CodeUnknownPool or CodeUnavailable; an unknown backend.
func (s *Scheduler) AddPool(ctx context.Context, id domain.PoolID, name domain.Backend) error {
	b := s.backends[name]
	if b == nil {
		return fmt.Errorf("scheduler: pool %q: backend %q is not open", id, name)
	}
	if _, err := b.store.Pool(ctx, id); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return errUnknownPool(id)
		}
		return errUnavailable(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.ran && s.launch == nil {
		return errStopping()
	}
	if s.loops[id] != nil {
		return nil
	}
	l := newLoop(s, b, id)
	s.loops[id] = l
	if s.launch != nil {
		s.launch(l)
	}
	return nil
}

// Drain makes every later turn of this process start nothing, waits for the turns
// that are under way, and wakes the other processes to start what is left. It
// returns ctx's error when that ends first; starting has stopped all the same.
func (s *Scheduler) Drain(ctx context.Context) error {
	s.draining.Store(true)
	for _, l := range s.allLoops() {
		select {
		case l.turning <- struct{}{}:
			l.meanwhile() // what the last turn has started is handed over before anybody looks
			<-l.turning
		case <-ctx.Done():
			return fmt.Errorf("drain pool %q: %w", l.pool, ctx.Err())
		}
		l.backend.hint(store.Wake{Pool: l.pool, Turn: true})
	}
	return nil
}

// Registered waits until the backend has registered this process: what it holds before
// that looks as if nobody held it. Errors: an unknown backend; ctx's.
func (s *Scheduler) Registered(ctx context.Context, name domain.Backend) error {
	b := s.backends[name]
	if b == nil {
		return fmt.Errorf("scheduler: backend %q is not open", name)
	}
	select {
	case <-b.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the %s backend to register this process: %w", name, ctx.Err())
	}
}

// Worker returns the incarnation under which this process now holds tasks of the
// backend; the zero Worker for an unknown backend.
func (s *Scheduler) Worker(name domain.Backend) store.Worker {
	b := s.backends[name]
	if b == nil {
		return store.Worker{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.worker
}

func (s *Scheduler) loop(pool domain.PoolID) *loop {
	s.mu.RLock()
	defer s.mu.RUnlock()

	return s.loops[pool]
}

func (s *Scheduler) allLoops() []*loop {
	s.mu.RLock()
	defer s.mu.RUnlock()

	all := make([]*loop, 0, len(s.loops))
	for _, l := range s.loops {
		all = append(all, l)
	}
	return all
}

// holders returns all runtimes of this process.
func (s *Scheduler) holders() []Holder {
	if s.opts.Starter == nil {
		return s.opts.Holders
	}
	return append([]Holder{s.opts.Starter}, s.opts.Holders...)
}

// stop tells the runtimes that tasks were asked to stop.
func (s *Scheduler) stop(tasks []domain.Task) {
	if len(tasks) == 0 {
		return
	}
	refs := refsOfTasks(tasks)
	for _, h := range s.holders() {
		h.Stop(refs)
	}
}

// distrust tells the runtimes that what is on its way to them may have been stopped.
func (s *Scheduler) distrust() {
	for _, h := range s.holders() {
		h.Distrust()
	}
}

// holding returns what really runs here of the pool.
func (s *Scheduler) holding(pool domain.PoolID) []domain.Ref {
	holders := s.holders()
	parts := make([][]domain.Ref, len(holders))
	for i, h := range holders {
		parts[i] = h.Holding(pool)
	}
	return slices.Concat(parts...)
}

func (s *Scheduler) abandon(refs []domain.Ref) {
	if len(refs) == 0 {
		return
	}
	for _, h := range s.holders() {
		h.Abandon(refs)
	}
}

// now reads the clock of this process.
func (s *Scheduler) now() time.Time { return s.opts.clock() }

// since returns how long ago the clock of this process showed t.
func (s *Scheduler) since(t time.Time) time.Duration { return s.now().Sub(t) }
