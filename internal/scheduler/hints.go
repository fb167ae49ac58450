package scheduler

import (
	"context"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Bounds of hints between processes.
const (
	hintPause   = 10 * time.Millisecond // between two sends, so that hints coalesce
	endedPause  = 50 * time.Millisecond // before one that only says what has ended: nothing starts later for it
	hintTimeout = 2 * time.Second
	listenAgain = time.Second
)

// hinter sends hints to the other processes of a backend, outside of any turn:
// losing one costs a safety poll. Hints that come while one is being sent coalesce.
type hinter struct {
	b    *backend
	wake chan struct{}

	mu      sync.Mutex
	pending map[domain.PoolID]store.Wake
}

// hint leaves a hint for the other processes. It never blocks.
func (b *backend) hint(w store.Wake) {
	if b.waker == nil || !w.Turn && !w.Stop && !w.Ended {
		return
	}
	h := b.hinter
	h.mu.Lock()
	was := h.pending[w.Pool]
	h.pending[w.Pool] = store.Wake{
		Pool: w.Pool, Turn: was.Turn || w.Turn, Stop: was.Stop || w.Stop, Ended: was.Ended || w.Ended,
	}
	h.mu.Unlock()
	signal(h.wake)
}

// A send wakes a session and a connection of every process: under load that is dearer than a turn.
func (h *hinter) run(ctx context.Context) {
	var last time.Time
	var due <-chan time.Time
	for {
		select {
		case <-h.wake:
		case <-due:
		case <-ctx.Done():
			h.send(ctx)
			return
		}
		due = nil
		if rest := endedPause - time.Since(last); rest > 0 && !h.urgent() {
			due = time.After(rest)
			continue
		}
		last = time.Now()
		h.send(ctx)
		sleep(ctx, hintPause)
	}
}

// urgent reports whether somebody has to do something, rather than to tell who follows a task.
func (h *hinter) urgent() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.pending {
		if w.Turn || w.Stop {
			return true
		}
	}
	return false
}

// send is not cut off by the process's end: the last turns' hints are for those who stay.
func (h *hinter) send(ctx context.Context) {
	h.mu.Lock()
	hints := make([]store.Wake, 0, len(h.pending))
	for _, w := range h.pending {
		hints = append(hints, w)
	}
	clear(h.pending)
	h.mu.Unlock()
	if len(hints) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hintTimeout)
	defer cancel()
	if err := h.b.waker.Wake(ctx, hints); err != nil {
		h.b.log.Warn("other processes were not woken; their safety poll will see", "error", err)
	}
}

// listen hears the other processes until ctx ends.
func (b *backend) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if err := b.waker.Listen(ctx, b.hear); err != nil && ctx.Err() == nil {
			b.log.Warn("hints of other processes are not heard; trying again", "error", err)
		}
		sleep(ctx, listenAgain)
	}
}

// hear handles one hint. It never blocks.
func (b *backend) hear(w store.Wake) {
	if w == (store.Wake{}) {
		b.lookEverywhere()
		return
	}
	if w.Ended {
		b.s.watchers.unknown(w.Pool)
	}
	if w.Stop {
		b.checks.stopAsked(w.Pool)
	}
	if l := b.s.loop(w.Pool); w.Turn && l != nil && l.backend == b {
		l.inbox.wantLook()
	}
}

// lookEverywhere assumes nothing: hints may have been missed.
func (b *backend) lookEverywhere() {
	for _, l := range b.loops() {
		l.inbox.wantLook()
	}
	b.checks.stopAsked("")
	b.s.watchers.all()
}

// poll looks at all pools of a shared backend now and then, with one read, in case
// a hint was lost.
func (b *backend) poll(ctx context.Context) {
	elsewhere := make(map[domain.PoolID]int64) // turns of pools that have no loop here
	every(ctx, b.s.opts.SafetyPoll, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, max(b.s.opts.SafetyPoll, hintTimeout))
		defer cancel()

		pools, err := b.store.ListPools(ctx)
		if err != nil {
			return // the loops and the heartbeat notice and say so
		}
		for i := range pools {
			id, c := pools[i].PoolID, pools[i].Counters
			if l := b.s.loop(id); l != nil && l.backend == b {
				l.polled(c)
				continue
			}
			if seen, known := elsewhere[id]; known && seen != c.TurnNo {
				b.s.watchers.unknown(id)
			}
			elsewhere[id] = c.TurnNo
		}
	})
}
