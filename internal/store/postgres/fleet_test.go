package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// listening runs Listen and returns what it hears.
func listening(t *testing.T, s *postgres.Store) <-chan store.Wake {
	t.Helper()
	heard := make(chan store.Wake, 100)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Listen(ctx, func(w store.Wake) { heard <- w }) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return heard
}

func next(t *testing.T, heard <-chan store.Wake) store.Wake {
	t.Helper()
	select {
	case w := <-heard:
		return w
	case <-time.After(10 * time.Second):
		require.FailNow(t, "nothing was heard")
		return store.Wake{}
	}
}

func silent(t *testing.T, heard <-chan store.Wake) {
	t.Helper()
	select {
	case w := <-heard:
		require.Failf(t, "heard", "%+v", w)
	case <-time.After(300 * time.Millisecond):
	}
}

func TestHintsGoToOtherProcessesOnly(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	one, two := open(t, db, postgres.Options{}), open(t, db, postgres.Options{})
	hint := store.Wake{Pool: "p", Turn: true}
	require.NoError(t, one.Heartbeat(t.Context(), store.Worker{ID: "one", Role: "serve"}, time.Time{}))

	second := listening(t, two)
	require.Equal(t, store.Wake{}, next(t, second), "look at everything after connecting")
	require.NoError(t, one.Wake(t.Context(), []store.Wake{hint}))
	silent(t, second) // nobody else is registered

	first := listening(t, one)
	require.Equal(t, store.Wake{}, next(t, first))
	require.NoError(t, two.Heartbeat(t.Context(), store.Worker{ID: "two", Role: "work"}, time.Time{}))
	require.Eventually(t, func() bool { // the hello travels
		require.NoError(t, one.Wake(t.Context(), []store.Wake{hint}))
		select {
		case w := <-second:
			return w == hint
		case <-time.After(50 * time.Millisecond):
			return false
		}
	}, 10*time.Second, time.Millisecond)
	silent(t, first)

	many := make([]store.Wake, 40)
	for i := range many {
		many[i] = store.Wake{Pool: domain.PoolID(random(200)), Ended: true}
	}
	require.NoError(t, two.Wake(t.Context(), many))
	for i := range many {
		require.Equal(t, many[i], next(t, first))
	}
}

func TestListenConnectsAgain(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	one, two := open(t, db, postgres.Options{}), open(t, db, postgres.Options{})
	require.NoError(t, two.Heartbeat(t.Context(), store.Worker{ID: "two", Role: "serve"}, time.Time{}))
	heard := listening(t, one)
	require.Equal(t, store.Wake{}, next(t, heard))
	_, err := db.Pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
	require.NoError(t, err)
	require.Equal(t, store.Wake{}, next(t, heard), "something may have been missed")
	require.NoError(t, one.Heartbeat(t.Context(), store.Worker{ID: "one", Role: "serve"}, time.Time{}))
	require.NoError(t, two.Wake(t.Context(), []store.Wake{{Pool: "p", Stop: true}}))
	require.Equal(t, store.Wake{Pool: "p", Stop: true}, next(t, heard))
}

// Heartbeats have a connection of their own: every other one may be waiting.
func TestHeartbeatsDoNotQueueBehindTurns(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{MaxConns: 1})
	holding, release := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		s := spec(plan.Requests{Submits: tasks("a", 1)})
		s.Decide = func(snap plan.Snapshot, rq *plan.Requests) plan.Decisions {
			close(holding)
			<-release
			return plan.Turn(snap, rq)
		}
		_, err := b.Turn(t.Context(), s)
		done <- err
	}()
	<-holding
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for range 3 { // the first says hello through the pool, and must not fail for that
		if err := b.Heartbeat(ctx, store.Worker{ID: "w1", Role: "serve"}, time.Time{}); err != nil {
			close(release)
			require.NoError(t, err)
		}
	}
	close(release)
	require.NoError(t, <-done)
}

// riverCarrier stands in for the River runtime's.
type riverCarrier struct {
	missing   int // so many jobs are not told
	err       error
	committed *[]domain.Task // nil: nobody wants to know
}

func (r riverCarrier) Jobs(_ domain.PoolID, tasks []domain.Task) (postgres.RiverJobs, error) {
	jobs := postgres.RiverJobs{Kind: "parkinglot_task", Queue: "p", MaxAttempts: 1}
	for range tasks[r.missing:] {
		jobs.Args, jobs.Priorities = append(jobs.Args, "{}"), append(jobs.Priorities, 1)
	}
	jobs.Committed = func(started []domain.Task) {
		if r.committed != nil {
			*r.committed = append(*r.committed, started...)
		}
	}
	return jobs, r.err
}

// The tasks of jobs that are durable are told as a worker would read them.
func TestTasksAreToldAsTheyWouldBeRead(t *testing.T) {
	t.Parallel()
	var told []domain.Task
	b := setup(t, postgres.Options{Carrier: riverCarrier{committed: &told}}, func(p *domain.Pool) { p.Runtime = domain.RuntimeWorker })
	deadline := time.Now().Add(time.Hour)
	b.turn(t, plan.Requests{Submits: tasks("a", 3, func(s *plan.Submit) {
		s.Labels, s.Payload, s.Deadline = map[string]string{"k": "v"}, []byte(`{"n": 1}`), &deadline
		s.Timeout, s.MaxAttempts = 1500*time.Millisecond, 3
	})})
	require.Len(t, told, 3)
	refs := make([]domain.Ref, len(told))
	for i := range told {
		refs[i] = told[i].Ref()
	}
	read, err := b.Attempts(t.Context(), refs)
	require.NoError(t, err)
	for _, task := range told {
		require.Equal(t, read[task.Ref()], task)
	}
}

func TestWorkerPoolsCarryRiverJobs(t *testing.T) {
	t.Parallel()
	worker := func(p *domain.Pool) { p.Runtime, p.MaxUnits = domain.RuntimeWorker, 4 }
	var committed []domain.Task
	b := setup(t, postgres.Options{Carrier: riverCarrier{committed: &committed}}, worker)
	d := b.turn(t, plan.Requests{Submits: tasks("a", 6)})
	require.Len(t, d.Started, 4)
	for _, task := range d.Started {
		require.NotZero(t, task.RiverJobID)
		require.Equal(t, task.RiverJobID, b.value(t, "SELECT river_job_id FROM pl_queue_jobs WHERE job_id = $1", task.JobID))
	}
	orphans := func() []domain.TaskID {
		list, err := b.Orphans(t.Context(), "p", 0, 100)
		require.NoError(t, err)
		ids := []domain.TaskID{}
		for i := range list {
			ids = append(ids, list[i].TaskID)
		}
		return ids
	}
	require.Empty(t, orphans(), "nobody has attempted them yet")

	require.NoError(t, b.Heartbeat(t.Context(), store.Worker{ID: "alive", Role: "work"}, time.Time{}))
	b.exec(t, "UPDATE river_job SET state = 'running', attempted_by = ARRAY['gone', 'alive'] WHERE id = $1", d.Started[0].RiverJobID)
	b.exec(t, "UPDATE river_job SET state = 'running', attempted_by = ARRAY['alive', 'gone'] WHERE id = $1", d.Started[1].RiverJobID)
	b.exec(t, "DELETE FROM river_job WHERE id = $1", d.Started[2].RiverJobID)
	require.Equal(t, []domain.TaskID{"a-1", "a-2"}, orphans(), "the last attempt counts; a job that is gone is nobody's")
	held, err := b.Held(t.Context(), "p", "alive", 0, 10)
	require.NoError(t, err)
	require.Len(t, held, 1)
	require.Equal(t, domain.TaskID("a-0"), held[0].TaskID)

	// Ended from the queue's side: the River jobs end with it, fetched or not.
	d = b.turn(t, plan.Requests{Settles: settled(d.Started[:1]), Forces: []plan.Force{{TaskID: "a-3", Status: domain.StatusFailed, Actor: "op"}}})
	require.Len(t, d.Started, 2)
	require.EqualValues(t, 3, b.value(t, "SELECT count(*) FROM river_job"))
	require.EqualValues(t, 3, b.value(t, `SELECT count(*) FROM river_job AS r JOIN pl_live_jobs AS j ON j.river_job_id = r.id
		WHERE j.task_id IN ('a-1', 'a-4', 'a-5')`))
	require.Equal(t, d.Started, committed[4:])
	b.agrees(t)
}

// Who cannot say what the River jobs are takes the whole turn with it.
func TestNoRiverJobsNoTurn(t *testing.T) {
	t.Parallel()
	worker := func(p *domain.Pool) { p.Runtime = domain.RuntimeWorker }
	b := setup(t, postgres.Options{}, worker)
	for message, carrier := range map[string]postgres.Carrier{
		"broken":                        riverCarrier{err: errors.New("broken")},
		"1 River jobs for 2 tasks":      riverCarrier{missing: 1},
		"nothing that makes River jobs": nil,
	} {
		_, err := open(t, b.db, postgres.Options{Carrier: carrier}).Turn(t.Context(), spec(plan.Requests{Submits: tasks("a", 2)}))
		require.ErrorContains(t, err, message)
		require.Zero(t, b.value(t, "SELECT (SELECT count(*) FROM river_job) + (SELECT count(*) FROM pl_queue_jobs)"))
	}
	b.agrees(t)
}

// Ids are reserved by the thousand; a turn that needs more than are left gets a new block.
func TestIDsOfRiverJobsAreReserved(t *testing.T) {
	t.Parallel()
	const most = 1500
	worker := func(p *domain.Pool) { p.Runtime, p.MaxUnits = domain.RuntimeWorker, 4*most }
	b := setup(t, postgres.Options{Carrier: riverCarrier{}}, worker)
	seen, last := map[int64]bool{}, int64(0)
	for i := range 4 {
		d := b.turn(t, plan.Requests{Submits: tasks(fmt.Sprintf("t%d", i), most)})
		require.Len(t, d.Started, most)
		for _, task := range d.Started {
			require.Greater(t, task.RiverJobID, last)
			last = task.RiverJobID
			seen[last] = true
		}
	}
	require.Len(t, seen, 4*most)
	require.EqualValues(t, 4*most, b.value(t, `SELECT count(*) FROM pl_queue_jobs AS j JOIN river_job AS r ON r.id = j.river_job_id`))
	require.Less(t, b.value(t, "SELECT last_value FROM river_job_id_seq"), int64(4*4096))
	b.agrees(t)
}

// A sequence that was set back (a restored database, a standby that lagged) makes what was
// reserved before worthless: nobody's request is blamed for that, and the next turn
// reserves anew.
func TestIDsOfRiverJobsThatSomebodyElseHas(t *testing.T) {
	t.Parallel()
	worker := func(p *domain.Pool) { p.Runtime, p.MaxUnits = domain.RuntimeWorker, 10 }
	b := setup(t, postgres.Options{Carrier: riverCarrier{}}, worker)
	other := &bundle{Store: open(t, b.db, postgres.Options{Carrier: riverCarrier{}}), db: b.db}
	b.turn(t, plan.Requests{Submits: tasks("a", 1)})
	b.exec(t, "SELECT setval('river_job_id_seq', (SELECT max(id) FROM river_job))")
	require.Len(t, other.turn(t, plan.Requests{Submits: tasks("b", 4)}).Started, 4)

	again := plan.Requests{Submits: tasks("c", 1)}
	_, err := b.Turn(t.Context(), spec(again))
	require.ErrorIs(t, err, store.ErrGuard)
	require.Len(t, b.turn(t, again).Started, 1)
	b.agrees(t)
}

// A message that commits late is behind no cursor, even one that was handed out when a
// later message of another source was already there.
func TestAMessageThatCommitsLateIsNeverPassedOver(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	b.pool(t, "q")
	late, err := b.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = late.Exec(t.Context(), `INSERT INTO pl_mailbox_messages (source, seq, tenant, user_id, pool_id, task_id, submission, status, created_at)
		VALUES ('q', 1, 'acme', 'u', 'q', 'late', 1, 'completed', now() - interval '1 hour')`)
	require.NoError(t, err)

	d := b.turn(t, plan.Requests{Submits: tasks("a", 1)})
	b.turn(t, plan.Requests{Settles: settled(d.Started)})
	filter := store.MailboxFilter{Tenant: "acme", UserID: "u", Cursor: domain.Cursor{}, Limit: 10}
	read := func() []domain.TaskID {
		list, err := b.Messages(t.Context(), filter)
		require.NoError(t, err)
		ids := []domain.TaskID{}
		for i := range list {
			ids = append(ids, list[i].TaskID)
			filter.Cursor[list[i].Source] = list[i].Seq
		}
		return ids
	}
	require.Equal(t, []domain.TaskID{"a-0"}, read())
	require.NoError(t, late.Commit(t.Context()))
	require.Equal(t, []domain.TaskID{"late"}, read())
	require.Empty(t, read())
}
