package runtime_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/runtime/riverrt"
	"github.com/parkinglot/parkinglot/workers"
)

// A fetch that was planned while River's table was empty and known to be must not stay a
// walk through all of it.
func TestFetchesOfAnEmptiedTableWalkIndexes(t *testing.T) {
	t.Parallel()

	s := workerSite(t)
	conf := s.db.Pool.Config()
	riverrt.NarrowPlans(conf)
	narrow, err := pgxpool.NewWithConfig(t.Context(), conf)
	require.NoError(t, err)
	t.Cleanup(narrow.Close)
	_, err = s.db.Pool.Exec(t.Context(), `VACUUM ANALYZE river_job`)
	require.NoError(t, err)

	launch := s.launch
	s.launch = func(tb testing.TB, p *process) {
		wide := s.db.Pool
		s.db.Pool = narrow
		launch(tb, p)
		s.db.Pool = wide
	}
	p := s.start(t, workers.Sleep())
	p.submit(t, "t", func(submit *plan.Submit) { submit.Payload = []byte(`{"durationMs": 1}`) })
	require.Equal(t, domain.StatusCompleted, s.ended(t, "t").Status)

	fetches := 0
	for tries := 0; fetches == 0 && tries < 500; tries++ { // the one that fetches is not idle just then
		for _, conn := range narrow.AcquireAllIdle(t.Context()) {
			t.Cleanup(conn.Release)
			fetches += checkFetch(t, conn.Conn())
		}
		time.Sleep(10 * time.Millisecond)
	}
	require.Positive(t, fetches)
}

// checkFetch looks at the plan of the fetch that the connection has prepared, and returns
// how many it has.
func checkFetch(t *testing.T, conn *pgx.Conn) (fetches int) {
	t.Helper()
	ctx := context.Background()
	rows, err := conn.Query(ctx, `SELECT name FROM pg_prepared_statements WHERE statement LIKE '%JobGetAvailable%'`,
		pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	for _, name := range names {
		_, err = conn.Exec(ctx, `SET plan_cache_mode = force_generic_plan`)
		require.NoError(t, err)
		var arguments int
		require.NoError(t, conn.QueryRow(ctx, `SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = $1`, name).Scan(&arguments))
		nulls := strings.TrimSuffix(strings.Repeat("NULL,", arguments), ",")
		rows, err := conn.Query(ctx, `EXPLAIN EXECUTE `+pgx.Identifier{name}.Sanitize()+`(`+nulls+`)`, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		text := strings.Join(lines, "\n")
		require.Contains(t, text, "river_job_prioritized_fetching_index")
		require.Contains(t, text, "river_job_pkey")
		require.NotContains(t, text, "Seq Scan")
		require.NotContains(t, text, "JIT")
		fetches++
	}
	return fetches
}
