package migrate

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// lockWait bounds how long Up waits for another process's migrations.
const lockWait = 2 * time.Minute

// NewPostgres returns the migrator of schema. The pool's connections must have
// their search_path set to schema alone; it needs two of them at once. log gets
// River's lines; nil: none.
func NewPostgres(pool *pgxpool.Pool, schema string, log *slog.Logger) (*Migrator, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ours, err := newGooseLine(goose.DialectPostgres, stdlib.OpenDBFromPool(pool), "postgres")
	if err != nil {
		return nil, err
	}
	river, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: schema, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("read River's migrations: %w", err)
	}
	return &Migrator{
		lines:   []line{ours, &riverLine{pool: pool, migrator: river}},
		prepare: func(ctx context.Context) error { return createSchema(ctx, pool, schema) },
		lock:    func(ctx context.Context) (func(), error) { return lockSchema(ctx, pool, schema) },
	}, nil
}

// createSchema looks first: a role that may not create schemas can still migrate
// one that is there. Under the lock: IF NOT EXISTS fails when two create it at once.
func createSchema(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	var there bool
	err := pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema).Scan(&there)
	if err != nil {
		return fmt.Errorf("look for schema %q: %w", schema, err)
	}
	if there {
		return nil
	}
	if _, err := pool.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{schema}.Sanitize()); err != nil {
		return fmt.Errorf("create schema %q: %w", schema, err)
	}
	return nil
}

// lockSchema holds an advisory lock in a transaction of its own while others of
// the pool's connections migrate. Transaction-level, so that it works through
// PgBouncer and cannot outlive the connection.
func lockSchema(ctx context.Context, pool *pgxpool.Pool, schema string) (func(), error) {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock the migrations: %w", err)
	}
	release := func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = tx.Rollback(end) // nothing was written; a lost connection has released the lock as well
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte("parkinglot migrate " + schema)) // a hash never fails
	batch := &pgx.Batch{}
	batch.Queue("SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', '0', true)",
		fmt.Sprintf("%dms", lockWait.Milliseconds()))
	batch.Queue("SELECT pg_advisory_xact_lock($1)", int64(h.Sum64()))
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		release()
		return nil, fmt.Errorf("wait for another process's migrations: %w", err)
	}
	return release, nil
}

// riverLine is River's migrations.
type riverLine struct {
	pool     *pgxpool.Pool
	migrator *rivermigrate.Migrator[pgx.Tx]
}

func (l *riverLine) up(ctx context.Context) error {
	if _, err := l.migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("apply River's migrations: %w", err)
	}
	return nil
}

// steps reads River's table itself, because River refuses to list a version that
// it does not know, and that is just what is to be found out.
func (l *riverLine) steps(ctx context.Context) ([]Step, error) {
	applied := map[int64]*time.Time{}
	var exists bool
	if err := l.pool.QueryRow(ctx, "SELECT to_regclass('river_migration') IS NOT NULL").Scan(&exists); err != nil {
		return nil, fmt.Errorf("look for River's migrations: %w", err)
	}
	if exists {
		// The column line came with a later migration of River's; other lines are not ours.
		rows, err := l.pool.Query(ctx,
			"SELECT m.version, m.created_at FROM river_migration AS m WHERE coalesce(to_jsonb(m) ->> 'line', 'main') = 'main'")
		if err != nil {
			return nil, fmt.Errorf("read River's migrations: %w", err)
		}
		var version int64
		var at time.Time
		if _, err := pgx.ForEachRow(rows, []any{&version, &at}, func() error {
			utc := at.UTC()
			applied[version] = &utc
			return nil
		}); err != nil {
			return nil, fmt.Errorf("read River's migrations: %w", err)
		}
	}
	all := l.migrator.AllVersions()
	steps := make([]Step, 0, len(all)+len(applied))
	for _, known := range all {
		v := int64(known.Version)
		steps = append(steps, Step{Line: LineRiver, Version: v, Name: known.Name, AppliedAt: applied[v]})
		delete(applied, v)
	}
	return append(steps, unknown(LineRiver, applied)...), nil
}

// unknown turns what the program has no migration for into steps without a name.
func unknown(line string, applied map[int64]*time.Time) []Step {
	steps := make([]Step, 0, len(applied))
	for _, v := range slices.Sorted(maps.Keys(applied)) {
		steps = append(steps, Step{Line: line, Version: v, AppliedAt: applied[v]})
	}
	return steps
}
