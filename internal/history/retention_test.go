package history_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
	"github.com/parkinglot/parkinglot/internal/store/storetest"
)

// What is kept of the days that live makes.
const (
	keptAudit  = 48 * time.Hour
	keptTasks  = 30 * time.Hour
	keptUnread = 40 * time.Hour
	keptRead   = time.Hour
)

// life is days of a pool's work, taken turn by turn with a clock that is moved.
type life struct {
	t     *testing.T
	store store.Store
	clock *storetest.Clock
	rnd   *rand.Rand
	turns int
	runs  []domain.Task
	again []domain.TaskID // rejected: may come again
}

func (l *life) turn(rq plan.Requests) plan.Decisions {
	l.t.Helper()
	l.turns++
	rq.TurnID, rq.Worker = fmt.Sprint("turn-", l.turns), "host-1-a"
	d, err := l.store.Turn(l.t.Context(), store.TurnSpec{
		Pool: pool, Gather: func() *plan.Requests { return &rq }, Decide: plan.Turn,
	})
	require.NoError(l.t, err)
	l.runs = append(l.runs, d.Started...)
	return d
}

func submission(id domain.TaskID, units domain.Units) plan.Submit {
	hash, user := sha256.Sum256([]byte(id)), "ada"
	if units == 3 {
		user = "bob" // who never comes
	}
	return plan.Submit{
		TaskID: id, BodyHash: hash[:], Tenant: "acme", Priority: domain.PriorityNormal, Units: units, Executor: "default",
		Mailbox: &domain.MailboxKey{Tenant: "acme", UserID: user}, Payload: []byte("{}"),
	}
}

// live lets five days pass. A task runs and another one waits from the first to the last.
func (l *life) live() {
	ctx := l.t.Context()
	_, err := l.store.CreatePool(ctx, domain.Pool{
		PoolID: pool, Name: "LLM", State: domain.PoolActive, MaxUnits: 10, MaxQueueDepth: 6, DefaultTimeout: 1000 * time.Hour,
		QueueBackend: l.store.Backend(), MailboxBackend: l.store.Backend(), Runtime: domain.RuntimeNative,
		Policy: domain.PolicyPriority, ResourceKind: domain.KindCPU, MaxOvertakes: 1_000_000, MaxAttempts: 2,
		RetryBackoff: domain.Backoff{Base: time.Minute, Max: 2 * time.Minute}, Executors: []string{"default"},
	}, l.clock.Now())
	require.NoError(l.t, err)
	l.turn(plan.Requests{Submits: []plan.Submit{submission("runs", 2), submission("waits", 10)}})
	l.runs = nil
	for step, until := 0, l.clock.Now().Add(5*24*time.Hour); l.clock.Now().Before(until); step++ {
		require.NoError(l.t, l.store.EnsureAudit(ctx, l.clock.Advance(time.Duration(1+l.rnd.IntN(25))*time.Minute)))
		var rq plan.Requests
		for range l.rnd.IntN(4) {
			rq.Submits = append(rq.Submits, submission(domain.TaskID(fmt.Sprintf("t%d-%d", step, len(rq.Submits))), domain.Units(1+l.rnd.IntN(4))))
		}
		if len(l.again) > 0 {
			rq.Submits = append(rq.Submits, submission(l.again[0], 1))
			l.again = l.again[1:]
		}
		for len(l.runs) > 0 && l.rnd.IntN(4) > 0 {
			task := l.runs[0]
			l.runs = l.runs[1:]
			settle := plan.Settle{Ref: task.Ref(), Units: task.Units, Verdict: plan.VerdictCompleted}
			if l.rnd.IntN(5) == 0 {
				settle.Verdict, settle.Retryable, settle.Reason.Code = plan.VerdictFailed, true, domain.ReasonExecutorFailed
			}
			rq.Settles = append(rq.Settles, settle)
		}
		d := l.turn(rq)
		for i, a := range d.Answers.Submits {
			if a.Err != nil && a.Err.Code == domain.CodeQueueFull {
				l.again = append(l.again, rq.Submits[i].TaskID)
			}
		}
		if l.rnd.IntN(6) == 0 {
			l.acknowledge()
		}
	}
}

// acknowledge reads some of Ada's mailbox and says so.
func (l *life) acknowledge() {
	f := store.MailboxFilter{Tenant: "acme", UserID: "ada", Limit: 1 + l.rnd.IntN(50)}
	messages, err := l.store.Messages(l.t.Context(), f)
	require.NoError(l.t, err)
	if len(messages) > 0 {
		_, err = l.store.Acknowledge(l.t.Context(), f, domain.Cursor{domain.Source(pool): messages[len(messages)-1].Seq}, time.Time{})
		require.NoError(l.t, err)
	}
}

// retain deletes what has been kept long enough, all of it.
func (l *life) retain() {
	ctx := l.t.Context()
	all := func(sweep func() (int64, error)) {
		for {
			n, err := sweep()
			require.NoError(l.t, err)
			if n == 0 {
				return
			}
		}
	}
	all(func() (int64, error) {
		swept, err := l.store.SweepTasks(ctx, pool, keptTasks, 0)
		return swept.Deleted, err
	})
	all(func() (int64, error) { return l.store.SweepMessages(ctx, keptUnread, keptRead) })
	all(func() (int64, error) { return l.store.SweepAudit(ctx, keptAudit) })
	all(func() (int64, error) { return l.store.PruneTurns(ctx, pool, 1) })
}

func (l *life) check() history.Report {
	l.t.Helper()
	report, err := history.Check(l.t.Context(), history.Stores{l.store}, history.Options{Keep: 100, Spill: 1 << 10})
	require.NoError(l.t, err)
	return report
}

// forgeries are changes of what retention has left, in SQL that both dialects have, and
// what then is said.
var forgeries = map[string]struct {
	sql  string
	says string
}{
	"an event is gone": {
		"DELETE FROM pl_audit_events WHERE seq = (SELECT min(e.seq) + 30 FROM pl_audit_events AS e)", "are missing before it",
	},
	"the first event is gone": {
		"DELETE FROM pl_audit_events WHERE seq = (SELECT min(e.seq) FROM pl_audit_events AS e)", "are missing before it",
	},
	"a start took more": {
		"UPDATE pl_audit_events SET units = units + 9 WHERE seq = (SELECT max(e.seq) FROM pl_audit_events AS e WHERE e.kind = 'start')",
		"max_units is 10",
	},
	"a row is gone": {
		"DELETE FROM pl_queue_jobs WHERE job_id = (SELECT max(j.job_id) FROM pl_queue_jobs AS j WHERE j.status = 'completed')",
		"its row is missing",
	},
	"a row says something else": {
		"UPDATE pl_queue_jobs SET reason_code = 'x' WHERE job_id = (SELECT min(j.job_id) FROM pl_queue_jobs AS j WHERE j.status = 'completed')",
		`the row has reason "x"`,
	},
	"what runs from before the checkpoint is gone": {
		"DELETE FROM pl_queue_jobs WHERE task_id = 'runs'", "the trail leaves 1 running with 2 units and 1 queued; the rows have 0 with 0, and 1",
	},
	"what waits from before the checkpoint is gone": {
		"DELETE FROM pl_queue_jobs WHERE task_id = 'waits'", "the rows have 1 with 2, and 0",
	},
	"a message is gone": {
		"DELETE FROM pl_mailbox_messages WHERE seq = (SELECT max(m.seq) FROM pl_mailbox_messages AS m)", "its mailbox has no message",
	},
	"more messages are gone than were acknowledged": {
		"UPDATE pl_horizons SET deleted = 3 WHERE what = 'acknowledged'", "have no message; 3 messages were deleted",
	},
	"a message says something else": {
		"UPDATE pl_mailbox_messages SET status = 'dropped' WHERE seq = (SELECT min(m.seq) FROM pl_mailbox_messages AS m)",
		"the message says dropped",
	},
	"a message twice": {
		`INSERT INTO pl_mailbox_messages (source, seq, tenant, pool_id, task_id, job_id, submission, status, created_at)
			SELECT m.source, m.seq + 1000, m.tenant, m.pool_id, 'nobody', 1000000, 1, m.status, m.created_at
			FROM pl_mailbox_messages AS m ORDER BY m.seq DESC LIMIT 1`, "a message for a task without events",
	},
	"another balance": {
		"UPDATE pl_pool_turns SET waiting = waiting + 1 WHERE turn_no = (SELECT min(t.turn_no) FROM pl_pool_turns AS t)",
		"queued + waiting is",
	},
}

// requireProven: what retention has left is proven, from the checkpoint on.
func (l *life) requireProven() {
	l.t.Helper()
	whole := l.check()
	require.Empty(l.t, whole.First)
	require.Nil(l.t, whole.Pools[0].Since)
	l.retain()
	report := l.check()
	require.Empty(l.t, report.First)
	since := report.Pools[0].Since
	require.NotNil(l.t, since)
	require.Positive(l.t, since.Seq)
	require.GreaterOrEqual(l.t, since.Running, int64(1))
	require.Less(l.t, report.Events, whole.Events)
	require.Equal(l.t, whole.Events, since.Seq+report.Events)
	origin, err := history.Stores{l.store}.Origin(l.t.Context(), domain.Source(pool))
	require.NoError(l.t, err)
	require.False(l.t, origin.Tasks.IsZero() || origin.Unread.IsZero() || origin.Acknowledged.IsZero(), "%+v", origin)
}

func TestCheckProvesWhatRetentionLeftInAFile(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	open := func(t *testing.T, path string) *sqlite.Store {
		t.Helper()
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Now: clock.Now})
		require.NoError(t, err)
		return s
	}
	path := filepath.Join(t.TempDir(), "pl.db")
	s := open(t, path)
	l := &life{t: t, store: s, clock: clock, rnd: rand.New(rand.NewPCG(1, 2))}
	l.live()
	l.requireProven()
	require.NoError(t, s.Close())
	original, err := os.ReadFile(path)
	require.NoError(t, err)
	for name, forgery := range forgeries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "pl.db")
			require.NoError(t, os.WriteFile(path, original, 0o600))
			db, err := sql.Open("sqlite", path)
			require.NoError(t, err)
			_, err = db.ExecContext(t.Context(), forgery.sql)
			require.NoError(t, err)
			require.NoError(t, db.Close())
			s := open(t, path)
			defer func() { require.NoError(t, s.Close()) }()
			l := &life{t: t, store: s, clock: clock}
			require.Contains(t, fmt.Sprint(l.check().First), forgery.says)
		})
	}
}

func TestCheckProvesWhatRetentionLeftInPostgres(t *testing.T) {
	t.Parallel()
	db, clock := dbtest.Postgres(t), storetest.NewClock()
	s, err := postgres.Open(t.Context(), postgres.Options{URL: db.URL, Schema: db.Schema, Now: clock.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	l := &life{t: t, store: s, clock: clock, rnd: rand.New(rand.NewPCG(3, 4))}
	l.live()
	l.requireProven()
	exec := func(statement string) {
		_, err := db.Pool.Exec(context.WithoutCancel(t.Context()), statement)
		require.NoError(t, err)
	}
	tables := []string{"pl_audit_events", "pl_queue_jobs", "pl_mailbox_messages", "pl_pool_turns", "pl_horizons"}
	for _, table := range tables {
		exec("CREATE TABLE saved_" + table + " AS SELECT * FROM " + table)
	}
	for name, forgery := range forgeries {
		exec(forgery.sql)
		require.Contains(t, fmt.Sprint(l.check().First), forgery.says, name)
		for _, table := range tables {
			exec("DELETE FROM " + table)
			exec("INSERT INTO " + table + " SELECT * FROM saved_" + table)
		}
	}
	require.Empty(t, l.check().First, "put back as it was")
}
