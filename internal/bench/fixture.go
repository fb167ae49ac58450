package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// fixture is a schema whose tables hold many tasks. It is filled once, and used by
// every measurement that wants as many.
type fixture struct {
	schema string
}

// A fixture is filled from one task that really went through the program: its rows
// are copied in single statements, with other numbers and ids, and the newest
// counters likewise. So nothing here repeats the columns of the tables; what has to
// differ between the rows of two tasks is said below, in SQL over t (the row that is
// copied) and g (1, 2, …).
var (
	copiedJob = map[string]string{
		"job_id": "t.job_id + g", "task_id": "md5(g::text)", "rank": "t.rank + g",
	}
	waitingJob = map[string]string{
		"status": "'queued'", "attempt": "0", "started_at": "NULL", "finished_at": "NULL", "holder": "''", "result": "NULL",
	}
	laterTurn = map[string]string{
		"turn_no": "t.turn_no + 1", "turn_id": "'fixture'", "job_seq": "t.job_seq + $1", "rank_seq": "t.rank_seq + $1",
	}
	moreQueued   = map[string]string{"queued": "t.queued + $1", "queued_normal": "t.queued_normal + $1"}
	moreOfTenant = map[string]string{"turn_no": "t.turn_no + 1", "queued": "t.queued + $1"}
)

// enqueueAll puts every task that is queued into the order.
const enqueueAll = `INSERT INTO pl_queued_jobs (pool_id, job_id, tenant, lane, priority, rank, deadline, not_before)
	SELECT j.pool_id, j.job_id, j.tenant, j.lane, j.priority, j.rank, j.deadline, j.not_before
	FROM pl_queue_jobs AS j WHERE j.status = 'queued'`

// fixture returns the schema that has as many tasks as the case wants. done checks
// that its counters equal its rows.
func (b *bench) fixture(ctx context.Context, c *Case) (schema string, done func() error, err error) {
	key := fmt.Sprintf("%d queued, %d finished", c.Queued, c.Finished)
	f := b.fixtures[key]
	if f == nil {
		if f, err = b.fill(ctx, c); err != nil {
			return "", nil, fmt.Errorf("fill tables with %s: %w", key, err)
		}
		b.fixtures[key] = f
	}
	if err := b.exec(ctx, "CHECKPOINT"); err != nil {
		return "", nil, err
	}
	return f.schema, func() error { return b.reconcile(context.WithoutCancel(ctx), f.schema) }, nil
}

// fill makes the schema, lets one task go through the program, and copies it.
func (b *bench) fill(ctx context.Context, c *Case) (*fixture, error) {
	schema, _, err := b.schema(ctx)
	if err != nil {
		return nil, err
	}
	one := *c
	one.Scattered = false
	l, err := b.local(ctx, &one, schema, idle)
	if err != nil {
		return nil, err
	}
	err = l.lifecycles(ctx, &one, 0, 1)
	serial.Add(1) // its id is taken now
	if err == nil && c.Queued > 0 {
		err = l.wind(ctx) // what is queued must not start yet
	}
	if err = errors.Join(err, l.close()); err != nil {
		return nil, err
	}
	pool, err := b.connect(ctx, schema, 1)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if c.Queued > 0 {
			return copyTask(ctx, tx, c.Queued, true)
		}
		return copyTask(ctx, tx, c.Finished, false)
	})
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, "VACUUM (ANALYZE) pl_queue_jobs, pl_queued_jobs, pl_pool_turns, pl_tenants"); err != nil {
		return nil, fmt.Errorf("vacuum: %w", err)
	}
	return &fixture{schema: schema}, b.reconcile(ctx, schema)
}

// copyTask makes n copies of the only task, finished as it is or queued, and counts them.
func copyTask(ctx context.Context, tx pgx.Tx, n int, queued bool) error {
	job, turn := maps.Clone(copiedJob), maps.Clone(laterTurn)
	if queued {
		maps.Copy(job, waitingJob)
		maps.Copy(turn, moreQueued)
	}
	if err := copyRow(ctx, tx, "pl_queue_jobs", "job_id", job, n, true); err != nil {
		return err
	}
	if queued {
		if _, err := tx.Exec(ctx, enqueueAll); err != nil {
			return fmt.Errorf("%s: %w", enqueueAll, err)
		}
		if err := copyRow(ctx, tx, "pl_tenants", "turn_no", moreOfTenant, n, false); err != nil {
			return err
		}
	}
	return copyRow(ctx, tx, "pl_pool_turns", "turn_no", turn, n, false)
}

// copyRow inserts copies of the table's row with the highest key: n of them, or one
// whose changes may use n as $1.
func copyRow(ctx context.Context, tx pgx.Tx, table, key string, changes map[string]string, n int, each bool) error {
	rows, err := tx.Query(ctx, `SELECT c.column_name::text FROM information_schema.columns AS c
		WHERE c.table_schema = current_schema() AND c.table_name = $1 AND c.is_generated = 'NEVER' ORDER BY c.ordinal_position`, table)
	if err != nil {
		return fmt.Errorf("look at %s: %w", table, err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look at %s: %w", table, err)
	}
	args := []any{n}
	statement := copyStatement(table, key, columns, changes, each)
	tag, err := tx.Exec(ctx, statement, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	want := int64(1)
	if each {
		want = int64(n)
	}
	if tag.RowsAffected() != want {
		return fmt.Errorf("%s: %d of %d rows", table, tag.RowsAffected(), want)
	}
	return nil
}

func copyStatement(table, key string, columns []string, changes map[string]string, each bool) string {
	values := slices.Clone(columns)
	for i, column := range columns {
		values[i] = "t." + column
		if value, ok := changes[column]; ok {
			values[i] = value
		}
	}
	series := "generate_series(1, $1::int) AS g"
	if !each {
		series = "(SELECT $1::int) AS one"
	}
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") SELECT " + strings.Join(values, ", ") +
		" FROM (SELECT * FROM " + table + " ORDER BY " + key + " DESC LIMIT 1) AS t, " + series
}

// reconcile checks that the counters of the first pool equal the rows they count.
func (b *bench) reconcile(ctx context.Context, schema string) error {
	st, err := postgres.Open(ctx, postgres.Options{URL: b.url, Schema: schema})
	if err != nil {
		return err
	}
	differences, err := st.Reconcile(ctx, poolID(0))
	if err = errors.Join(err, st.Close()); err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	if len(differences) > 0 {
		return fmt.Errorf("counters differ from the rows they count: %+v", differences)
	}
	return nil
}
