// Package sql_test runs everything under sql/ against a migrated database.
package sql_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
)

const seed = `
INSERT INTO pl_pools (pool_id, name, max_units, max_queue_depth, default_timeout_ms, queue_backend, mailbox_backend,
    runtime_adapter, priority_policy, resource_kind, max_overtakes, max_attempts, retry_base_ms, retry_max_ms, created_at, updated_at)
VALUES ('llm', 'LLM', 10, 100, 60000, 'postgres', 'postgres', 'worker', 'fair', 'gpuVram', 16, 1, 1000, 60000, now(), now());
INSERT INTO pl_pool_turns (pool_id, turn_no, turn_id, at, active_units, ceiling, running, queued, queued_low, queued_normal,
    queued_high, queued_critical, waiting, virtual_time, job_seq, rank_seq, event_seq, message_seq)
VALUES ('llm', 1, 'a', now(), 4, 10, 1, 2, 0, 1, 0, 1, 0, 0, 3, 3, 0, 0);
INSERT INTO pl_queue_jobs (pool_id, job_id, task_id, submission, body_hash, tenant, requested_priority, priority, lane, rank,
    resource_kind, resource_units, status, attempt, max_attempts, executor, timeout_ms, created_at, started_at)
VALUES ('llm', 1, 'runs', 1, '', 'acme', 1, 1, '', 1, 'gpuVram', 4, 'running', 1, 1, 'default', 1000, now() - interval '1 hour', now() - interval '1 hour'),
       ('llm', 2, 'waits', 1, '', 'acme', 1, 1, '', 2, 'gpuVram', 8, 'queued', 0, 1, 'default', 1000, now(), NULL),
       ('llm', 3, 'first', 1, '', 'zeta', 3, 3, '', 3, 'gpuVram', 9, 'queued', 0, 1, 'default', 1000, now(), NULL);
INSERT INTO pl_running_jobs (pool_id, job_id) VALUES ('llm', 1);
INSERT INTO pl_queued_jobs (pool_id, job_id, tenant, lane, priority, rank) VALUES ('llm', 2, 'acme', '', 1, 2), ('llm', 3, 'zeta', '', 3, 3);
`

// psql variables that runbook files ask for.
var variables = strings.NewReplacer(":'pool'", "'llm'")

func apply(t *testing.T, db dbtest.DB, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), string(text))
	require.NoError(t, err, file)
}

// rows runs a query and returns each row as its values.
func rows(t *testing.T, db dbtest.DB, query string) [][]any {
	t.Helper()
	found, err := db.Pool.Query(t.Context(), query)
	require.NoError(t, err)
	defer found.Close()
	var all [][]any
	for found.Next() {
		values, err := found.Values()
		require.NoError(t, err)
		all = append(all, values)
	}
	require.NoError(t, found.Err(), query)
	return all
}

func TestViews(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	apply(t, db, "views.sql")
	apply(t, db, "views.sql") // again: they replace themselves
	_, err := db.Pool.Exec(t.Context(), seed)
	require.NoError(t, err)

	text, err := os.ReadFile("views.sql")
	require.NoError(t, err)
	views := regexp.MustCompile(`VIEW (pl_v_\w+)`).FindAllStringSubmatch(string(text), -1)
	require.Len(t, views, 5)
	for _, view := range views {
		rows(t, db, "SELECT * FROM "+view[1])
	}
	require.Equal(t, [][]any{{"llm", int64(10), int64(4)}}, rows(t, db, "SELECT pool_id, max_units, active_units FROM pl_v_pools"))
	require.Equal(t, [][]any{{int64(1), "first"}, {int64(2), "waits"}},
		rows(t, db, "SELECT position, task_id FROM pl_v_queue"), "critical before normal")
	require.Equal(t, [][]any{{"runs", "(nobody yet)"}}, rows(t, db, "SELECT task_id, holder FROM pl_v_holders"))
}

func TestRunbook(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	_, err := db.Pool.Exec(t.Context(), seed)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), "SELECT pl_ensure_audit_partitions(current_date, 8)")
	require.NoError(t, err)
	files, err := filepath.Glob("runbook/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	found := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(text), "-- "), "%s says first what it answers", file)
		found[filepath.Base(file)] = len(rows(t, db, variables.Replace(string(text))))
	}
	require.Zero(t, found["counters-against-rows.sql"])
	require.Equal(t, 1, found["over-their-timeout.sql"])
	require.Equal(t, 2, found["longest-waiting.sql"])
	require.Equal(t, 8, found["audit-partitions.sql"])

	_, err = db.Pool.Exec(t.Context(), "DELETE FROM pl_queue_jobs WHERE job_id = 1")
	require.NoError(t, err)
	text, err := os.ReadFile("runbook/counters-against-rows.sql")
	require.NoError(t, err)
	require.Len(t, rows(t, db, string(text)), 1, "a drifted counter is found")
}

// The database itself refuses what no program should ask for.
func TestDatabaseRefusesOverCapacity(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	_, err := db.Pool.Exec(t.Context(), seed)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), "UPDATE pl_pool_turns SET active_units = 11")
	require.ErrorContains(t, err, "pl_pool_turns_capacity")
	_, err = db.Pool.Exec(t.Context(), `INSERT INTO pl_pool_turns SELECT pool_id, turn_no, 'b', at, active_units, ceiling, running, queued,
		queued_low, queued_normal, queued_high, queued_critical, waiting, virtual_time, job_seq, rank_seq, event_seq, message_seq, next_due_at
		FROM pl_pool_turns`)
	require.ErrorContains(t, err, "pl_pool_turns_pkey", "no second turn from the same state")
}
