package scheduler_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
)

const (
	poolID  domain.PoolID = "llm"
	soon                  = 20 * time.Second // generous: nothing is decided by it but failure
	glimpse               = 2 * time.Millisecond
)

// process is one scheduler with a small real runtime.
type process struct {
	*scheduler.Scheduler
	run  *runner
	stop func() // ends Run and waits
}

// launch starts a process and has it stopped at the end of the test.
func launch(t testing.TB, opts scheduler.Options, run *runner) *process {
	t.Helper()
	if run != nil {
		opts.Starter = run
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s, err := scheduler.New(opts)
	require.NoError(t, err)
	p := &process{Scheduler: s, run: run}
	if run != nil {
		run.settle = s.Settle
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if run != nil {
			run.end()
		}
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(soon):
			require.Fail(t, "Run did not return")
		}
	})
	t.Cleanup(p.stop)
	for name, st := range opts.Stores {
		_, faulty := st.(*faulty)
		patience := soon
		if faulty {
			patience = time.Second // one that refuses to answer at first is the test's business
		}
		ctx, giveUp := context.WithTimeout(t.Context(), patience)
		err := s.Registered(ctx, name)
		giveUp()
		if !faulty {
			require.NoError(t, err)
		}
	}
	return p
}

// memory opens a store in memory that holds the pools.
func memory(t *testing.T, pools ...domain.Pool) store.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	create(t, st, pools...)
	return st
}

func create(t testing.TB, st store.Store, pools ...domain.Pool) {
	t.Helper()
	for _, p := range pools {
		_, err := st.CreatePool(t.Context(), p, time.Now().UTC())
		require.NoError(t, err)
	}
}

// newPool returns a native pool of 10 units.
func newPool(backend domain.Backend, change ...func(*domain.Pool)) domain.Pool {
	p := domain.Pool{
		PoolID: poolID, Name: "test", State: domain.PoolActive,
		MaxUnits: 10, MaxQueueDepth: 100_000, DefaultTimeout: time.Minute,
		QueueBackend: backend, MailboxBackend: backend, Runtime: domain.RuntimeNative,
		Policy: domain.PolicyFIFO, ResourceKind: domain.KindCPU, MaxOvertakes: 16, MaxAttempts: 1,
		RetryBackoff: domain.Backoff{Base: 10 * time.Millisecond, Max: 20 * time.Millisecond},
		Executors:    []string{"default"},
	}
	for _, f := range change {
		f(&p)
	}
	return p
}

// options returns the options of a process on st with quick timers.
func options(st store.Store, pools ...domain.PoolID) scheduler.Options {
	if len(pools) == 0 {
		pools = []domain.PoolID{poolID}
	}
	o := scheduler.Options{
		Worker:         store.Worker{Role: "serve", Host: "test", PID: 1, StartedAt: time.Now().UTC()},
		Stores:         map[domain.Backend]store.Store{st.Backend(): st},
		SafetyPoll:     20 * time.Millisecond,
		HeartbeatEvery: 50 * time.Millisecond,
		WorkerTTL:      600 * time.Millisecond,
		OwnershipEvery: 20 * time.Millisecond,
		Patience:       50 * time.Millisecond,
	}
	for _, id := range pools {
		o.Pools = append(o.Pools, scheduler.Pool{ID: id, Backend: st.Backend()})
	}
	return o
}

func submit(id string, change ...func(*plan.Submit)) plan.Submit {
	hash := sha256.Sum256([]byte(id))
	s := plan.Submit{
		TaskID: domain.TaskID(id), BodyHash: hash[:], Tenant: "acme", Priority: domain.PriorityNormal,
		Units: 1, Executor: "default", Payload: []byte(`{"n":1}`),
	}
	for _, f := range change {
		f(&s)
	}
	return s
}

func submits(n int, change ...func(*plan.Submit)) []plan.Submit {
	all := make([]plan.Submit, n)
	for i := range all {
		all[i] = submit("task-"+strconv.Itoa(i), change...)
	}
	return all
}

// wantStatus waits until the task has the status, and returns it.
func wantStatus(t *testing.T, st store.Store, id domain.TaskID, want domain.Status) domain.Task {
	t.Helper()
	return wantTask(t, st, id, string(want), func(task domain.Task) bool { return task.Status == want })
}

func wantTask(t *testing.T, st store.Store, id domain.TaskID, want string, ok func(domain.Task) bool) domain.Task {
	t.Helper()
	var task domain.Task
	var err error
	eventually(t, func() bool {
		task, err = st.Task(context.Background(), poolID, id)
		return err == nil && ok(task)
	}, func() string {
		return fmt.Sprintf("task %s: want %s, is %s %v (%v)", id, want, task.Status, task.Reason, err)
	})
	return task
}

func eventually(t *testing.T, ok func() bool, what func() string) {
	t.Helper()
	for deadline := time.Now().Add(soon); !ok(); time.Sleep(glimpse) {
		if time.Now().After(deadline) {
			require.Fail(t, what())
		}
	}
}

// wantBalance requires that counters and rows agree and that nothing is live.
func wantBalance(t *testing.T, st store.Store) {
	t.Helper()
	diffs, err := st.Reconcile(t.Context(), poolID)
	require.NoError(t, err)
	require.Empty(t, diffs)
}

// runner is a Starter that runs tasks in goroutines and settles them.
type runner struct {
	settle func(context.Context, plan.Settle) (plan.Answer, error)
	// work runs an attempt; it must return soon after ctx ends. nil: completes at once.
	work func(ctx context.Context, task domain.Task) plan.Settle

	mu        sync.Mutex
	running   map[domain.Ref]context.CancelCauseFunc
	starts    map[domain.Ref]int
	stopped   []domain.Ref
	abandoned []domain.Ref
	wg        sync.WaitGroup
	ended     bool
	life      context.Context
	kill      context.CancelFunc
}

func newRunner(work func(ctx context.Context, task domain.Task) plan.Settle) *runner {
	r := &runner{work: work, running: make(map[domain.Ref]context.CancelCauseFunc), starts: make(map[domain.Ref]int)}
	r.life, r.kill = context.WithCancel(context.Background())
	return r
}

// forever is work that ends only when it is told to.
func forever(ctx context.Context, task domain.Task) plan.Settle {
	<-ctx.Done()
	return plan.Settle{Ref: task.Ref(), Units: task.Units, Verdict: plan.VerdictCancelled}
}

func (r *runner) Start(tasks []domain.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()

	for _, task := range tasks {
		ref := task.Ref()
		r.starts[ref]++
		if r.ended {
			continue
		}
		ctx, cancel := context.WithCancelCause(r.life)
		r.running[ref] = cancel
		r.wg.Go(func() { r.attempt(ctx, task) })
	}
}

var errAbandoned = errors.New("abandoned")

func (r *runner) attempt(ctx context.Context, task domain.Task) {
	result := plan.Settle{Ref: task.Ref(), Units: task.Units, Verdict: plan.VerdictCompleted, Result: []byte(`"done"`)}
	if r.work != nil {
		result = r.work(ctx, task)
	}
	if !errors.Is(context.Cause(ctx), errAbandoned) && r.life.Err() == nil {
		_, _ = r.settle(r.life, result) // fails only when the test ends
	}
	r.forget(task.Ref())
}

// forget makes the runner hold an attempt no more, whatever it does.
func (r *runner) forget(refs ...domain.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()

	for _, ref := range refs {
		delete(r.running, ref)
	}
}

func (r *runner) Stop(refs []domain.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()

	for _, ref := range refs {
		if cancel := r.running[ref]; cancel != nil {
			r.stopped = append(r.stopped, ref)
			cancel(context.Canceled)
		}
	}
}

func (r *runner) Abandon(refs []domain.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()

	for _, ref := range refs {
		if cancel := r.running[ref]; cancel != nil {
			r.abandoned = append(r.abandoned, ref)
			cancel(errAbandoned)
		}
	}
}

func (*runner) Distrust() {}

func (r *runner) Holding(pool domain.PoolID) []domain.Ref {
	r.mu.Lock()
	defer r.mu.Unlock()

	var refs []domain.Ref
	for ref := range r.running {
		if ref.PoolID == pool {
			refs = append(refs, ref)
		}
	}
	return refs
}

func (r *runner) end() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.kill()
	r.wg.Wait()
}

// started returns how often each attempt was started.
func (r *runner) started() map[domain.Ref]int {
	r.mu.Lock()
	defer r.mu.Unlock()

	return maps.Clone(r.starts)
}

func (r *runner) wasAbandoned(ref domain.Ref) bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	return slices.Contains(r.abandoned, ref)
}

func now() time.Time { return time.Now().UTC() }

func (r *runner) abandonedCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()

	return len(r.abandoned)
}
