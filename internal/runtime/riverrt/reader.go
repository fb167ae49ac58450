package riverrt

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

const (
	// maxBatch bounds what one read may bring: payloads have up to a mebibyte each.
	maxBatch = 32
	// maxAlone bounds how many tasks are read at once one by one, so that a burst of them
	// leaves the store's connections to the turns.
	maxAlone    = 4
	loadTimeout = 10 * time.Second // of one read
)

// reader reads the tasks of fetched jobs. Those that are asked for while a read is
// under way are read together by the next, on one connection: each by itself they cost
// the database more than the turn that started them. It is safe for concurrent use.
type reader struct {
	attempts func(ctx context.Context, refs []domain.Ref) (map[domain.Ref]domain.Task, error)
	single   chan struct{} // a place for each task that is read alone

	mu      sync.Mutex
	waiting []request
	busy    bool // a goroutine reads; it ends when nothing waits
}

// request is one attempt that somebody waits for.
type request struct {
	ref    domain.Ref
	answer chan<- answer // with room for it
}

type answer struct {
	task domain.Task
	err  error
}

func newReader(attempts func(ctx context.Context, refs []domain.Ref) (map[domain.Ref]domain.Task, error)) *reader {
	return &reader{attempts: attempts, single: make(chan struct{}, maxAlone)}
}

// together returns the task of a live attempt, or store.ErrNotFound. Any other error
// may be another attempt's: ask alone then.
func (r *reader) together(ref domain.Ref) (domain.Task, error) {
	got := make(chan answer, 1)
	r.mu.Lock()
	r.waiting = append(r.waiting, request{ref, got})
	if !r.busy {
		r.busy = true
		go r.run()
	}
	r.mu.Unlock()
	a := <-got
	return a.task, a.err
}

// alone returns the task of a live attempt, or store.ErrNotFound.
func (r *reader) alone(ref domain.Ref) (domain.Task, error) {
	r.single <- struct{}{}
	defer func() { <-r.single }()
	live, err := r.read(ref)
	return pick(live, ref, err)
}

func (r *reader) run() {
	for {
		runtime.Gosched() // the other jobs of the same fetch are about to ask
		batch := r.take()
		if len(batch) == 0 {
			return
		}
		refs := make([]domain.Ref, len(batch))
		for i := range batch {
			refs[i] = batch[i].ref
		}
		live, err := r.read(refs...)
		for _, b := range batch {
			task, err := pick(live, b.ref, err)
			b.answer <- answer{task, err}
		}
	}
}

// take returns those that wait, at most maxBatch.
func (r *reader) take() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.waiting), maxBatch)
	batch := r.waiting[:n:n]
	if r.waiting = r.waiting[n:]; len(r.waiting) == 0 {
		r.waiting = nil // what was answered can be collected
	}
	r.busy = n > 0
	return batch
}

func (r *reader) read(refs ...domain.Ref) (map[domain.Ref]domain.Task, error) {
	ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
	defer cancel()
	return r.attempts(ctx, refs)
}

func pick(live map[domain.Ref]domain.Task, ref domain.Ref, err error) (domain.Task, error) {
	if err != nil {
		return domain.Task{}, err
	}
	task, here := live[ref]
	if !here {
		return domain.Task{}, fmt.Errorf("attempt %d of job %d of pool %s: %w", ref.Attempt, ref.JobID, ref.PoolID, store.ErrNotFound)
	}
	return task, nil
}
