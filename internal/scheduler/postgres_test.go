package scheduler_test

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// connection opens the database as one more process does.
func connection(t testing.TB, db dbtest.DB) *postgres.Store {
	t.Helper()
	st, err := postgres.Open(t.Context(), postgres.Options{
		URL: db.URL, Schema: db.Schema, MaxConns: 4, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	return st
}

// postgresOptions are options for st with timers that a shared machine can keep.
func postgresOptions(st store.Store) scheduler.Options {
	o := options(st)
	o.HeartbeatEvery = 200 * time.Millisecond
	o.WorkerTTL = 3 * time.Second
	o.OwnershipEvery = 200 * time.Millisecond
	o.Patience = soon
	o.SafetyPoll = -1 // hints alone must do
	return o
}

// unheard is a connection whose hints are lost in both directions.
type unheard struct{ store.Store }

func (unheard) Wake(context.Context, []store.Wake) error { return nil }

func (unheard) Listen(ctx context.Context, _ func(store.Wake)) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestPostgresFleetRunsEverythingOnce(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	st := connection(t, db)
	create(t, st, newPool(domain.BackendPostgres, func(p *domain.Pool) { p.MaxUnits = 7 }))
	fleet := make([]*process, 3)
	for i := range fleet {
		fleet[i] = launch(t, postgresOptions(connection(t, db)), newRunner(nil))
	}
	const each = 40
	var wg sync.WaitGroup
	for i, p := range fleet {
		for j := range each {
			wg.Go(func() {
				one := submit(strconv.Itoa(i)+"-"+strconv.Itoa(j), func(s *plan.Submit) { s.Units = domain.Units(1 + j%5) })
				if err := answerOr(p.Submit(context.Background(), poolID, []plan.Submit{one})); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for i := range fleet {
		for j := range each {
			wantStatus(t, st, domain.TaskID(strconv.Itoa(i)+"-"+strconv.Itoa(j)), domain.StatusCompleted)
		}
	}
	starts := make(map[domain.Ref]int)
	for _, p := range fleet {
		for ref, n := range p.run.started() {
			starts[ref] += n
		}
	}
	require.Len(t, starts, len(fleet)*each)
	for ref, n := range starts {
		require.Equal(t, 1, n, "attempt %v", ref)
	}
	wantBalance(t, st)
}

func TestPostgresOtherProcessesAreWoken(t *testing.T) {
	t.Parallel()
	tests := map[string]func(o *scheduler.Options){
		"by a notification": func(*scheduler.Options) {},
		"by the safety poll when notifications are lost": func(o *scheduler.Options) {
			o.SafetyPoll = 50 * time.Millisecond
			for name, st := range o.Stores {
				o.Stores[name] = unheard{st}
			}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := dbtest.Postgres(t)
			st := connection(t, db)
			create(t, st, newPool(domain.BackendPostgres, func(p *domain.Pool) { p.MaxUnits = 1 }))
			start := func(run *runner) *process {
				opts := postgresOptions(connection(t, db))
				change(&opts)
				return launch(t, opts, run)
			}
			first := start(newRunner(forever))
			require.NoError(t, answerOr(first.Submit(t.Context(), poolID, submits(2))))
			wantStatus(t, st, "task-0", domain.StatusRunning)
			second := start(newRunner(nil))
			require.NoError(t, second.Registered(t.Context(), domain.BackendPostgres))

			// A task that one process made startable is started by the other …
			require.NoError(t, first.Drain(t.Context()))
			ended, leave := first.Watch(poolID)
			defer leave()
			// … and the one that holds the first task hears that it was cancelled elsewhere.
			_, err := second.Cancel(t.Context(), poolID, plan.Cancel{TaskID: "task-0"})
			require.NoError(t, err)
			wantStatus(t, st, "task-0", domain.StatusFailed)
			wantStatus(t, st, "task-1", domain.StatusCompleted)
			require.Len(t, first.run.started(), 1)
			require.Len(t, second.run.started(), 1)
			select {
			case <-ended:
			case <-time.After(soon):
				require.Fail(t, "the watcher was not woken")
			}
		})
	}
}

func TestPostgresDeadlineOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	st := connection(t, db)
	create(t, st, newPool(domain.BackendPostgres, func(p *domain.Pool) { p.MaxUnits = 1 }))
	survivor := launch(t, postgresOptions(connection(t, db)), newRunner(forever))
	require.NoError(t, answerOr(survivor.Submit(t.Context(), poolID, []plan.Submit{submit("blocks")})))
	dies := launch(t, postgresOptions(connection(t, db)), newRunner(forever))
	deadline := time.Now().Add(time.Second)
	require.NoError(t, answerOr(dies.Submit(t.Context(), poolID,
		[]plan.Submit{submit("waits", func(s *plan.Submit) { s.Deadline = &deadline })})))
	dies.stop()
	task := wantStatus(t, st, "waits", domain.StatusExpired)
	require.False(t, task.FinishedAt.Before(deadline.Truncate(time.Microsecond)), "not before its time by the database's clock")
}

func TestPostgresWorkOfTheDeadRunsAgain(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	st := connection(t, db)
	create(t, st, newPool(domain.BackendPostgres, func(p *domain.Pool) { p.MaxAttempts = 2 }))
	conn := connection(t, db)
	cut := &faulty{Store: conn}
	opts := postgresOptions(conn)
	opts.Stores[domain.BackendPostgres] = &struct {
		store.Store
		store.Waker
	}{cut, conn}
	dying := launch(t, opts, newRunner(forever))
	require.NoError(t, answerOr(dying.Submit(t.Context(), poolID, submits(3))))
	wantStatus(t, st, "task-2", domain.StatusRunning)
	launch(t, postgresOptions(connection(t, db)), newRunner(nil))
	cut.set(func(f *faulty) { f.down = true })
	for _, id := range []domain.TaskID{"task-0", "task-1", "task-2"} {
		task := wantStatus(t, st, id, domain.StatusCompleted)
		require.Equal(t, 2, task.Attempt)
	}
	eventually(t, func() bool { return dying.run.abandonedCount() == 3 }, func() string { return "the dead still runs its tasks" })
	wantBalance(t, st)
}

// A pool whose counters are behind its trail (a table that was restored alone, say) can decide nothing.
// Who asks is told to ask again, not that the request is wrong, and it goes on once the rows are mended.
func TestPostgresPoolBehindItsTrailBlamesNobody(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	st := connection(t, db)
	create(t, st, newPool(domain.BackendPostgres))
	opts := postgresOptions(connection(t, db))
	opts.Patience = 500 * time.Millisecond
	p := launch(t, opts, newRunner(nil))
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("before")})))
	wantStatus(t, st, "before", domain.StatusCompleted)
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO pl_audit_events
		SELECT (jsonb_populate_record(e, jsonb_build_object('seq', e.seq + n))).*
		FROM pl_audit_events AS e CROSS JOIN generate_series(1, 10) AS n WHERE e.seq = (SELECT max(seq) FROM pl_audit_events)`)
	require.NoError(t, err)

	var refused *domain.Error
	require.ErrorAs(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("during")})), &refused)
	require.Equal(t, domain.CodeUnavailable, refused.Code, "%v", refused)

	_, err = db.Pool.Exec(t.Context(), "DELETE FROM pl_audit_events WHERE seq > (SELECT max(event_seq) FROM pl_pool_turns)")
	require.NoError(t, err)
	require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("during")})))
	wantStatus(t, st, "during", domain.StatusCompleted)
	wantBalance(t, st)
}
