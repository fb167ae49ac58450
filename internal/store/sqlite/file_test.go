package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
)

// childFile is set for a copy of this test binary that is to be killed.
const childFile = "PARKINGLOT_TEST_SQLITE_CHILD"

// TestMain lets the test binary be the process that TestKill kills.
func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		child(path)
	}
	os.Exit(m.Run())
}

// child opens the file, starts and queues a task, says so, and waits for its end.
func child(path string) {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Options{Path: path})
	if err == nil {
		err = s.Heartbeat(ctx, store.Worker{ID: "doomed", Role: "serve", PID: os.Getpid(), StartedAt: time.Now()}, time.Time{})
	}
	if err == nil {
		err = createPool(ctx, s)
	}
	if err == nil {
		_, err = submit(ctx, s, "doomed", "running", "queued")
	}
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString("ready\n")
	select {}
}

func createPool(ctx context.Context, s store.Store) error {
	_, err := s.CreatePool(ctx, domain.Pool{
		PoolID: "p", Name: "p", State: domain.PoolActive, MaxUnits: 1, MaxQueueDepth: 1000, DefaultTimeout: time.Minute,
		QueueBackend: s.Backend(), MailboxBackend: s.Backend(), Runtime: domain.RuntimeNative, Policy: domain.PolicyFIFO,
		ResourceKind: domain.KindCPU, MaxAttempts: 3,
	}, time.Time{})
	return err
}

func submit(ctx context.Context, s store.Store, worker domain.WorkerID, ids ...domain.TaskID) (plan.Decisions, error) {
	rq := &plan.Requests{TurnID: "t", Worker: worker}
	for _, id := range ids {
		rq.Submits = append(rq.Submits, plan.Submit{
			TaskID: id, BodyHash: []byte(id), Tenant: "acme", Priority: domain.PriorityNormal, Units: 1, Executor: "default",
			Payload: []byte(`"of ` + id + `"`),
		})
	}
	return s.Turn(ctx, store.TurnSpec{Pool: "p", Gather: func() *plan.Requests { return rq }, Decide: plan.Turn})
}

// TestKill kills a process that has a task running: everything that it had committed
// is there, and what it held is an orphan as soon as the file is open again.
func TestKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kill.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childFile+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)

	_, err = sqlite.Open(t.Context(), sqlite.Options{Path: path})
	require.ErrorIs(t, err, sqlite.ErrInUse)
	require.ErrorContains(t, err, "process "+strconv.Itoa(cmd.Process.Pid))
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())

	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	dead, err := s.Reap(t.Context(), time.Hour, time.Time{})
	require.NoError(t, err)
	require.Len(t, dead, 1, "without waiting for a heartbeat to grow old")
	orphans, err := s.Orphans(t.Context(), "p", 0, 10)
	require.NoError(t, err)
	require.Len(t, orphans, 1)
	require.Equal(t, domain.TaskID("running"), orphans[0].TaskID)

	rq := &plan.Requests{TurnID: "lost", Worker: "next", Losts: []plan.Lost{{Ref: orphans[0].Ref(), Holder: orphans[0].Holder}}}
	d, err := s.Turn(t.Context(), store.TurnSpec{Pool: "p", Gather: func() *plan.Requests { return rq }, Decide: plan.Turn})
	require.NoError(t, err)
	require.Len(t, d.Started, 1)
	payloads, err := s.Payloads(t.Context(), "p", []domain.JobID{1, 2})
	require.NoError(t, err)
	require.Equal(t, map[domain.JobID][]byte{1: []byte(`"of running"`), 2: []byte(`"of queued"`)}, payloads)
	diffs, err := s.Reconcile(t.Context(), "p")
	require.NoError(t, err)
	require.Empty(t, diffs)
}

func TestReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "reopen.db")
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	require.NoError(t, err)
	require.NoError(t, createPool(t.Context(), s))
	_, err = submit(t.Context(), s, "w", "a", "b")
	require.NoError(t, err)

	_, err = sqlite.Open(t.Context(), sqlite.Options{Path: path})
	require.ErrorIs(t, err, sqlite.ErrInUse, "also within one process")
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err = s.Pool(t.Context(), "p")
	require.ErrorIs(t, err, store.ErrUnavailable)
	_, err = submit(t.Context(), s, "w", "c")
	require.ErrorIs(t, err, store.ErrUnavailable)

	s, err = sqlite.Open(t.Context(), sqlite.Options{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	view, err := s.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, int64(1), view.Running)
	require.Equal(t, int64(1), view.Queued)
}

func TestOpenRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()

	ahead := filepath.Join(t.TempDir(), "ahead.db")
	s, err := sqlite.Open(ctx, sqlite.Options{Path: ahead})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	db, err := sql.Open("sqlite", ahead)
	require.NoError(t, err)
	_, err = db.ExecContext(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	_, err = sqlite.Open(ctx, sqlite.Options{Path: ahead})
	require.ErrorIs(t, err, store.ErrSchema)

	garbage := filepath.Join(t.TempDir(), "garbage.db")
	require.NoError(t, os.WriteFile(garbage, []byte("this is not a database, whatever its name says\n"), 0o600))
	_, err = sqlite.Open(ctx, sqlite.Options{Path: garbage})
	require.ErrorContains(t, err, "file is not a database")

	_, err = sqlite.Open(ctx, sqlite.Options{Path: t.TempDir()})
	require.Error(t, err)

	// A refused file is not left locked.
	require.NoError(t, os.Remove(garbage))
	s, err = sqlite.Open(ctx, sqlite.Options{Path: garbage})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// TestReaders holds a turn open: readers of a file do not wait for it, those in memory
// do, and give up when their context ends.
func TestReaders(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", filepath.Join(t.TempDir(), "readers.db")} {
		s, _ := open(t, path)
		require.NoError(t, createPool(t.Context(), s))
		decided, release, done := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			_, err := s.Turn(context.WithoutCancel(t.Context()), store.TurnSpec{
				Pool: "p", Gather: func() *plan.Requests { return &plan.Requests{TurnID: "t"} },
				Decide: func(s plan.Snapshot, rq *plan.Requests) plan.Decisions {
					close(decided)
					<-release
					return plan.Turn(s, rq)
				},
			})
			done <- err
		}()
		<-decided
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := s.Pool(ctx, "p")
		cancel()
		if s.Backend() == domain.BackendFile {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, store.ErrUnavailable)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err = submit(ctx, s, "w", "a") // writers wait, for both
		cancel()
		require.ErrorIs(t, err, store.ErrUnavailable)
		close(release)
		require.NoError(t, <-done)
		_, err = submit(t.Context(), s, "w", "a")
		require.NoError(t, err)
	}
}
