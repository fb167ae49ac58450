package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// measureFloor measures bare inserts: rows of a number, an instant and 100
// characters into a table with a primary key, one statement a transaction.
func measureFloor(ctx context.Context, b *bench, c *Case) (m Metrics, err error) {
	schema, drop, err := b.schema(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	pool, err := b.connect(ctx, schema, c.Submitters)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, "CREATE TABLE floor (id bigint PRIMARY KEY, at timestamptz NOT NULL, body text NOT NULL)"); err != nil {
		return nil, fmt.Errorf("make a table: %w", err)
	}
	rows := max(c.Batch, 1)
	statement, body := insertStatement(rows), strings.Repeat("x", 100)
	insert := func(ctx context.Context, n int) error {
		args := make([]any, 0, 2*rows)
		for i := range rows {
			args = append(args, int64(n*rows+i), body)
		}
		_, err := pool.Exec(ctx, statement, args...)
		return err
	}
	warm := max(warmUp/rows, c.Submitters)
	if err := submitAll(ctx, c.Submitters, 0, warm, insert); err != nil {
		return nil, fmt.Errorf("insert: %w", err)
	}
	statements := c.Tasks / rows
	from, err := b.meter.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := submitAll(ctx, c.Submitters, warm, statements, insert); err != nil {
		return nil, fmt.Errorf("insert: %w", err)
	}
	to, err := b.meter.read(ctx)
	if err != nil {
		return nil, err
	}
	var stored int
	if err := pool.QueryRow(ctx, "SELECT count(*) FROM floor").Scan(&stored); err != nil {
		return nil, fmt.Errorf("count the rows: %w", err)
	}
	if want := (warm + statements) * rows; stored != want {
		return nil, fmt.Errorf("%d of %d rows are there", stored, want)
	}
	m = costs(from, to, statements*rows)
	m[RowsASecond] = m[PerSecond]
	return m, nil
}

// insertStatement inserts so many rows.
func insertStatement(rows int) string {
	var s strings.Builder
	s.WriteString("INSERT INTO floor (id, at, body) VALUES ")
	for i := range rows {
		if i > 0 {
			s.WriteString(", ")
		}
		fmt.Fprintf(&s, "($%d, now(), $%d)", 2*i+1, 2*i+2)
	}
	return s.String()
}
