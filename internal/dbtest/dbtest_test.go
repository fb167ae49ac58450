package dbtest_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
)

func TestPostgresGivesEveryTestADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	one, two := dbtest.Postgres(t), dbtest.Postgres(t)

	_, err := one.Pool.Exec(ctx, "INSERT INTO pl_sources (source, created_at) VALUES ('a', now())")
	require.NoError(t, err)

	var n int
	require.NoError(t, two.Pool.QueryRow(ctx, "SELECT count(*) FROM pl_sources").Scan(&n))
	require.Zero(t, n)
	require.NoError(t, two.Pool.QueryRow(ctx, "SELECT count(*) FROM pg_namespace WHERE nspname = 'public'").Scan(&n))
	require.Zero(t, n, "a forgotten search_path must fail")
}

func TestStartServerStopRemovesTheServer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	url, stop, err := dbtest.StartServer(ctx, dbtest.Options{Own: true, Durable: true, Settings: map[string]string{"work_mem": "5MB"}})
	require.NoError(t, err)
	t.Cleanup(stop)
	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	var fsync string
	require.NoError(t, conn.QueryRow(ctx, "SHOW fsync").Scan(&fsync))
	require.Equal(t, "on", fsync)
	require.NoError(t, conn.Close(ctx))

	stop()
	if os.Getenv("TEST_DATABASE_URL") != "" {
		return // a server that is not ours stays
	}
	soon, cancelSoon := context.WithTimeout(ctx, 3*time.Second)
	defer cancelSoon()
	_, err = pgx.Connect(soon, url)
	require.Error(t, err)
}

func TestCrashLosesNothingThatWasCommitted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server, err := dbtest.StartOwn(ctx, dbtest.Options{Durable: true})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	conn, err := pgx.Connect(ctx, server.URL)
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "CREATE TABLE kept (n int)")
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "INSERT INTO kept VALUES (1)")
	require.NoError(t, err)

	require.NoError(t, server.Crash(ctx, 0))
	require.Error(t, conn.Ping(ctx), "every connection is gone")
	again, err := pgx.Connect(ctx, server.URL)
	require.NoError(t, err)
	defer again.Close(ctx)
	var n int
	require.NoError(t, again.QueryRow(ctx, "SELECT n FROM kept").Scan(&n))
	require.Equal(t, 1, n)
}
