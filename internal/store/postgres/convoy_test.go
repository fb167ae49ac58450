package postgres_test

import (
	"errors"
	"fmt"
	"sync"
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

// of is a turn of another pool than p.
func of(pool domain.PoolID, rq plan.Requests) store.TurnSpec {
	s := spec(rq)
	s.Pool = pool
	return s
}

// A turn of a process that knows what its last one left is one round trip, also with a queue
// that this process has made: what starts from it comes with its payload.
func TestATurnThatNeedsNoReadIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	wire := newWire(t, db.URL)
	b := &bundle{Store: open(t, db, postgres.Options{URL: wire.url, MaxConns: 1, Now: time.Now}), db: db}
	b.pool(t, "p", func(p *domain.Pool) { p.Tenants = map[domain.Tenant]domain.TenantPolicy{"acme": {MaxUnits: 4}} })
	far := time.Now().Add(time.Hour)
	running, trips := []domain.Task(nil), 0
	for i := range 6 { // the first ones read, and prepare their statements
		before := wire.tripsSoFar()
		d := b.turn(t, plan.Requests{
			Settles: settled(running), Submits: tasks(fmt.Sprint("t", i), 8, func(s *plan.Submit) { s.Deadline = &far }),
		})
		running = d.Started
		require.Len(t, running, 4)
		for _, task := range running {
			require.JSONEq(t, `{}`, string(task.Payload))
		}
		trips = wire.tripsSoFar() - before
	}
	require.Equal(t, 1, trips)
	b.agrees(t)
}

// Turns of many pools that come together share transactions, each with its own decisions.
func TestTurnsOfManyPoolsShareATransaction(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{Now: time.Now}) // a clock that is known without a quick answer
	const pools, rounds = 40, 5
	for i := range pools {
		b.pool(t, domain.PoolID(fmt.Sprint("pool-", i)))
	}
	var wg sync.WaitGroup
	for i := range pools {
		wg.Go(func() {
			pool, running := domain.PoolID(fmt.Sprint("pool-", i)), []domain.Task(nil)
			for n := range rounds {
				d, err := b.Turn(t.Context(), of(pool, plan.Requests{Settles: settled(running), Submits: tasks(fmt.Sprint("t", n), 3)}))
				if err != nil || len(d.Started) != 3 || d.Started[0].PoolID != pool || len(d.Ended) != len(running) {
					t.Errorf("%s: %d started, %d ended: %v", pool, len(d.Started), len(d.Ended), err)
					return
				}
				running = d.Started
			}
		})
	}
	wg.Wait()
	transactions := b.value(t, "SELECT count(DISTINCT xmin::text) FROM pl_pool_turns WHERE turn_no > 0")
	require.Less(t, transactions, int64(pools*rounds/2), "of %d turns", pools*rounds)
	for i := range pools {
		pool := domain.PoolID(fmt.Sprint("pool-", i))
		diffs, err := b.Reconcile(t.Context(), pool)
		require.NoError(t, err)
		require.Empty(t, diffs)
	}
}

// together takes all turns at once, so that most of them travel together, and returns what each
// was answered; a panic is an answer, too.
func together(t *testing.T, b *bundle, specs ...store.TurnSpec) (answers []error) {
	answers = make([]error, len(specs))
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range specs {
		wg.Go(func() {
			<-begin
			func() {
				defer func() {
					if p := recover(); p != nil {
						answers[i] = fmt.Errorf("panic: %v", p)
					}
				}()
				_, answers[i] = b.Turn(t.Context(), specs[i])
			}()
		})
	}
	close(begin)
	wg.Wait()
	return answers
}

// What goes wrong with one turn of a convoy is that turn's, whatever it is: the others are taken.
func TestOthersDoNotSufferForOneTurn(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	other := &bundle{Store: open(t, b.db, postgres.Options{}), db: b.db}
	const pools = 12
	name := func(i int) domain.PoolID { return domain.PoolID(fmt.Sprint("pool-", i)) }
	for i := range pools {
		b.pool(t, name(i))
	}
	poison := func(s *plan.Submit) { s.Payload = []byte("\"\xff\"") }
	for round := range 6 {
		for i := range pools { // each is known to b alone
			_, err := b.Turn(t.Context(), of(name(i), plan.Requests{Submits: tasks(fmt.Sprint("ready-", round), 1)}))
			require.NoError(t, err)
		}
		_, err := other.Turn(t.Context(), of(name(1), plan.Requests{Submits: tasks(fmt.Sprint("other-", round), 1)}))
		require.NoError(t, err)
		specs := make([]store.TurnSpec, pools)
		for i := range pools {
			specs[i] = of(name(i), plan.Requests{Submits: tasks(fmt.Sprint("t-", round), 1)})
		}
		specs[0] = of(name(0), plan.Requests{Submits: tasks(fmt.Sprint("bad-", round), 1, poison)})
		specs[2] = of(name(2), plan.Requests{Submits: tasks(fmt.Sprint("ready-", round), 1)}) // sent again
		specs[3].Decide = func(plan.Snapshot, *plan.Requests) plan.Decisions { panic("of one pool") }
		answers := together(t, b, specs...)
		require.ErrorIs(t, answers[0], store.ErrData)
		require.ErrorContains(t, answers[3], "of one pool")
		answers[0], answers[3] = nil, nil
		require.NoError(t, errors.Join(answers...))
	}
	for i := range pools {
		want := map[int]int64{0: 6, 1: 18, 2: 6, 3: 6}[i]
		if i > 3 {
			want = 12
		}
		require.Equal(t, want, b.value(t, "SELECT count(*) FROM pl_queue_jobs WHERE pool_id = $1", string(name(i))), name(i))
		diffs, err := b.Reconcile(t.Context(), name(i))
		require.NoError(t, err)
		require.Empty(t, diffs)
	}
}

// A turn that was decided by a clock that turns out to be wrong is decided again by the right one.
func TestAWrongClockIsNoticed(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Now().Add(time.Minute) // after the pool was made
	clock := func(ahead time.Duration) time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(ahead)
		return now
	}
	b := setup(t, postgres.Options{Now: func() time.Time { return clock(0) }})
	b.turn(t, plan.Requests{Submits: tasks("a", 1)})
	for i, wrong := range []time.Duration{2 * time.Second, -200 * time.Millisecond} {
		var decided []time.Time
		s := spec(plan.Requests{Submits: tasks(fmt.Sprint("b", i), 1)})
		s.Decide = func(snap plan.Snapshot, rq *plan.Requests) plan.Decisions {
			if decided = append(decided, snap.Now); len(decided) == 1 {
				clock(wrong)
			}
			return plan.Turn(snap, rq)
		}
		d, err := b.Turn(t.Context(), s)
		require.NoError(t, err)
		require.Len(t, decided, 2)
		require.Equal(t, decided[1], d.Now)
		require.False(t, d.Now.Before(decided[0]), "a pool's clock never runs backwards")
		b.turn(t, plan.Requests{Submits: tasks(uuid.NewString(), 1)})
	}
	b.agrees(t)
}

// A row of the queue that somebody changed by hand refuses a turn once or twice, not for ever.
func TestAQueuedRowChangedByHandIsFound(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	wire := newWire(t, db.URL)
	b := &bundle{Store: open(t, db, postgres.Options{URL: wire.url, MaxConns: 1, Now: time.Now}), db: db}
	b.pool(t, "p", func(p *domain.Pool) { p.MaxUnits, p.Policy = 1, domain.PolicyFIFO })
	b.turn(t, plan.Requests{Submits: tasks("a", 8)})
	running := b.turn(t, plan.Requests{Submits: tasks("b", 1)})
	require.Empty(t, running.Started)
	b.exec(t, "UPDATE pl_queue_jobs SET attempt = 3, max_attempts = 5 WHERE task_id = 'a-1'") // the front
	started := b.value(t, "SELECT job_id FROM pl_running_jobs")
	trips := 0
	for i := range 5 {
		before := wire.tripsSoFar()
		d := b.turn(t, plan.Requests{
			Settles: []plan.Settle{{Ref: domain.Ref{PoolID: "p", JobID: domain.JobID(started), Attempt: 1}, Units: 1, Verdict: plan.VerdictCompleted}},
			Submits: tasks(fmt.Sprint("c", i), 1),
		})
		if i == 0 {
			require.Equal(t, domain.TaskID("a-1"), d.Started[0].TaskID)
			require.Equal(t, 4, d.Started[0].Attempt, "by the row")
			d = b.turn(t, plan.Requests{Settles: settled(d.Started)})
		}
		require.Len(t, d.Started, 1)
		started = int64(d.Started[0].JobID)
		trips = wire.tripsSoFar() - before
	}
	require.Equal(t, 1, trips)
	b.agrees(t)
}

// Until another process is told, what it knows of the pool is wrong every time: nothing is
// decided by it, whichever of the two was right last.
func TestTwoProcessesInTurn(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{}, func(p *domain.Pool) { p.MaxUnits = 3 })
	stores := []*bundle{b, {Store: open(t, b.db, postgres.Options{}), db: b.db}}
	running := map[domain.JobID]domain.Task{}
	for i := range 60 {
		at := stores[i/7%2] // several turns by one, then by the other
		var ended []domain.Task
		for _, task := range running {
			if len(ended) < 1 {
				ended = append(ended, task)
			}
		}
		d := at.turn(t, plan.Requests{Settles: settled(ended), Submits: tasks(fmt.Sprint("t", i), 2)})
		require.Len(t, d.Ended, len(ended))
		for _, task := range d.Ended {
			delete(running, task.JobID)
		}
		for _, task := range d.Started {
			running[task.JobID] = task
		}
		require.Len(t, running, min(3, i+2))
	}
	b.agrees(t)
}

// A task that is sent again is looked up before it is refused, also where what a turn needs is
// read before its requests are known: then nothing is written that would find it.
func TestAKnownTaskIsNotRefusedUnread(t *testing.T) {
	t.Parallel()
	b := crowded(t)
	never := units(1_000_000) // can never start, were it new
	d := b.turn(t, plan.Requests{Submits: tasks("a", 1, never)})
	require.Nil(t, d.Answers.Submits[0].Err)
	require.Equal(t, domain.TaskID("a-0"), d.Answers.Submits[0].Task.TaskID)
	d = b.turn(t, plan.Requests{Submits: tasks("d", 1, never)})
	require.Equal(t, domain.CodeInvalid, d.Answers.Submits[0].Err.Code)
	b.agrees(t)
}

// crowded is a store that expects others to have the pool's lock: it has had to wait for one that
// had submitted a-0 before.
func crowded(t *testing.T) *bundle {
	t.Helper()
	b := setup(t, postgres.Options{})
	other := &bundle{Store: open(t, b.db, postgres.Options{}), db: b.db}
	other.turn(t, plan.Requests{Submits: tasks("a", 1)})
	waits := make(chan error, 1)
	holding := spec(plan.Requests{Submits: tasks("crowd", 1)})
	holding.Decide = func(snap plan.Snapshot, rq *plan.Requests) plan.Decisions {
		go func() {
			_, err := b.Turn(t.Context(), spec(plan.Requests{Submits: tasks("crowded", 1)}))
			waits <- err
		}()
		require.Eventually(t, func() bool {
			return b.value(t, `SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
				WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()`) > 0
		}, time.Second, 5*time.Millisecond)
		return plan.Turn(snap, rq)
	}
	_, err := other.Turn(t.Context(), holding)
	require.NoError(t, err)
	require.NoError(t, <-waits)
	return b
}

// What was asked for while a turn waited for the lock or was being made is not dated before that: an executor
// that had left by then would seem to have stayed on.
func TestNothingIsDatedBeforeItWasAskedFor(t *testing.T) {
	t.Parallel()
	b := crowded(t)
	for i := range 6 { // crowded at first, then alone with the pool
		var asked time.Time
		s := spec(plan.Requests{})
		s.Gather = func() *plan.Requests {
			time.Sleep(100 * time.Millisecond)
			require.NoError(t, b.db.Pool.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&asked))
			return &plan.Requests{TurnID: uuid.NewString(), Worker: "w1", Submits: tasks(fmt.Sprint("t", i), 1)}
		}
		d, err := b.Turn(t.Context(), s)
		require.NoError(t, err)
		require.Less(t, asked.Sub(d.Now), 50*time.Millisecond, "turn %d", i)
	}
	b.agrees(t)
}
