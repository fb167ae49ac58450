package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/runtime/riverrt"
	"github.com/parkinglot/parkinglot/internal/store/migrate"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// Bounds of what a process does with Postgres beside its turns.
const (
	connectTimeout = 5 * time.Second
	migrateTimeout = 5 * time.Minute
	sideConns      = 6 // migrations at start; afterwards River's fetches and its LISTEN
)

// postgresBackend is the store and what stands beside it.
type postgresBackend struct {
	store *postgres.Store
	// carrier tells the River worker of this process what its turns start.
	carrier *riverrt.Carrier
	side    *pgxpool.Pool // of River's worker, past the pooler if there is a way
	// pollOnly: side has no sessions, so River cannot listen.
	pollOnly bool
}

// openPostgres connects, refuses a schema that is not this program's (or migrates
// it, when it may), and opens the store.
func openPostgres(ctx context.Context, database config.Database, mayMigrate bool, log *slog.Logger) (_ *postgresBackend, err error) {
	b := &postgresBackend{}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	b.pollOnly = isPooled(database)
	if err := prepareSchema(ctx, database, mayMigrate, log); err != nil {
		return nil, err
	}
	narrow := riverrt.NarrowPlans
	if b.pollOnly {
		narrow = nil // a pooler takes no settings along, and plans are made anew each time
	}
	if b.side, err = connect(ctx, database, narrow); err != nil {
		return nil, err
	}
	b.carrier = riverrt.NewCarrier(database.Schema, b.side, log)
	b.store, err = postgres.Open(ctx, postgres.Options{
		URL: database.URL, Pooled: database.Pooled(), DirectURL: database.DirectURL,
		Schema: database.Schema, Carrier: b.carrier, MaxConns: int32(database.MaxConns), Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return b, nil
}

func prepareSchema(ctx context.Context, database config.Database, mayMigrate bool, log *slog.Logger) error {
	pool, err := connect(ctx, database, nil)
	if err != nil {
		return err
	}
	defer pool.Close()
	if mayMigrate && isPooled(database) {
		return errNoSession
	}
	return checkSchema(ctx, pool, database.Schema, mayMigrate, log)
}

func (b *postgresBackend) close() {
	if b.side != nil {
		b.side.Close()
	}
}

// errNoSession: what migrations set must last for longer than a transaction.
var errNoSession = errors.New("migrations cannot go through a transaction pooler: set database.direct_url (PARKINGLOT_DATABASE_DIRECT_URL) to a DSN past it")

// isPooled reports whether there is no way past the pooler.
func isPooled(database config.Database) bool { return database.Pooled() && database.DirectURL == "" }

// connect opens a small pool that works in the schema, past the pooler if there is a
// way, with what settings adds (nil: nothing), and asks the server for an answer.
func connect(ctx context.Context, database config.Database, settings func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	dsn := cmp.Or(database.DirectURL, database.URL)
	conf, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("postgres: database.url is no Postgres DSN") // the cause repeats the password
	}
	conf.MaxConns, conf.MinConns = sideConns, 0
	postgres.UseSchema(conf.ConnConfig, dsn, database.Schema, isPooled(database))
	conf.ConnConfig.RuntimeParams["application_name"] = "parkinglot"
	conf.ConnConfig.ConnectTimeout = connectTimeout
	if settings != nil {
		settings(conf)
	}
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	ask, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := pool.Ping(ask); err != nil {
		pool.Close()
		return nil, unreachable(conf.ConnConfig.Config, err)
	}
	if isPooled(database) {
		if err := postgres.CheckPooled(ask, pool, database.Schema); err != nil {
			pool.Close()
			return nil, fmt.Errorf("postgres: %w", err)
		}
	}
	return pool, nil
}

// unreachable says where Postgres was looked for and why it was not found there.
func unreachable(conf pgconn.Config, err error) error {
	if postgres.IsPooler(err) {
		return fmt.Errorf("at %s:%d is a connection pooler: set database.pooler to transaction (PARKINGLOT_DATABASE_POOLER), and database.direct_url to a DSN past it: %w", conf.Host, conf.Port, err)
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("postgres at %s:%d refuses user %q for database %q: %s (SQLSTATE %s)",
			conf.Host, conf.Port, conf.User, conf.Database, refused.Message, refused.Code)
	}
	return fmt.Errorf("postgres does not answer at %s:%d: is it running, and is the DSN right (database.url, --database-url or PARKINGLOT_DATABASE_URL)? %w",
		conf.Host, conf.Port, err)
}

func checkSchema(ctx context.Context, pool *pgxpool.Pool, schema string, mayMigrate bool, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()

	migrator, err := migrate.NewPostgres(pool, schema, log)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if !mayMigrate {
		if err := migrator.Validate(ctx); err != nil {
			return fmt.Errorf("postgres, schema %s: %w", schema, err)
		}
		return sayIfAhead(ctx, migrator, log)
	}
	applied, err := migrator.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate postgres, schema %s: %w", schema, err)
	}
	for _, step := range applied {
		log.InfoContext(ctx, "migration applied", "line", step.Line, "version", step.Version, "name", step.Name)
	}
	return sayIfAhead(ctx, migrator, log)
}

// sayIfAhead tells operators that a newer program has been here: this one may run, and
// should be replaced.
func sayIfAhead(ctx context.Context, migrator *migrate.Migrator, log *slog.Logger) error {
	steps, err := migrator.Status(ctx)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	for _, step := range steps {
		if step.Name == "" {
			log.WarnContext(ctx, "the schema is ahead of this program, which may still run on it", "line", step.Line, "version", step.Version)
		}
	}
	return nil
}

// Migrate gives work the migrator of the configured Postgres, for the command
// line. The pool is closed afterwards.
func Migrate(ctx context.Context, cfg *config.Config, work func(context.Context, *migrate.Migrator) error) error {
	if cfg.Database.URL == "" {
		return errors.New("no Postgres is configured: set database.url, --database-url or PARKINGLOT_DATABASE_URL (the file backend is migrated by serve itself)")
	}
	if isPooled(cfg.Database) {
		return errNoSession
	}
	pool, err := connect(ctx, cfg.Database, nil)
	if err != nil {
		return err
	}
	defer pool.Close()
	migrator, err := migrate.NewPostgres(pool, cfg.Database.Schema, slog.Default())
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	return work(ctx, migrator)
}
