package dbtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parkinglot/parkinglot/internal/store/migrate"
	"github.com/parkinglot/parkinglot/migrations"
)

// Schema is where a test database has its tables. It is not public, and public
// is dropped, so that a forgotten search_path fails loudly.
const Schema = "parkinglot"

// DB is a database of one test's own.
type DB struct {
	URL    string        // without a search_path
	Schema string        // where the tables are; give it to whatever connects
	Pool   *pgxpool.Pool // search_path set to Schema; for the test's own looks and pokes
}

// Postgres returns a fresh, migrated database, dropped when the test ends.
func Postgres(tb testing.TB) DB {
	tb.Helper()
	return clone(tb, shared(tb).template)
}

// Empty returns a fresh database without any of our tables or schemas, dropped
// when the test ends.
func Empty(tb testing.TB) DB {
	tb.Helper()
	return clone(tb, "template0")
}

// server is the one server of this test binary.
type server struct {
	admin    *pgxpool.Pool
	url      string
	template string
}

var sharedServer = sync.OnceValues(func() (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	// Never stopped here: it goes with the process.
	dsn, _, err := StartServer(ctx, Options{})
	if err != nil {
		return nil, err
	}
	admin, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connect to the test server: %w", err)
	}
	s := &server{admin: admin, url: dsn}
	if err := s.makeTemplate(ctx); err != nil {
		admin.Close()
		return nil, err
	}
	return s, nil
})

func shared(tb testing.TB) *server {
	tb.Helper()
	s, err := sharedServer()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// makeTemplate migrates the database that tests are cloned from. Its name tells
// the migrations apart, so that on a server that outlives this process (a DSN)
// the next one finds it ready.
func (s *server) makeTemplate(ctx context.Context) error {
	conn, err := s.admin.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to the test server: %w", err)
	}
	defer conn.Release()
	var version int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return fmt.Errorf("ask the test server for its version: %w", err)
	}
	if version < 140000 {
		return fmt.Errorf("the test server is Postgres %d: 14 or later is needed", version/10000)
	}
	sum, err := migrationsSum()
	if err != nil {
		return err
	}
	s.template = fmt.Sprintf("pl_template_%x", sum)
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(sum)); err != nil {
		return fmt.Errorf("lock the template database: %w", err)
	}
	defer func() { _, _ = conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", int64(sum)) }()
	if err := s.dropAbandoned(ctx, conn); err != nil {
		return err
	}
	var there bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", s.template).Scan(&there)
	if err != nil || there {
		return err
	}
	unfinished := s.template + "_new"
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+unfinished+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop an unfinished template: %w", err)
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+unfinished+" TEMPLATE template0"); err != nil {
		return fmt.Errorf("create a test database (the role of the DSN needs CREATEDB): %w", err)
	}
	if err := fillTemplate(ctx, withDatabase(s.url, unfinished)); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+unfinished+" RENAME TO "+s.template); err != nil {
		return fmt.Errorf("name the template database: %w", err)
	}
	return nil
}

func fillTemplate(ctx context.Context, dsn string) error {
	pool, err := connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer pool.Close()
	migrator, err := migrate.NewPostgres(pool, Schema, nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Up(ctx); err != nil {
		return fmt.Errorf("migrate the template database: %w", err)
	}
	if _, err := pool.Exec(ctx, "DROP SCHEMA IF EXISTS public"); err != nil {
		return fmt.Errorf("drop schema public of the template database: %w", err)
	}
	return nil
}

// dropAbandoned drops test databases of processes that were killed. Their names
// start with the time they were made.
func (s *server) dropAbandoned(ctx context.Context, conn *pgxpool.Conn) error {
	rows, err := conn.Query(ctx, `SELECT d.datname FROM pg_database AS d
		WHERE d.datname ~ '^pl_test_[0-9]+_' AND split_part(d.datname, '_', 3)::bigint < extract(epoch FROM now()) - 7200`)
	if err != nil {
		return fmt.Errorf("list abandoned test databases: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list abandoned test databases: %w", err)
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			return fmt.Errorf("drop abandoned test database %s: %w", name, err)
		}
	}
	return nil
}

func clone(tb testing.TB, template string) DB {
	tb.Helper()
	s := shared(tb)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	name := fmt.Sprintf("pl_test_%d_%s", time.Now().Unix(), strings.ToLower(rand.Text()[:12]))
	if _, err := s.admin.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		tb.Fatalf("create a test database: %v", err)
	}
	dsn := withDatabase(s.url, name)
	pool, err := connect(ctx, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		go pool.Close() // a connection the test forgot to give back must not hang it; FORCE ends them all
		if _, err := s.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("drop test database %s: %v", name, err)
		}
	})
	return DB{URL: dsn, Schema: Schema, Pool: pool}
}

func connect(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("parse the test server's URL: %w", err)
	}
	config.MaxConns = 4
	config.ConnConfig.RuntimeParams["search_path"] = Schema
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to a test database: %w", err)
	}
	return pool, nil
}

func withDatabase(dsn, name string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		return dsn + " dbname=" + name // key=value form: the last one counts
	}
	u.Path = "/" + name
	return u.String()
}

// migrationsSum tells one state of the migrations from another: our files, and
// River's by their number.
func migrationsSum() (uint64, error) {
	h := fnv.New64a()
	err := fs.WalkDir(migrations.FS, "postgres", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(migrations.FS, path)
		if err != nil {
			return err
		}
		_, _ = h.Write([]byte(path))
		_, _ = h.Write(content) // a hash never fails
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read the embedded migrations: %w", err)
	}
	return h.Sum64() >> 1, nil
}
