package postgres_test

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// open opens a store on a test's database.
func open(t testing.TB, db dbtest.DB, opts postgres.Options) *postgres.Store {
	t.Helper()
	if opts.URL == "" {
		opts.URL = db.URL
	}
	opts.Schema = db.Schema
	s, err := postgres.Open(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// bundle is a database with one store and one pool, "p", on it.
type bundle struct {
	*postgres.Store
	db dbtest.DB
}

func setup(t testing.TB, opts postgres.Options, with ...func(*domain.Pool)) *bundle {
	t.Helper()
	db := dbtest.Postgres(t)
	b := &bundle{Store: open(t, db, opts), db: db}
	b.pool(t, "p", with...)
	return b
}

func (b *bundle) pool(t testing.TB, id domain.PoolID, with ...func(*domain.Pool)) {
	t.Helper()
	p := domain.Pool{
		PoolID: id, Name: string(id), State: domain.PoolActive, MaxUnits: 10, MaxQueueDepth: 1_000_000, DefaultTimeout: time.Minute,
		QueueBackend: domain.BackendPostgres, MailboxBackend: domain.BackendPostgres, Runtime: domain.RuntimeNative,
		Policy: domain.PolicyPriority, ResourceKind: domain.KindCPU, MaxOvertakes: 16, MaxAttempts: 1,
		RetryBackoff: domain.Backoff{Base: time.Second, Max: time.Minute},
	}
	for _, change := range with {
		change(&p)
	}
	_, err := b.CreatePool(t.Context(), p, time.Now())
	require.NoError(t, err)
}

// spec is a turn of pool p on fixed requests, by the plan.
func spec(rq plan.Requests) store.TurnSpec {
	rq.TurnID = uuid.NewString()
	if rq.Worker == "" {
		rq.Worker = "w1"
	}
	return store.TurnSpec{Pool: "p", Gather: func() *plan.Requests { return &rq }, Decide: plan.Turn}
}

func (b *bundle) turn(t testing.TB, rq plan.Requests) plan.Decisions {
	t.Helper()
	d, err := b.Turn(t.Context(), spec(rq))
	require.NoError(t, err)
	return d
}

func (b *bundle) agrees(t testing.TB) {
	t.Helper()
	diffs, err := b.Reconcile(t.Context(), "p")
	require.NoError(t, err)
	require.Empty(t, diffs)
}

// exec runs SQL as an operator with psql would.
func (b *bundle) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := b.db.Pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// value reads one number as an operator with psql would.
func (b *bundle) value(t testing.TB, sql string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// tasks returns n submissions of one unit each, prefix-0, prefix-1, …
func tasks(prefix string, n int, with ...func(*plan.Submit)) []plan.Submit {
	list := make([]plan.Submit, n)
	for i := range list {
		id := fmt.Sprintf("%s-%d", prefix, i)
		hash := sha256.Sum256([]byte(id))
		list[i] = plan.Submit{
			TaskID: domain.TaskID(id), BodyHash: hash[:], Tenant: "acme", Priority: domain.PriorityNormal, Units: 1, Executor: "default",
			Payload: []byte(`{}`), Mailbox: &domain.MailboxKey{Tenant: "acme", UserID: "u"},
		}
		for _, change := range with {
			change(&list[i])
		}
	}
	return list
}

func units(n domain.Units) func(*plan.Submit) { return func(s *plan.Submit) { s.Units = n } }

// settled completes tasks.
func settled(tasks []domain.Task) []plan.Settle {
	list := make([]plan.Settle, len(tasks))
	for i := range tasks {
		list[i] = plan.Settle{
			Ref: tasks[i].Ref(), Units: tasks[i].Units, Verdict: plan.VerdictCompleted, Result: []byte(`{"ok":true}`),
			RiverJobID: tasks[i].RiverJobID,
		}
	}
	return list
}
