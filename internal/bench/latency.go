package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/workers"
)

// On an idle system the next task comes when the last one is over in every respect.
const (
	idlePause  = 8 * time.Millisecond
	idleWarmUp = 20
)

// oneByOne submits tasks one at a time, and returns how long each took from the
// call until it was entered.
func oneByOne(ctx context.Context, count int, entered <-chan time.Time, submit func(context.Context, int) error) ([]time.Duration, error) {
	took := make([]time.Duration, 0, count)
	for n := range count + idleWarmUp {
		from := time.Now()
		if err := submit(ctx, n); err != nil {
			return nil, fmt.Errorf("submit: %w", err)
		}
		select {
		case at := <-entered:
			if n >= idleWarmUp {
				took = append(took, at.Sub(from))
			}
		case <-time.After(patience):
			return nil, fmt.Errorf("task %d was not entered for %s", n, patience)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		time.Sleep(idlePause)
	}
	return took, nil
}

// measureIdle measures from the call of submit until the executor is entered.
func measureIdle(ctx context.Context, b *bench, c *Case) (m Metrics, err error) {
	schema, done, err := b.home(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	entered := make(chan time.Time, 1)
	l, err := b.local(ctx, c, schema, func(context.Context, workers.Task) (json.RawMessage, error) {
		entered <- time.Now()
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	took, err := oneByOne(ctx, c.Tasks, entered, func(ctx context.Context, n int) error { return l.submit(ctx, c, n) })
	if err != nil {
		return nil, err
	}
	if err := l.untilIdle(ctx); err != nil {
		return nil, err
	}
	return latencies(took), prove(ctx, l.Addr, int64(c.Tasks+idleWarmUp))
}

// Tasks of a saturated pool take this long, evenly distributed.
const (
	shortest = 40 * time.Millisecond
	longest  = 120 * time.Millisecond
)

// stamps collects instants from many goroutines.
type stamps struct {
	mu sync.Mutex
	at []time.Time
}

func (s *stamps) now() {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.at = append(s.at, time.Now())
}

func (s *stamps) all() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()

	return append([]time.Time(nil), s.at...)
}

// measureSaturated measures from the return of an executor until the next one is
// entered, while all units are in use and tasks are queued.
func measureSaturated(ctx context.Context, b *bench, c *Case) (m Metrics, err error) {
	schema, drop, err := b.schema(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	var entries, exits stamps
	l, err := b.local(ctx, c, schema, func(ctx context.Context, _ workers.Task) (json.RawMessage, error) {
		entries.now()
		select {
		case <-time.After(shortest + rand.N(longest-shortest)):
		case <-ctx.Done():
			return nil, ctx.Err() // the run is over
		}
		exits.now()
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if err := l.fill(ctx, c, c.Queued+c.Tasks); err != nil {
		return nil, err
	}
	filled := time.Now()
	goal := len(exits.all()) + c.Tasks
	err = eventually(ctx, 20*time.Millisecond, func() (bool, error) { return len(exits.all()) >= goal, nil })
	if err != nil {
		return nil, err
	}
	took := handovers(entries.all(), exits.all(), c.Slots, filled)
	if queued, err := l.totals(ctx); err != nil || queued.Queued == 0 {
		return nil, errors.Join(err, errors.New("nothing is queued any more: the pool was not saturated"))
	}
	if err := l.wind(ctx); err != nil {
		return nil, err
	}
	return latencies(took), prove(ctx, l.Addr, int64(len(exits.all())))
}

// fill submits tasks by the hundred.
func (l *localRun) fill(ctx context.Context, c *Case, count int) error {
	const together = 500
	err := submitAll(ctx, 8, 0, (count+together-1)/together, func(ctx context.Context, n int) error {
		tasks := make([]plan.Submit, 0, together)
		var pool domain.PoolID
		for i := range together {
			var one []plan.Submit
			pool, one = submission(c, n*together+i)
			tasks = append(tasks, one...)
		}
		answers, err := l.Service.Submit(ctx, pool, tasks)
		if err != nil {
			return err
		}
		for i := range answers {
			if answers[i].Err != nil {
				return answers[i].Err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("fill the queue: %w", err)
	}
	return nil
}

// wind stops the first pool from starting anything and waits until nothing runs.
func (l *localRun) wind(ctx context.Context) error {
	state := domain.PoolDisabled
	if _, err := l.Service.ChangePool(ctx, poolID(0), plan.PoolChange{State: &state, Actor: "bench"}); err != nil {
		return fmt.Errorf("disable the pool: %w", err)
	}
	return eventually(ctx, 4*time.Millisecond, func() (bool, error) {
		t, err := l.totals(ctx)
		return err == nil && t.Running == 0, err
	})
}
