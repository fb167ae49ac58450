package scheduler

import (
	"sync"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// watchers wakes those who wait for tasks to end. A watcher's channel holds one
// signal: firing an already fired one does nothing, so firing never blocks.
type watchers struct {
	mu    sync.Mutex
	pools map[domain.PoolID]map[chan struct{}]struct{}
	tasks map[domain.PoolID]map[domain.TaskID]map[chan struct{}]struct{}
	// elsewhere are fired when something may have been written that no turn of this process wrote.
	elsewhere map[chan struct{}]struct{}
}

func newWatchers() *watchers {
	return &watchers{
		pools: make(map[domain.PoolID]map[chan struct{}]struct{}),
		tasks: make(map[domain.PoolID]map[domain.TaskID]map[chan struct{}]struct{}),

		elsewhere: make(map[chan struct{}]struct{}),
	}
}

// pool registers a watcher of everything that ends in the pool; the empty pool
// means all pools.
func (w *watchers) pool(pool domain.PoolID) (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()

	ch := make(chan struct{}, 1)
	insert(w.pools, pool, ch)
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()

		remove(w.pools, pool, ch)
	}
}

// task registers a watcher of one task.
func (w *watchers) task(pool domain.PoolID, id domain.TaskID) (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()

	ch := make(chan struct{}, 1)
	if w.tasks[pool] == nil {
		w.tasks[pool] = make(map[domain.TaskID]map[chan struct{}]struct{})
	}
	insert(w.tasks[pool], id, ch)
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()

		remove(w.tasks[pool], id, ch)
		if len(w.tasks[pool]) == 0 {
			delete(w.tasks, pool)
		}
	}
}

// others registers a watcher of what is written elsewhere.
func (w *watchers) others() (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()

	ch := make(chan struct{}, 1)
	w.elsewhere[ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()

		delete(w.elsewhere, ch)
	}
}

// ended wakes the watchers of the pool and those of the tasks that ended.
func (w *watchers) ended(pool domain.PoolID, tasks []domain.Task) {
	w.mu.Lock()
	defer w.mu.Unlock()

	fire(w.pools[pool])
	fire(w.pools[""])
	if byTask := w.tasks[pool]; len(byTask) > 0 {
		for i := range tasks {
			fire(byTask[tasks[i].TaskID])
		}
	}
}

// unknown wakes every watcher of the pool: something ended there, and what is not known.
func (w *watchers) unknown(pool domain.PoolID) {
	w.mu.Lock()
	defer w.mu.Unlock()

	fire(w.elsewhere)
	fire(w.pools[pool])
	fire(w.pools[""])
	for _, chs := range w.tasks[pool] {
		fire(chs)
	}
}

// all wakes everybody.
func (w *watchers) all() {
	w.mu.Lock()
	defer w.mu.Unlock()

	fire(w.elsewhere)
	for _, chs := range w.pools {
		fire(chs)
	}
	for _, byTask := range w.tasks {
		for _, chs := range byTask {
			fire(chs)
		}
	}
}

func insert[K comparable](m map[K]map[chan struct{}]struct{}, key K, ch chan struct{}) {
	if m[key] == nil {
		m[key] = make(map[chan struct{}]struct{})
	}
	m[key][ch] = struct{}{}
}

func remove[K comparable](m map[K]map[chan struct{}]struct{}, key K, ch chan struct{}) {
	delete(m[key], ch)
	if len(m[key]) == 0 {
		delete(m, key)
	}
}

func fire(chs map[chan struct{}]struct{}) {
	for ch := range chs {
		signal(ch)
	}
}

// signal leaves a signal in a channel of capacity one unless one is there already.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
