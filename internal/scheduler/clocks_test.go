package scheduler_test

import (
	"context"
	"strconv"
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

// apart is how far the clock of each process is from the database's, in the tests below:
// far more than any of them takes, so that an instant of a wrong clock stands out.
const apart = 10 * time.Minute

// skewed returns options of a process on a connection of its own whose clock is off by skew.
func skewed(t *testing.T, db dbtest.DB, skew time.Duration) scheduler.Options {
	t.Helper()
	o := postgresOptions(connection(t, db))
	o.Worker.StartedAt = time.Time{} // as the program has it: the database's
	return scheduler.WithClock(o, func() time.Time { return time.Now().Add(skew) })
}

// databaseTime reads the clock that decides.
func databaseTime(t *testing.T, st *postgres.Store) time.Time {
	t.Helper()
	var at time.Time
	require.NoError(t, st.Connections().QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&at))
	return at.UTC()
}

// eachWay runs a test with the first process ahead of the second, and the other way round.
func eachWay(t *testing.T, test func(t *testing.T, first, second time.Duration)) {
	t.Helper()
	for name, skew := range map[string]time.Duration{"ahead, then behind": apart, "behind, then ahead": -apart} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, skew, -skew)
		})
	}
}

// wantDatabaseTimes requires that everything the pool's rows say happened between from and
// now by the database's clock, and in the order of the trail.
func wantDatabaseTimes(t *testing.T, st *postgres.Store, pool domain.PoolID, from time.Time) {
	t.Helper()
	events, err := st.Events(t.Context(), store.EventFilter{Pool: pool, Limit: 10_000})
	require.NoError(t, err)
	require.NotEmpty(t, events)
	tasks, err := st.ListTasks(t.Context(), store.TaskFilter{Pool: pool, Limit: 1000})
	require.NoError(t, err)
	workers, err := st.ListWorkers(t.Context())
	require.NoError(t, err)
	until := databaseTime(t, st)
	during := func(what string, at time.Time) {
		t.Helper()
		require.WithinRange(t, at, from, until, what)
	}
	for i := range events {
		during("event "+string(events[i].Kind), events[i].At)
		if i > 0 {
			require.Greater(t, events[i].Seq, events[i-1].Seq)
			require.False(t, events[i].At.Before(events[i-1].At), "event %d is before the one in front of it", events[i].Seq)
		}
	}
	for i := range tasks {
		during("created", tasks[i].CreatedAt)
		for what, at := range map[string]*time.Time{"started": tasks[i].StartedAt, "finished": tasks[i].FinishedAt} {
			if at != nil {
				during(what, *at)
				require.False(t, at.Before(tasks[i].CreatedAt), what)
			}
		}
	}
	for i := range workers {
		during("a process started", workers[i].StartedAt)
		during("heartbeat", workers[i].HeartbeatAt)
	}
}

func TestPostgresClocksApartTimersFireByTheDatabase(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, first, second time.Duration) {
		db := dbtest.Postgres(t)
		st := connection(t, db)
		from := databaseTime(t, st)
		create(t, st, newPool(domain.BackendPostgres, func(p *domain.Pool) {
			p.MaxUnits, p.MaxAttempts = 1, 2
			p.RetryBackoff = domain.Backoff{Base: 500 * time.Millisecond, Max: 500 * time.Millisecond}
		}))
		survivor := launch(t, skewed(t, db, first), newRunner(func(ctx context.Context, task domain.Task) plan.Settle {
			if task.TaskID == "fails" && task.Attempt == 1 {
				return plan.Settle{Ref: task.Ref(), Units: task.Units, Verdict: plan.VerdictFailed, Retryable: true}
			}
			if task.TaskID == "blocks" {
				return forever(ctx, task)
			}
			return plan.Settle{Ref: task.Ref(), Units: task.Units, Verdict: plan.VerdictCompleted, Result: []byte(`1`)}
		}))
		// A backoff ends in the process that set it: nothing else takes turns.
		require.NoError(t, answerOr(survivor.Submit(t.Context(), poolID, []plan.Submit{submit("fails")})))
		again := wantStatus(t, st, "fails", domain.StatusCompleted)
		require.Equal(t, 2, again.Attempt)

		require.NoError(t, answerOr(survivor.Submit(t.Context(), poolID, []plan.Submit{submit("blocks")})))
		dies := launch(t, skewed(t, db, second), newRunner(forever))
		deadline := databaseTime(t, st).Add(3 * time.Second)
		late := func(s *plan.Submit) { s.Deadline = &deadline }
		require.NoError(t, answerOr(survivor.Submit(t.Context(), poolID, []plan.Submit{submit("waits-here", late)})))
		require.NoError(t, answerOr(dies.Submit(t.Context(), poolID, []plan.Submit{submit("waits-there", late)})))
		for _, p := range []*process{survivor, dies} {
			require.WithinDuration(t, databaseTime(t, st), p.Now(poolID), time.Minute, "what estimates start from")
		}
		dies.stop()
		for _, id := range []domain.TaskID{"waits-here", "waits-there"} {
			task := wantStatus(t, st, id, domain.StatusExpired)
			require.WithinRange(t, *task.FinishedAt, deadline, deadline.Add(soon))
		}
		wantDatabaseTimes(t, st, poolID, from)
		wantBalance(t, st)
	})
}

func TestPostgresClocksApartTheLivingLiveAndTheDeadDie(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, first, second time.Duration) {
		db := dbtest.Postgres(t)
		st := connection(t, db)
		from := databaseTime(t, st)
		create(t, st, newPool(domain.BackendPostgres, func(p *domain.Pool) { p.MaxAttempts = 2 }))
		conn := connection(t, db)
		cut := &faulty{Store: conn}
		opts := skewed(t, db, second)
		opts.Stores[domain.BackendPostgres] = &struct {
			store.Store
			store.Waker
		}{cut, conn}
		survivor, dying := launch(t, skewed(t, db, first), newRunner(forever)), launch(t, opts, newRunner(forever))
		for i := range 4 { // turns of both, in turn
			p := []*process{survivor, dying}[i%2]
			require.NoError(t, answerOr(p.Submit(t.Context(), poolID, []plan.Submit{submit("task-" + strconv.Itoa(i))})))
		}
		time.Sleep(2 * opts.WorkerTTL) // a reaper that goes by a wrong clock has killed by then
		for i := range 4 {
			task := wantStatus(t, st, domain.TaskID("task-"+strconv.Itoa(i)), domain.StatusRunning)
			require.Equal(t, 1, task.Attempt, "the living keep what they hold")
		}
		require.Zero(t, survivor.run.abandonedCount()+dying.run.abandonedCount())

		cut.set(func(f *faulty) { f.down = true })
		for _, id := range []domain.TaskID{"task-1", "task-3"} {
			wantTask(t, st, id, "a second attempt", func(task domain.Task) bool { return task.Attempt == 2 })
		}
		eventually(t, func() bool { return dying.run.abandonedCount() == 2 }, func() string { return "the dead still runs its tasks" })
		require.Zero(t, survivor.run.abandonedCount())
		wantDatabaseTimes(t, st, poolID, from)
	})
}

func TestPostgresClocksApartLeasesEndByTheDatabase(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, first, second time.Duration) {
		db := dbtest.Postgres(t)
		st := connection(t, db)
		from := databaseTime(t, st)
		create(t, st, newPool(domain.BackendPostgres, func(p *domain.Pool) { p.Runtime = domain.RuntimeWeb }))
		lends, watches := launch(t, skewed(t, db, first), nil), launch(t, skewed(t, db, second), nil)
		require.NoError(t, answerOr(watches.Submit(t.Context(), poolID, submits(2))))
		const ttl = 5 * time.Second
		lent, err := lends.Lease(t.Context(), poolID, plan.Lessee{Worker: "remote", Tasks: 2, TTL: ttl, Secret: []byte("s")}, soon, nil)
		require.NoError(t, err)
		require.Len(t, lent.Leases, 2)
		lends.stop() // who did not lend sees to the end
		kept, silent := lent.Leases[0], lent.Leases[1]
		now := databaseTime(t, st)
		for _, lease := range lent.Leases {
			require.WithinRange(t, lease.ExpiresAt, from.Add(ttl), now.Add(ttl))
		}
		// One is extended until the other has ended.
		eventually(t, func() bool {
			extended, err := st.ExtendLeases(t.Context(), []domain.LeaseID{kept.ID}, time.Time{})
			require.NoError(t, err)
			require.Len(t, extended, 1, "a lease that is extended stays")
			now := databaseTime(t, st)
			require.WithinRange(t, extended[0].ExpiresAt, now, now.Add(ttl))
			left, err := st.ListLeases(t.Context(), store.LeaseFilter{Pool: poolID, Limit: 10})
			require.NoError(t, err)
			return len(left) == 1
		}, func() string { return "the lease of the silent one does not end" })
		task := wantStatus(t, st, lent.Tasks[1].TaskID, domain.StatusFailed)
		require.Equal(t, domain.ReasonWorkerLost, task.Reason.Code)
		require.WithinRange(t, *task.FinishedAt, silent.ExpiresAt, silent.ExpiresAt.Add(soon))
		wantStatus(t, st, lent.Tasks[0].TaskID, domain.StatusRunning)
		wantDatabaseTimes(t, st, poolID, from)
	})
}
