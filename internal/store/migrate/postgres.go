package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/parkinglot/parkinglot/migrations"
)

const (
	// lockWait bounds how long Up waits for another process's migrations.
	lockWait = 2 * time.Minute
	// ddlWait is how long one statement waits for its lock, and with it everybody who
	// comes behind it for that table; then it lets them pass and tries again.
	ddlWait  = 2 * time.Second
	ddlAgain = time.Second

	lockNotAvailable = "55P03" // SQLSTATE
)

// NewPostgres returns the migrator of schema. The pool's connections must have
// their search_path set to schema alone; it needs two of them at once. Up needs
// connections of their own with the same settings, and sessions: no transaction pooler
// between. log gets what Up waits for; nil: none.
func NewPostgres(pool *pgxpool.Pool, schema string, log *slog.Logger) (*Migrator, error) {
	files, err := fs.Sub(migrations.FS, "postgres")
	if err != nil {
		return nil, err
	}
	return NewPostgresOf(files, pool, schema, log)
}

// NewPostgresOf is NewPostgres with migrations of the caller's: what a newer or an older
// program would bring.
func NewPostgresOf(files fs.FS, pool *pgxpool.Pool, schema string, log *slog.Logger) (*Migrator, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ddl := func(ctx context.Context) (*pgxpool.Pool, error) { return ddlPool(ctx, pool) }
	ours, err := newGooseLine(goose.DialectPostgres, files, stdlib.OpenDBFromPool(pool), func(ctx context.Context) (*sql.DB, func(), error) {
		own, err := ddl(ctx)
		if err != nil {
			return nil, nil, err
		}
		db := stdlib.OpenDBFromPool(own)
		return db, func() { _ = db.Close(); own.Close() }, nil
	})
	if err != nil {
		return nil, err
	}
	oldest, err := oldestPrograms(files)
	if err != nil {
		return nil, err
	}
	river, err := newRiverMigrator(pool, schema)
	if err != nil {
		return nil, err
	}
	return &Migrator{
		lines:   []line{patient{line: ours, log: log}, patient{line: &riverLine{pool: pool, schema: schema, known: river.AllVersions(), ddl: ddl}, log: log}},
		program: ours.newest(),
		oldest:  oldest,
		fleet:   &postgresFleet{pool: pool, log: log},
		prepare: func(ctx context.Context) error { return createSchema(ctx, pool, schema) },
		lock:    func(ctx context.Context) (func(), error) { return lockSchema(ctx, pool, schema) },
	}, nil
}

// ddlPool opens connections like those of pool that do not wait long for a lock.
func ddlPool(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Pool, error) {
	config := pool.Config()
	config.MaxConns, config.MinConns, config.MinIdleConns = 2, 0, 0
	config.ConnConfig.RuntimeParams["lock_timeout"] = fmt.Sprintf("%dms", ddlWait.Milliseconds())
	own, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect for the migrations: %w", err)
	}
	return own, nil
}

// patient tries again when a statement did not get its lock in time. What was applied
// before it stays applied.
type patient struct {
	line

	log *slog.Logger
}

func (p patient) up(ctx context.Context) error {
	for {
		err := p.line.up(ctx)
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != lockNotAvailable {
			return err
		}
		p.log.WarnContext(ctx, "a migration waits for a lock that others hold; trying again", "error", err)
		select {
		case <-time.After(ddlAgain):
		case <-ctx.Done():
			return fmt.Errorf("others hold a lock that a migration needs (long transactions? see pg_stat_activity): %w", err)
		}
	}
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
	pool   *pgxpool.Pool
	schema string
	known  []rivermigrate.Migration
	ddl    func(ctx context.Context) (*pgxpool.Pool, error)
}

func newRiverMigrator(pool *pgxpool.Pool, schema string) (*rivermigrate.Migrator[pgx.Tx], error) {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: schema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("read River's migrations: %w", err)
	}
	return migrator, nil
}

func (l *riverLine) up(ctx context.Context) error {
	own, err := l.ddl(ctx)
	if err != nil {
		return fmt.Errorf("apply River's migrations: %w", err)
	}
	defer own.Close()
	migrator, err := newRiverMigrator(own, l.schema)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
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
	steps := make([]Step, 0, len(l.known)+len(applied))
	for _, known := range l.known {
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
