package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// The last line of defence: not even plain SQL takes a pool over its ceiling.
func TestTheDatabaseItselfRefusesToGoOverCapacity(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	b.turn(t, plan.Requests{Submits: tasks("a", 10)})

	_, err := b.db.Pool.Exec(t.Context(), `
		INSERT INTO pl_pool_turns
		SELECT pool_id, turn_no + 1, 'psql', now(), active_units + 1, ceiling, running + 1, queued, queued_low, queued_normal,
		       queued_high, queued_critical, waiting, virtual_time, job_seq, rank_seq, event_seq, message_seq, next_due_at
		FROM pl_pool_turns ORDER BY turn_no DESC LIMIT 1`)
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg)
	require.Equal(t, "pl_pool_turns_capacity", pg.ConstraintName)

	over := spec(plan.Requests{Submits: tasks("b", 1)})
	over.Decide = func(s plan.Snapshot, rq *plan.Requests) plan.Decisions {
		s.Pool.MaxUnits = 11 // a plan that is wrong about the pool
		d := plan.Turn(s, rq)
		d.Counters.Ceiling = 10
		return d
	}
	_, err = b.Turn(t.Context(), over)
	require.ErrorIs(t, err, store.ErrData)
	require.EqualValues(t, 10, b.value(t, "SELECT count(*) FROM pl_queue_jobs"))
	b.agrees(t)
}

// Several processes on one pool: whatever the interleaving, no turn is lost and none
// is decided on what another has changed since.
func TestProcessesRaceOnOnePool(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{}, func(p *domain.Pool) { p.MaxUnits = 7 })
	const processes, turns = 4, 25
	var wg sync.WaitGroup
	var peak atomic.Int64
	for p := range processes {
		s := open(t, b.db, postgres.Options{MaxConns: 2})
		wg.Go(func() {
			var running []domain.Task
			for i := range turns {
				rq := plan.Requests{Submits: tasks(fmt.Sprintf("p%d-%d", p, i), 2, units(domain.Units(1+i%3))), Settles: settled(running)}
				for {
					d, err := s.Turn(context.WithoutCancel(t.Context()), spec(rq))
					if errors.Is(err, store.ErrGuard) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					running = d.Started
					peak.Store(max(peak.Load(), int64(d.Counters.ActiveUnits)))
					break
				}
			}
		})
	}
	wg.Wait()
	b.agrees(t)
	require.LessOrEqual(t, peak.Load(), int64(7))
	require.EqualValues(t, processes*turns*2, b.value(t, "SELECT count(*) FROM pl_queue_jobs"))
	require.Equal(t, b.value(t, "SELECT max(seq) FROM pl_audit_events"), b.value(t, "SELECT count(*) FROM pl_audit_events"))
}

// Under contention a turn gathers after the lock, so that it takes along what came
// while it waited.
func TestGatherAgainAfterWaiting(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	holding, release := make(chan struct{}), make(chan struct{})
	held := make(chan error, 1)
	go func() {
		first := spec(plan.Requests{Submits: tasks("first", 1)})
		first.Decide = func(s plan.Snapshot, rq *plan.Requests) plan.Decisions {
			close(holding)
			<-release
			return plan.Turn(s, rq)
		}
		_, err := b.Turn(t.Context(), first)
		held <- err
	}()
	<-holding
	gathered := 0
	second := spec(plan.Requests{})
	second.Gather = func() *plan.Requests {
		gathered++
		if gathered == 1 {
			time.AfterFunc(100*time.Millisecond, func() { close(release) })
		}
		return &plan.Requests{TurnID: uuid.NewString(), Worker: "w2", Submits: tasks("second", gathered)}
	}
	d, err := b.Turn(t.Context(), second)
	require.NoError(t, err)
	require.NoError(t, <-held)
	require.Equal(t, 2, gathered)
	require.Len(t, d.Started, 2)
	require.EqualValues(t, 2, d.Counters.TurnNo, "it read what the first turn had written")
	b.agrees(t)
}

// A process that stands still between the two round trips is thrown out, and the pool
// goes on without it.
func TestAFrozenHolderDoesNotHoldThePool(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	other := open(t, b.db, postgres.Options{})
	holding, release := make(chan struct{}), make(chan struct{})
	frozen := make(chan error, 1)
	var decided plan.Decisions
	go func() {
		s := spec(plan.Requests{Submits: tasks("frozen", 1)})
		s.Decide = func(snap plan.Snapshot, rq *plan.Requests) plan.Decisions {
			close(holding)
			<-release
			decided = plan.Turn(snap, rq)
			return decided
		}
		_, err := b.Turn(t.Context(), s)
		frozen <- err
	}()
	<-holding
	start := time.Now()
	_, err := other.Turn(t.Context(), spec(plan.Requests{Submits: tasks("other", 1)}))
	require.NoError(t, err)
	require.Less(t, time.Since(start), 4*time.Second)

	close(release)
	err = <-frozen
	require.Error(t, err)
	if !errors.Is(err, store.ErrCommitUnknown) {
		require.ErrorIs(t, err, store.ErrUnavailable)
	}
	committed, err := b.TurnCommitted(t.Context(), "p", decided.Counters.TurnNo, decided.Counters.TurnID)
	require.NoError(t, err)
	require.False(t, committed)
	b.agrees(t)
}

// Somebody in psql holds the head of the queue locked: the turn that meets it fails at
// once, and the next one starts the others.
func TestALockedRowHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	full := b.turn(t, plan.Requests{Submits: tasks("full", 1, units(10))})
	b.turn(t, plan.Requests{Submits: tasks("waits", 3)})
	psql, err := b.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = psql.Exec(t.Context(), "SELECT FROM pl_queue_jobs WHERE task_id = 'waits-0' FOR UPDATE")
	require.NoError(t, err)

	rq := plan.Requests{Settles: settled(full.Started)}
	_, err = b.Turn(t.Context(), spec(rq))
	require.ErrorIs(t, err, store.ErrGuard)
	d := b.turn(t, rq)
	require.Len(t, d.Started, 2, "the others start past the locked one")
	b.agrees(t)

	require.NoError(t, psql.Rollback(t.Context()))
	d = b.turn(t, plan.Requests{})
	require.Len(t, d.Started, 1)
	require.Equal(t, domain.TaskID("waits-0"), d.Started[0].TaskID)
	b.agrees(t)
}

// A row that was changed by hand since it was read makes the whole turn fail.
func TestAGuardThatDoesNotHoldWritesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	d := b.turn(t, plan.Requests{Submits: tasks("a", 2)})
	s := spec(plan.Requests{Settles: settled(d.Started)})
	s.Decide = func(snap plan.Snapshot, rq *plan.Requests) plan.Decisions {
		b.exec(t, "UPDATE pl_queue_jobs SET attempt = 2, max_attempts = 2 WHERE task_id = 'a-1'")
		return plan.Turn(snap, rq)
	}
	_, err := open(t, b.db, postgres.Options{}).Turn(t.Context(), s) // which recalls nothing
	require.ErrorIs(t, err, store.ErrGuard)
	require.ErrorContains(t, err, "1 of 2 rows of tasks")
	require.EqualValues(t, 2, b.value(t, "SELECT count(*) FROM pl_queue_jobs WHERE status = 'running'"))
	require.EqualValues(t, 1, b.value(t, "SELECT max(turn_no) FROM pl_pool_turns"))
}

// A number that a turn gives out and that is taken says that what it read was old, not that a
// request is at fault: the key over turns does not stand alone.
func TestATakenNumberIsErrGuard(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	b.turn(t, plan.Requests{Submits: tasks("a", 1)})
	for name, behind := range map[string]func(*domain.Counters){
		"turn":  func(c *domain.Counters) { c.TurnNo-- },
		"event": func(c *domain.Counters) { c.EventSeq-- },
		"job":   func(c *domain.Counters) { c.JobSeq-- },
	} {
		s := spec(plan.Requests{Submits: tasks("b", 1)})
		s.Decide = func(snap plan.Snapshot, rq *plan.Requests) plan.Decisions {
			behind(&snap.Counters)
			return plan.Turn(snap, rq)
		}
		_, err := b.Turn(t.Context(), s)
		require.ErrorIs(t, err, store.ErrGuard, name)
		require.NotErrorIs(t, err, store.ErrData, name)
	}
	require.EqualValues(t, 1, b.value(t, "SELECT count(*) FROM pl_queue_jobs"))
	b.agrees(t)
}

// What Postgres refuses as data is told apart from everything else, so that the
// request that is the cause can be found.
func TestPoisonIsErrData(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	for name, poison := range map[string]func(*plan.Submit){
		"NUL in text":        func(s *plan.Submit) { s.Executor = "a\x00b" },
		"NUL in jsonb":       func(s *plan.Submit) { s.Labels = map[string]string{"k": "a\x00b"} },
		"not UTF-8":          func(s *plan.Submit) { s.Payload = []byte("\"\xff\"") },
		"an index row's max": func(s *plan.Submit) { s.TaskID = domain.TaskID(random(9000)) },
	} {
		_, err := b.Turn(t.Context(), spec(plan.Requests{Submits: append(tasks("good", 1), tasks("bad", 1, poison)...)}))
		require.ErrorIs(t, err, store.ErrData, name)
	}
	require.Zero(t, b.value(t, "SELECT count(*) FROM pl_queue_jobs"))
	b.turn(t, plan.Requests{Submits: tasks("good", 1)})
	b.agrees(t)
}

// random returns n hex digits that do not compress away.
func random(n int) string {
	s := ""
	for len(s) < n {
		s += uuid.NewString()
	}
	return s[:n]
}

// A turn that finds no partition for its day makes them and asks to be taken again.
func TestAuditPartitionsAreMadeAhead(t *testing.T) {
	t.Parallel()
	now := time.Date(2031, time.March, 1, 23, 59, 59, 0, time.UTC)
	b := setup(t, postgres.Options{Now: func() time.Time { return now }})
	partitions := func() int64 {
		return b.value(t, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'pl_audit_events'::regclass")
	}
	require.EqualValues(t, 9, partitions(), "from yesterday to a week ahead")
	require.NoError(t, b.EnsureAudit(t.Context(), now))
	require.EqualValues(t, 9, partitions())

	now = now.AddDate(0, 0, 30) // nobody has called EnsureAudit for a month
	_, err := b.Turn(t.Context(), spec(plan.Requests{Submits: tasks("a", 1)}))
	require.ErrorIs(t, err, store.ErrGuard)
	b.turn(t, plan.Requests{Submits: tasks("a", 1)})
	require.EqualValues(t, 18, partitions())
	b.agrees(t)
}

// The clock of a turn is read after the wait for the lock, and never runs backwards.
func TestNowIsReadAfterTheLock(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	d := b.turn(t, plan.Requests{Submits: tasks("a", 1)})
	require.WithinDuration(t, time.Now(), d.Now, 10*time.Second)

	b.exec(t, "UPDATE pl_pool_turns SET at = at + interval '1 hour'")
	other := &bundle{Store: open(t, b.db, postgres.Options{}), db: b.db} // recalls nothing
	later := other.turn(t, plan.Requests{Submits: tasks("b", 1)})
	require.Greater(t, later.Now.Sub(d.Now), 59*time.Minute)
}
