package riverrt_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/runtime/riverrt"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

func newCarrier(db dbtest.DB) *riverrt.Carrier {
	return riverrt.NewCarrier(db.Schema, db.Pool, slog.New(slog.DiscardHandler))
}

// The store writes River's table itself: every column of a row must be what this version
// of River writes for the same arguments.
func TestRowsAreThoseOfRiversClient(t *testing.T) {
	t.Parallel()

	db := dbtest.Postgres(t)
	st, err := postgres.Open(t.Context(), postgres.Options{URL: db.URL, Schema: db.Schema, Carrier: newCarrier(db)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	const pool = "llm"
	_, err = st.CreatePool(t.Context(), domain.Pool{
		PoolID: pool, Name: pool, State: domain.PoolActive, MaxUnits: 10, MaxQueueDepth: 10, DefaultTimeout: time.Minute,
		QueueBackend: domain.BackendPostgres, MailboxBackend: domain.BackendPostgres, Runtime: domain.RuntimeWorker,
		Policy: domain.PolicyFIFO, ResourceKind: domain.KindCPU, MaxAttempts: 1,
	}, time.Now())
	require.NoError(t, err)
	rq := &plan.Requests{TurnID: uuid.NewString(), Worker: "w"}
	for p := range domain.PriorityClasses {
		rq.Submits = append(rq.Submits, plan.Submit{
			TaskID: domain.TaskID("t" + strconv.Itoa(p)), BodyHash: []byte("hash"), Tenant: "acme", Priority: domain.Priority(p), Units: 1,
			Executor: "default",
		})
	}
	turn, err := st.Turn(t.Context(), store.TurnSpec{Pool: pool, Gather: func() *plan.Requests { return rq }, Decide: plan.Turn})
	require.NoError(t, err)
	require.Len(t, turn.Started, domain.PriorityClasses)

	client, err := river.NewClient(riverpgxv5.New(db.Pool), &river.Config{Schema: db.Schema})
	require.NoError(t, err)
	last := int64(0)
	for i := range turn.Started {
		task := &turn.Started[i]
		require.Greater(t, task.RiverJobID, last, "River works them in this order")
		last = task.RiverJobID
		theirs, err := client.Insert(t.Context(), riverrt.Args{PoolID: pool, JobID: task.JobID, Attempt: task.Attempt}, &river.InsertOpts{
			Queue: riverrt.QueueName(pool), Priority: domain.PriorityClasses - int(task.Requested), MaxAttempts: 1,
		})
		require.NoError(t, err)
		require.JSONEq(t, row(t, db, theirs.Job.ID), row(t, db, task.RiverJobID))
		require.Greater(t, theirs.Job.ID, task.RiverJobID, "River's own ids come from the same sequence")
	}
	var due bool
	err = db.Pool.QueryRow(t.Context(), `SELECT bool_and(scheduled_at <= now() AND created_at = scheduled_at) FROM river_job`).Scan(&due)
	require.NoError(t, err)
	require.True(t, due)
}

// row is a row of River's table without its id and when it was inserted.
func row(t *testing.T, db dbtest.DB, id int64) (columns string) {
	t.Helper()
	const query = `SELECT to_jsonb(j) - '{id,created_at,scheduled_at}'::text[] FROM river_job AS j WHERE j.id = $1`
	require.NoError(t, db.Pool.QueryRow(t.Context(), query, id).Scan(&columns))
	require.True(t, json.Valid([]byte(columns)))
	return columns
}

func TestJobsAreAnnounced(t *testing.T) {
	t.Parallel()

	db := dbtest.Postgres(t)
	carrier := newCarrier(db)
	hear := listen(t, db)
	committed(t, carrier, "a")
	require.Equal(t, "p_a", hear())

	// However many come at once, the last of each queue is announced after it came.
	const pools = 50
	for i := range pools {
		committed(t, carrier, "a")
		committed(t, carrier, domain.PoolID("b"+strconv.Itoa(i)))
	}
	heard := map[string]bool{}
	for len(heard) < pools {
		if queue := hear(); queue != "p_a" {
			heard[queue] = true
		}
	}
	for i := range pools {
		require.True(t, heard["p_b"+strconv.Itoa(i)])
	}
}

// A Carrier without a schema announces in that of its connections.
func TestAnnouncementsGoToTheConnectionsSchema(t *testing.T) {
	t.Parallel()

	db := dbtest.Postgres(t)
	hear := listen(t, db)
	committed(t, riverrt.NewCarrier("", db.Pool, nil), "a")
	require.Equal(t, "p_a", hear())
}

// committed is what the store does when a turn has put jobs into a queue.
func committed(t *testing.T, carrier *riverrt.Carrier, pool domain.PoolID, started ...domain.Task) {
	t.Helper()
	jobs, err := carrier.Jobs(pool, started)
	require.NoError(t, err)
	jobs.Committed(started)
}

// listen returns a function that waits for the next announcement, as River reads it.
func listen(t *testing.T, db dbtest.DB) (hear func() (queue string)) {
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
		var told struct {
			Queue string `json:"queue"`
		}
		require.NoError(t, json.Unmarshal([]byte(hint.Payload), &told))
		return told.Queue
	}
}
