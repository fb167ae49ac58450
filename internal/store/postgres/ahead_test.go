package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// crowd are several processes that take turns of one pool, with room for all that they run.
type crowd struct {
	*bundle

	processes []*postgres.Store
	running   [][]domain.Task // by process, what its last turn started
	ahead     atomic.Int64    // decisions on a turn that was not committed
	renamed   atomic.Int64    // turns that were given another id
	turns     atomic.Int64    // that were taken in run
	rounds    int             // of until
}

const crowdUnits = 100

func setupCrowd(t *testing.T, processes int) *crowd {
	t.Helper()
	c := &crowd{bundle: setup(t, postgres.Options{}, func(p *domain.Pool) { p.MaxUnits = crowdUnits })}
	for range processes {
		c.processes = append(c.processes, open(t, c.db, postgres.Options{MaxConns: 2}))
	}
	c.running = make([][]domain.Task, processes)
	return c
}

// take takes a turn, as often as others come between.
func (c *crowd) take(t *testing.T, process int, rq plan.Requests) plan.Decisions {
	t.Helper()
	for {
		s, id := spec(rq), ""
		decide := s.Decide
		s.Decide = func(snap plan.Snapshot, rq *plan.Requests) plan.Decisions {
			if id != "" && id != rq.TurnID {
				c.renamed.Add(1)
			}
			id = rq.TurnID
			if c.value(t, "SELECT max(turn_no) FROM pl_pool_turns") < snap.Counters.TurnNo {
				c.ahead.Add(1)
			}
			return decide(snap, rq)
		}
		d, err := c.processes[process].Turn(context.WithoutCancel(t.Context()), s)
		if errors.Is(err, store.ErrGuard) {
			continue
		}
		if err != nil {
			t.Error(err)
		}
		return d
	}
}

// run lets every process take turns at once, with the requests that f makes of what its last turn started.
func (c *crowd) run(t *testing.T, turns int, f func(process, turn int, running []domain.Task) plan.Requests) {
	t.Helper()
	var wg sync.WaitGroup
	var peak atomic.Int64
	for p := range c.processes {
		wg.Go(func() {
			for i := range turns {
				d := c.take(t, p, f(p, i, c.running[p]))
				c.running[p] = d.Started
				c.turns.Add(1)
				peak.Store(max(peak.Load(), int64(d.Counters.ActiveUnits)))
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, peak.Load(), int64(crowdUnits))
	c.agrees(t)
	require.Equal(t, c.value(t, "SELECT max(seq) FROM pl_audit_events"), c.value(t, "SELECT count(*) FROM pl_audit_events"))
	require.Zero(t, c.value(t, `SELECT count(*) FROM pl_turn_previews AS a
		JOIN pl_pool_turns AS n ON n.pool_id = a.pool_id AND n.turn_id = a.preview -> 'counters' ->> 'turn_id'
		WHERE (n.turn_no, n.active_units, n.job_seq, n.event_seq, n.message_seq) <> (
			(a.preview -> 'counters' ->> 'turn_no')::bigint, (a.preview -> 'counters' ->> 'active_units')::bigint,
			(a.preview -> 'counters' ->> 'job_seq')::bigint, (a.preview -> 'counters' ->> 'event_seq')::bigint,
			(a.preview -> 'counters' ->> 'message_seq')::bigint)`), "what was announced under the id of a turn is what it wrote")
}

// until runs rounds of 20 turns of every process, until done: on a busy machine
// the processes may do without deciding ahead for a while.
func (c *crowd) until(t *testing.T, done func() bool, f func(process, turn int, running []domain.Task) plan.Requests) {
	t.Helper()
	const rounds, turns = 50, 20
	for range rounds {
		from := c.rounds * turns
		c.rounds++
		c.run(t, turns, func(process, turn int, running []domain.Task) plan.Requests { return f(process, from+turn, running) })
		if done() {
			return
		}
	}
	require.FailNow(t, "it never came to that")
}

func (c *crowd) someAhead() bool { return c.ahead.Load() > 0 }

func submitAndSettle(process, turn int, running []domain.Task) plan.Requests {
	return plan.Requests{Submits: tasks(fmt.Sprintf("p%d-%d", process, turn), 3), Settles: settled(running)}
}

func TestTurnsDecidedAhead(t *testing.T) {
	t.Parallel()
	c := setupCrowd(t, 4)
	c.until(t, c.someAhead, submitAndSettle)
	oldest := c.value(t, "SELECT min(turn_no) FROM pl_turn_previews")
	c.until(t, func() bool { return c.value(t, "SELECT min(turn_no) FROM pl_turn_previews") > oldest }, submitAndSettle)
	require.Equal(t, 3*c.turns.Load(), c.value(t, "SELECT count(*) FROM pl_queue_jobs"))
	require.Equal(t, c.turns.Load(), c.value(t, "SELECT max(turn_no) FROM pl_pool_turns"), "each turn was taken once")
	_, err := c.PruneTurns(t.Context(), "p", 1_000_000)
	require.NoError(t, err)
	require.LessOrEqual(t, c.value(t, "SELECT count(*) FROM pl_turn_previews"), int64(17))
}

// What needs more than is known ahead is read, in the same order.
func TestTurnsThatCannotBeDecidedAhead(t *testing.T) {
	t.Parallel()
	c := setupCrowd(t, 4)
	enough := func() bool { return c.turns.Load() >= 400 }
	c.until(t, enough, func(process, turn int, running []domain.Task) plan.Requests {
		rq := submitAndSettle(process, turn, running)
		switch {
		case turn%7 == 3: // for a tenant that is new
			for i := range rq.Submits {
				rq.Submits[i].Tenant = domain.Tenant(fmt.Sprintf("t%d-%d", process, turn))
			}
		case turn%7 == 5:
			rq.Cancels = []plan.Cancel{{TaskID: "p0-0-0", Actor: "op"}}
		case turn%10 == 9: // more than there is room for, so that some wait
			rq.Submits = tasks(fmt.Sprintf("p%d-%d", process, turn), 60)
		}
		return rq
	})
	c.ahead.Store(0)
	c.until(t, c.someAhead, submitAndSettle)
}

// A task that is sent again is found where rows are inserted. Under the id of a turn that was announced so
// nothing else is ever committed: whoever goes by the announcement would take it for that.
func TestATurnThatWasAnnouncedAndNotTakenGetsAnotherID(t *testing.T) {
	t.Parallel()
	c := setupCrowd(t, 3)
	c.until(t, func() bool { return c.renamed.Load() > 0 }, func(process, turn int, running []domain.Task) plan.Requests {
		rq := submitAndSettle(process, turn, running)
		if turn%10 == 9 {
			rq.Submits = append(rq.Submits, tasks("p0-0", 1)...)
		}
		return rq
	})
	require.Equal(t, 3*c.turns.Load(), c.value(t, "SELECT count(*) FROM pl_queue_jobs"))
	require.Equal(t, c.turns.Load(), c.value(t, "SELECT max(turn_no) FROM pl_pool_turns"), "each turn was taken once")
}

// Whatever is announced, the write is compared with what is so.
func TestAWrongAnnouncementIsFound(t *testing.T) {
	t.Parallel()
	c := setupCrowd(t, 3)
	c.until(t, c.someAhead, submitAndSettle)
	c.renamed.Store(0)
	for i := 0; c.renamed.Load() == 0; i++ {
		require.Less(t, i, 5000, "one is decided on it, and again")
		c.exec(t, `INSERT INTO pl_turn_previews SELECT a.pool_id, a.turn_no + 1,
			jsonb_set(jsonb_set(jsonb_set(a.preview, '{after}', a.preview -> 'counters' -> 'turn_id'), '{counters,turn_id}', '"nobody''s"'),
				'{counters,turn_no}', to_jsonb(a.turn_no + 1))
			FROM pl_turn_previews AS a JOIN pl_pool_turns AS n ON n.pool_id = a.pool_id AND n.turn_no = a.turn_no
			ORDER BY a.turn_no DESC LIMIT 1 ON CONFLICT DO NOTHING`)
		d := c.take(t, i%3, plan.Requests{Submits: tasks(fmt.Sprintf("w-%d", i), 3), Settles: settled(c.running[i%3])})
		c.running[i%3] = d.Started
	}
	require.Zero(t, c.value(t, `SELECT count(*) FROM pl_pool_turns WHERE turn_id = 'nobody''s'`))
	c.agrees(t)
}

// The answer to the announcement is lost: what was announced may be there, and others go by it.
func TestAnAnnouncementThatMayBeThere(t *testing.T) {
	t.Parallel()
	c := setupCrowd(t, 3)
	w := newWire(t, c.db.URL)
	c.processes, c.running = append(c.processes, open(t, c.db, postgres.Options{URL: w.url, MaxConns: 2})), append(c.running, nil)
	c.until(t, c.someAhead, submitAndSettle)
	var others sync.WaitGroup
	var over atomic.Bool
	for p := range 3 {
		others.Go(func() {
			for i := 0; !over.Load(); i++ {
				c.running[p] = c.take(t, p, plan.Requests{Submits: tasks(fmt.Sprintf("o%d-%d", p, i), 3), Settles: settled(c.running[p])}).Started
			}
		})
	}
	announced := ""
	for i := 0; announced == "" && i < 5000 && !t.Failed(); i++ {
		s := spec(plan.Requests{Submits: tasks(fmt.Sprintf("c-%d", i), 3), Settles: settled(c.running[3])})
		decide := s.Decide
		s.Decide = func(snap plan.Snapshot, rq *plan.Requests) plan.Decisions {
			if announced == "" && c.value(t, "SELECT max(turn_no) FROM pl_pool_turns") < snap.Counters.TurnNo {
				announced = rq.TurnID
				w.muteUntil(func() bool {
					var there int
					err := c.db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM pl_turn_previews WHERE preview -> 'counters' ->> 'turn_id' = $1",
						announced).Scan(&there)
					return err != nil || there > 0
				})
			}
			return decide(snap, rq)
		}
		d, err := c.processes[3].Turn(context.WithoutCancel(t.Context()), s)
		if c.running[3] = d.Started; announced == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.NotEqual(t, announced, s.Gather().TurnID)
	}
	over.Store(true)
	others.Wait()
	require.NotEmpty(t, announced)
	c.agrees(t)
}

// A process that stands still while it decides loses its turn with its session; others do without meanwhile.
func TestWhoDecidesAheadStandsStill(t *testing.T) {
	t.Parallel()
	c := setupCrowd(t, 3)
	c.until(t, c.someAhead, submitAndSettle)
	still, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		first := true
		s := spec(plan.Requests{Submits: tasks("still", 1)})
		s.Decide = func(snap plan.Snapshot, rq *plan.Requests) plan.Decisions {
			if first {
				first = false
				close(still)
				<-release
			}
			return plan.Turn(snap, rq)
		}
		_, err := c.processes[0].Turn(context.WithoutCancel(t.Context()), s)
		done <- err
	}()
	<-still
	began := time.Now()
	for i := range 10 {
		c.take(t, 1+i%2, plan.Requests{Submits: tasks(fmt.Sprintf("on-%d", i), 1)})
	}
	require.Less(t, time.Since(began), 10*time.Second)
	close(release)
	require.NoError(t, <-done)
	require.EqualValues(t, 1, c.value(t, "SELECT count(*) FROM pl_queue_jobs WHERE task_id = 'still-0'"))
	c.agrees(t)
	require.Zero(t, c.value(t, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND pid NOT IN (SELECT pid FROM pg_stat_activity WHERE state LIKE '%transaction%' OR state = 'active')`), "no session keeps the lock")
}

// Without previews (another server took over) turns are read, and announced again.
func TestAnnouncementsMayBeLost(t *testing.T) {
	t.Parallel()
	c := setupCrowd(t, 3)
	c.until(t, c.someAhead, submitAndSettle)
	c.ahead.Store(0)
	c.exec(t, "TRUNCATE pl_turn_previews")
	c.until(t, c.someAhead, submitAndSettle)
}
