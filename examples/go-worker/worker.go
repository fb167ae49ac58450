package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
)

// Why a task's context ends.
var (
	errLost      = errors.New("the lease is lost: somebody else has the task")
	errCancelled = errors.New("the task was cancelled")
	errReleased  = errors.New("the worker stops")
)

// worker leases, extends and ends. A lease that was not extended for its TTL is lost;
// time counts from when a heartbeat was sent, by this process's own clock, so that who
// cannot reach the server stops by itself before it is replaced. What is lost is not
// reported. A request that got no answer is sent again.
type worker struct {
	api         *client.Client
	pool, id    string
	concurrency int
	wait, ttl   float64 // seconds
	grace       time.Duration

	tasks sync.WaitGroup
	mu    sync.Mutex
	held  map[string]*lease // by id
}

type lease struct {
	task client.LeasedWork
	ttl  time.Duration
	end  context.CancelCauseFunc

	mu    sync.Mutex
	until time.Time
}

func (l *lease) extend(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = sent.Add(l.ttl)
}

func (l *lease) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !time.Now().Before(l.until)
}

// run leases until ctx ends, then lets tasks end for the grace and gives back the rest.
func (w *worker) run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go w.beat(working)

	slots := make(chan struct{}, w.concurrency)
	err := w.lease(ctx, working, slots)

	grace := time.AfterFunc(w.grace, func() {
		for _, l := range w.leases() {
			l.end(errReleased)
		}
	})
	defer grace.Stop()
	w.tasks.Wait()
	return err
}

// lease asks for as many tasks as there are free slots. A poll that ctx ends leaves
// nothing behind: the server gives back what it was about to lease.
func (w *worker) lease(ctx, working context.Context, slots chan struct{}) error {
	for pause := firstPause; ctx.Err() == nil; {
		select {
		case slots <- struct{}{}:
			<-slots // one is free, and only this goroutine takes them
		case <-ctx.Done():
			return nil
		}
		free := cap(slots) - len(slots)
		answer, err := client.Read[client.LeasedTasks](w.api.LeaseTasks(ctx, w.pool, client.LeaseRequest{ //nolint:bodyclose // Read closes it
			WorkerID: w.id, MaxTasks: int64(min(free, 100)), WaitSecs: w.wait, TTLSecs: w.ttl,
		}))
		if err != nil {
			if ctx.Err() == nil && !again(err) {
				return fmt.Errorf("lease from pool %s: %w", w.pool, err)
			}
			slog.Warn("leasing", "error", err)
			pause = rest(ctx, pause)
			continue
		}
		pause = firstPause
		for _, task := range answer.Tasks {
			slots <- struct{}{}
			w.tasks.Go(func() {
				defer func() { <-slots }()
				w.work(working, task)
			})
		}
	}
	return nil
}

// work runs one task and reports how it ended.
func (w *worker) work(working context.Context, task client.LeasedWork) {
	ctx, end := context.WithCancelCause(working)
	defer end(nil)
	l := &lease{task: task, ttl: time.Duration(task.TTLSecs * float64(time.Second)), end: end}
	l.extend(time.Now()) // the first heartbeat makes it exact
	w.mu.Lock()
	w.held[task.LeaseID] = l
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.held, task.LeaseID)
		w.mu.Unlock()
	}()

	result, err := handle(ctx, task)
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errLost):
		return
	case errors.Is(cause, errCancelled):
		err = cause
	case errors.Is(cause, errReleased):
		_ = w.report(working, l, "release", func() (*http.Response, error) {
			return w.api.ReleaseLease(working, task.LeaseID, client.Release{})
		})
		return
	}
	if err == nil {
		err = w.report(working, l, "complete", func() (*http.Response, error) {
			return w.api.CompleteLease(working, task.LeaseID, client.Completion{Result: result})
		})
		if status := statusOf(err); status != http.StatusRequestEntityTooLarge && status != http.StatusUnprocessableEntity {
			return
		}
		err = errors.Join(errPermanent, err)
	}
	_ = w.report(working, l, "fail", func() (*http.Response, error) {
		return w.api.FailLease(working, task.LeaseID, client.Failure{Message: brief(err), Retryable: !errors.Is(err, errPermanent)})
	})
}

// report sends until there is an answer, as long as the lease may last. It logs what it
// returns.
func (w *worker) report(ctx context.Context, l *lease, what string, send func() (*http.Response, error)) error {
	for pause := firstPause; ; {
		_, err := client.Read[client.LeaseEnd](send()) //nolint:bodyclose // Read closes it
		if err == nil {
			return nil
		}
		if !again(err) || l.over() {
			slog.Warn(what, "task", l.task.TaskID, "error", err)
			return err
		}
		pause = rest(ctx, pause)
	}
}

// beat extends all leases in one request, four times in the shortest TTL.
func (w *worker) beat(ctx context.Context) {
	for ctx.Err() == nil {
		held := w.leases()
		interval := time.Second
		for _, l := range held {
			interval = min(interval, l.ttl/4)
		}
		for part := range slices.Chunk(held, 1000) {
			w.extend(ctx, part, interval)
		}
		for _, l := range held {
			if l.over() {
				l.end(errLost)
			}
		}
		select {
		case <-time.After(interval):
		case <-ctx.Done():
		}
	}
}

func (w *worker) extend(ctx context.Context, held []*lease, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, max(patience, 200*time.Millisecond))
	defer cancel()
	ids := make([]string, len(held))
	for i, l := range held {
		ids[i] = l.task.LeaseID
	}
	sent := time.Now()
	answer, err := client.Read[client.HeartbeatResults](w.api.HeartbeatLeases(ctx, client.Heartbeat{LeaseIds: ids})) //nolint:bodyclose // Read closes it
	if err != nil {
		slog.Warn("heartbeat", "error", err)
		return
	}
	for i, result := range answer.Results {
		if result.Lost {
			held[i].end(errLost)
			continue
		}
		held[i].extend(sent)
		if result.CancelRequested {
			held[i].end(errCancelled)
		}
	}
}

func (w *worker) leases() []*lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.held))
}

// again reports whether a request that ended like this may go through the next time.
func again(err error) bool {
	status := statusOf(err)
	return status == 0 || status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests
}

// statusOf is what the server answered; 0: nothing.
func statusOf(err error) int {
	if refused, ok := errors.AsType[*client.Error](err); ok {
		return int(refused.Problem.Status)
	}
	return 0
}

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// rest waits for about d and returns the next pause.
func rest(ctx context.Context, d time.Duration) time.Duration {
	select {
	case <-time.After(d/2 + rand.N(d/2)): //nolint:gosec // to come back apart, not to be unguessable
	case <-ctx.Done():
	}
	return min(2*d, lastPause)
}

// brief cuts an error to what the server takes.
func brief(err error) string {
	text := []rune(err.Error())
	return string(text[:min(len(text), 2000)])
}
