package riverrt

import "sync"

// wakes are queues that this process has put jobs into and that its own River client has
// not been told of yet. A queue stays in until it is taken, however often it is woken.
type wakes struct {
	mu        sync.Mutex
	queues    map[string]struct{}
	interrupt func() // ends the wait for other news; nil: nobody waits
}

func newWakes() *wakes { return &wakes{queues: make(map[string]struct{})} }

// wake adds a queue. It never blocks.
func (w *wakes) wake(queue string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queues[queue] = struct{}{}
	if w.interrupt != nil {
		w.interrupt()
	}
}

// take takes a queue out; false: there is none.
func (w *wakes) take() (queue string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for queue = range w.queues {
		delete(w.queues, queue)
		return queue, true
	}
	return "", false
}

// during calls wait, and interrupt as soon as there is a queue to take.
func (w *wakes) during(interrupt, wait func()) {
	w.mu.Lock()
	if w.interrupt = interrupt; len(w.queues) > 0 {
		interrupt()
	}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.interrupt = nil
	}()
	wait()
}
