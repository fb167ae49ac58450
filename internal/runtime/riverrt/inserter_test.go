package riverrt_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/runtime/riverrt"
)

func newInserter(t testing.TB, db dbtest.DB) *riverrt.Inserter {
	t.Helper()
	inserter, err := riverrt.NewInserter(db.Schema, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return inserter
}

func inTx(t testing.TB, db dbtest.DB, f func(pgx.Tx) error) error {
	t.Helper()
	return pgx.BeginFunc(context.Background(), db.Pool, f)
}

func TestInsertJobs(t *testing.T) {
	t.Parallel()

	db := dbtest.Postgres(t)
	inserter := newInserter(t, db)
	tasks := []domain.Task{
		{PoolID: "llm", JobID: 7, Attempt: 2, Requested: domain.PriorityLow},
		{PoolID: "llm", JobID: 8, Attempt: 1, Requested: domain.PriorityCritical},
	}
	var ids []int64
	require.NoError(t, inTx(t, db, func(tx pgx.Tx) (err error) {
		ids, err = inserter.InsertJobs(t.Context(), tx, tasks)
		return err
	}))
	require.Len(t, ids, 2)

	type row struct {
		Queue, Kind, State    string
		Priority, MaxAttempts int
		Pool                  string
		Job, Attempt          int64
	}
	read := func(id int64) row {
		rows, err := db.Pool.Query(t.Context(), `SELECT queue, kind, state::text, priority, max_attempts,
			args->>'poolId', (args->>'jobId')::bigint, (args->>'attempt')::bigint FROM river_job WHERE id = $1`, id)
		require.NoError(t, err)
		r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[row])
		require.NoError(t, err)
		return r
	}
	require.Equal(t, row{"p_llm", "parkinglot_task", "available", 4, 1, "llm", 7, 2}, read(ids[0]))
	require.Equal(t, row{"p_llm", "parkinglot_task", "available", 1, 1, "llm", 8, 1}, read(ids[1]))
}

func TestInsertJobsGoesWithItsTransaction(t *testing.T) {
	t.Parallel()

	db := dbtest.Postgres(t)
	inserter := newInserter(t, db)
	guard := errors.New("guard")
	err := inTx(t, db, func(tx pgx.Tx) error {
		ids, err := inserter.InsertJobs(t.Context(), tx, []domain.Task{{PoolID: "llm", JobID: 1, Attempt: 1}})
		require.NoError(t, err)
		require.Len(t, ids, 1)
		return guard
	})
	require.ErrorIs(t, err, guard)
	var n int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job`).Scan(&n))
	require.Zero(t, n)

	ids, err := inserter.InsertJobs(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Empty(t, ids)
}

// Every turn's jobs are announced, however soon one follows another: a job whose
// announcement was dropped would wait for a poll.
func TestInsertJobsAnnouncesEveryTurn(t *testing.T) {
	t.Parallel()

	db := dbtest.Postgres(t)
	inserter := newInserter(t, db)
	hear := listen(t, db)
	const turns = 20
	for i := range turns {
		require.NoError(t, inTx(t, db, func(tx pgx.Tx) error {
			_, err := inserter.InsertJobs(t.Context(), tx, []domain.Task{
				{PoolID: "llm", JobID: domain.JobID(2*i + 1), Attempt: 1}, {PoolID: "llm", JobID: domain.JobID(2*i + 2), Attempt: 1},
			})
			return err
		}))
	}
	for range turns {
		require.JSONEq(t, `{"queue": "p_llm"}`, hear())
	}
}

func TestJobsAreAnnouncedAfterTheirCommit(t *testing.T) {
	t.Parallel()

	db := dbtest.Postgres(t)
	inserter := newInserter(t, db)
	inserter.AnnounceThrough(db.Pool)
	insert := func(pool domain.PoolID) {
		require.NoError(t, inTx(t, db, func(tx pgx.Tx) error {
			_, err := inserter.InsertJobs(t.Context(), tx, []domain.Task{{PoolID: pool, JobID: 1, Attempt: 1}})
			return err
		}))
	}
	insert("silent") // River announces the first of each queue itself
	hear := listen(t, db)
	insert("silent")
	insert("a")
	require.JSONEq(t, `{"queue": "p_a"}`, hear(), "River's own again")
	insert("a")
	inserter.JobsCommitted("a")
	require.JSONEq(t, `{"queue": "p_a"}`, hear(), "the commit itself announced nothing")

	// However many come at once, the last of each queue is announced after it came.
	const pools = 50
	for i := range pools {
		inserter.JobsCommitted("a")
		inserter.JobsCommitted(domain.PoolID("b" + strconv.Itoa(i)))
	}
	heard := map[string]bool{}
	for len(heard) < pools {
		if payload := hear(); payload != `{"queue": "p_a"}` {
			heard[payload] = true
		}
	}
}

// listen returns a function that waits for the next announcement.
func listen(t *testing.T, db dbtest.DB) (hear func() string) {
	t.Helper()
	conn, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	t.Cleanup(conn.Release)
	_, err = conn.Exec(t.Context(), `LISTEN "`+db.Schema+`.river_insert"`)
	require.NoError(t, err)
	return func() string {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		hint, err := conn.Conn().WaitForNotification(ctx)
		require.NoError(t, err)
		return hint.Payload
	}
}
