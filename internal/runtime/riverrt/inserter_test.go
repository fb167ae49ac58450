package riverrt_test

import (
	"context"
	"errors"
	"log/slog"
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
	listener, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer listener.Release()
	_, err = listener.Exec(t.Context(), `LISTEN "`+db.Schema+`.river_insert"`)
	require.NoError(t, err)

	const turns = 20
	for i := range turns {
		require.NoError(t, inTx(t, db, func(tx pgx.Tx) error {
			_, err := inserter.InsertJobs(t.Context(), tx, []domain.Task{
				{PoolID: "llm", JobID: domain.JobID(2*i + 1), Attempt: 1}, {PoolID: "llm", JobID: domain.JobID(2*i + 2), Attempt: 1},
			})
			return err
		}))
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for range turns {
		hint, err := listener.Conn().WaitForNotification(ctx)
		require.NoError(t, err)
		require.JSONEq(t, `{"queue": "p_llm"}`, hint.Payload)
	}
}
