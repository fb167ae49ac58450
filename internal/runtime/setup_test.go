package runtime_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
	"github.com/parkinglot/parkinglot/internal/runtime/native"
	"github.com/parkinglot/parkinglot/internal/runtime/riverrt"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
	"github.com/parkinglot/parkinglot/workers"
)

const (
	poolID domain.PoolID = "llm.Pool:1"
	soon                 = 30 * time.Second // nothing but failure is decided by it
)

// site is a backend with one pool on it, and how a process runs its tasks.
type site struct {
	st store.Store
	db dbtest.DB // on Postgres
	// carrier tells the first worker process that is started here; nil: it has one.
	carrier *riverrt.Carrier
	launch  func(t testing.TB, p *process)
}

// process is a scheduler and a runtime in this process.
type process struct {
	*scheduler.Scheduler
	site   *site
	runner *attempts.Runner
	worker store.Worker
	opts   scheduler.Options
	// begin starts to fetch, where the runtime does; nil: nothing to do.
	begin func(ctx context.Context) error
	// drain gives back what runs when ctx ends and stops the runtime.
	drain func(ctx context.Context) error
	// stop ends the process like SIGTERM without any grace.
	stop func()
}

const inMemory = "native in memory"

// runtimes are the sites that every test of the suite runs on.
func runtimes() map[string]func(t testing.TB, change ...func(*domain.Pool)) *site {
	return map[string]func(testing.TB, ...func(*domain.Pool)) *site{
		inMemory:             onMemory,
		"native on Postgres": onPostgres(domain.RuntimeNative, launchNative),
		"worker":             onPostgres(domain.RuntimeWorker, launchWorker),
	}
}

func everywhere(t *testing.T, test func(t *testing.T, open opener)) {
	t.Helper()
	for name, open := range runtimes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

// onlyOnPostgres leaves memory out, which has no connections to break.
func onlyOnPostgres(t *testing.T, test func(t *testing.T, open opener)) {
	t.Helper()
	for name, open := range runtimes() {
		if name == inMemory {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

func newPool(backend domain.Backend, runtime domain.Runtime, change []func(*domain.Pool)) domain.Pool {
	p := domain.Pool{
		PoolID: poolID, Name: "test", State: domain.PoolActive,
		MaxUnits: 10, MaxQueueDepth: 100_000, DefaultTimeout: time.Minute,
		QueueBackend: backend, MailboxBackend: backend, Runtime: runtime,
		Policy: domain.PolicyFIFO, ResourceKind: domain.KindCPU, MaxOvertakes: 16, MaxAttempts: 1,
		RetryBackoff: domain.Backoff{Base: 5 * time.Millisecond, Max: 10 * time.Millisecond},
		Executors:    []string{"default"},
	}
	for _, f := range change {
		f(&p)
	}
	return p
}

func onMemory(t testing.TB, change ...func(*domain.Pool)) *site {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	_, err = st.CreatePool(t.Context(), newPool(domain.BackendMemory, domain.RuntimeNative, change), time.Now().UTC())
	require.NoError(t, err)
	return &site{st: st, launch: launchNative}
}

func onPostgres(runtime domain.Runtime, launch func(testing.TB, *process)) func(testing.TB, ...func(*domain.Pool)) *site {
	return func(t testing.TB, change ...func(*domain.Pool)) *site {
		t.Helper()
		s := (&site{db: dbtest.Postgres(t)}).another(t, launch)
		_, err := s.st.CreatePool(t.Context(), newPool(domain.BackendPostgres, runtime, change), time.Now().UTC())
		require.NoError(t, err)
		return s
	}
}

// another returns the same database with a store of its own, as another process has it.
func (s *site) another(t testing.TB, launch func(testing.TB, *process)) *site {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	carrier := riverrt.NewCarrier(s.db.Schema, s.db.Pool, log)
	st, err := postgres.Open(t.Context(), postgres.Options{URL: s.db.URL, Schema: s.db.Schema, Carrier: carrier, Log: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	return &site{st: st, db: s.db, carrier: carrier, launch: launch}
}

func launchWorker(t testing.TB, p *process) {
	t.Helper()
	launchWorkerThat(t, p, func(*riverrt.WorkerOptions) {})
}

func launchWorkerThat(t testing.TB, p *process, change func(*riverrt.WorkerOptions)) {
	t.Helper()
	opts := riverrt.WorkerOptions{
		DB: p.site.db.Pool, Schema: p.site.db.Schema, ID: p.worker.ID,
		Pools: map[domain.PoolID]int{poolID: 20}, Runner: p.runner, Attempts: p.site.st.Attempts, Log: p.opts.Log,
		Carrier: p.site.carrier,
	}
	change(&opts)
	worker, err := riverrt.NewWorker(opts)
	require.NoError(t, err)
	p.site.carrier = nil
	p.opts.Holders = []scheduler.Holder{p.runner}
	p.begin = worker.Start
	p.drain = worker.Drain
}

func launchNative(_ testing.TB, p *process) {
	p.opts.Starter = native.New(p.runner, func(domain.PoolID) store.Tasks { return p.site.st }, p.opts.Log)
	p.drain = p.runner.Drain
}

// start starts a process whose pool has the executor under "default".
func (s *site) start(t testing.TB, executor workers.Executor, change ...func(*attempts.Options)) *process {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	registry := workers.NewRegistry()
	if executor != nil {
		require.NoError(t, registry.Register("default", executor))
	}
	p := &process{site: s}
	o := attempts.Options{
		Registry:  registry,
		Settle:    func(ctx context.Context, settle plan.Settle) (plan.Answer, error) { return p.Settle(ctx, settle) },
		StopGrace: 200 * time.Millisecond,
		Log:       log,
	}
	for _, f := range change {
		f(&o)
	}
	p.runner = attempts.New(o)
	p.worker = store.Worker{ID: domain.WorkerID(uuid.NewString()), Role: "serve", Host: "test", PID: 1, StartedAt: time.Now().UTC()}
	p.opts = scheduler.Options{
		Worker: p.worker, Log: log, OwnershipEvery: 300 * time.Millisecond,
		Stores: map[domain.Backend]store.Store{s.st.Backend(): s.st},
		Pools:  []scheduler.Pool{{ID: poolID, Backend: s.st.Backend()}},
	}
	s.launch(t, p)
	var err error
	p.Scheduler, err = scheduler.New(p.opts)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) })
	if p.begin != nil {
		require.NoError(t, p.begin(ctx))
	}
	p.stop = sync.OnceFunc(func() {
		now, done := context.WithCancel(context.Background())
		done()
		drain, end := context.WithTimeout(context.Background(), soon)
		defer end()
		_ = p.Drain(drain)
		_ = p.drain(now)
		cancel()
		running.Wait()
		p.runner.Close()
	})
	t.Cleanup(p.stop)
	return p
}

func (p *process) request(id string) plan.Submit {
	hash := sha256.Sum256([]byte(id))
	return plan.Submit{
		TaskID: domain.TaskID(id), BodyHash: hash[:], Tenant: "acme", Priority: domain.PriorityNormal,
		Units: 1, Executor: "default", Payload: []byte(`{"of":"` + id + `"}`),
	}
}

func (p *process) submit(t testing.TB, id string, change ...func(*plan.Submit)) domain.Task {
	t.Helper()
	s := p.request(id)
	for _, f := range change {
		f(&s)
	}
	answers, err := p.Submit(t.Context(), poolID, []plan.Submit{s})
	require.NoError(t, err)
	require.Nil(t, answers[0].Err)
	return *answers[0].Task
}

// until waits until the task is as ok wants it.
func (s *site) until(t testing.TB, id domain.TaskID, ok func(domain.Task) bool) domain.Task {
	t.Helper()
	var task domain.Task
	var err error
	for deadline := time.Now().Add(soon); ; time.Sleep(2 * time.Millisecond) {
		task, err = s.st.Task(t.Context(), poolID, id)
		if err == nil && ok(task) {
			return task
		}
		if time.Now().After(deadline) {
			require.Fail(t, "the task did not get there", "%s is %s, %v, attempt %d, %v", id, task.Status, task.Reason, task.Attempt, err)
		}
	}
}

func (s *site) ended(t testing.TB, id domain.TaskID) domain.Task {
	t.Helper()
	return s.until(t, id, func(task domain.Task) bool { return task.Status.Terminal() })
}

// balanced requires that nothing is held and that counters and rows agree.
func (s *site) balanced(t testing.TB) {
	t.Helper()
	view, err := s.st.Pool(t.Context(), poolID)
	require.NoError(t, err)
	require.Zero(t, view.ActiveUnits)
	differences, err := s.st.Reconcile(t.Context(), poolID)
	require.NoError(t, err)
	require.Empty(t, differences)
}

func does(f func(ctx context.Context, task workers.Task) (string, error)) workers.Executor {
	return workers.ExecutorFunc(func(ctx context.Context, task workers.Task) (json.RawMessage, error) {
		result, err := f(ctx, task)
		return json.RawMessage(result), err
	})
}

func readRecord(t *testing.T, path string) []attempts.RecordEntry {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	entries, err := attempts.ReadRecord(file)
	require.NoError(t, err)
	return entries
}
