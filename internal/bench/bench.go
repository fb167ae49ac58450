package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parkinglot/parkinglot/internal/fleet"
	"github.com/parkinglot/parkinglot/internal/store/migrate"
)

// warmUp is how many lifecycles go before those that are measured.
const warmUp = 200

// patience is how long anything may stand still before a measurement fails.
const patience = time.Minute

// bench is what all measurements of a run share.
type bench struct {
	url      string // of the Postgres
	dir      string // for files; ours
	meter    *meter
	binary   string // of the program; built when it is first needed
	profile  string // where serve leaves a CPU profile; empty: nowhere
	schemas  int    // made so far
	fixtures map[string]*fixture
}

func newBench(ctx context.Context, o *Options) (*bench, error) {
	m, err := newMeter(ctx, o.URL)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "parkinglot-bench-")
	if err != nil {
		m.close(ctx)
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	return &bench{url: o.URL, dir: dir, meter: m, binary: o.Program, profile: o.ServeProfile, fixtures: map[string]*fixture{}}, nil
}

func (b *bench) close(ctx context.Context) {
	b.meter.close(ctx)
	_ = os.RemoveAll(b.dir) // a temporary folder
}

// program returns the path of the binary.
func (b *bench) program(ctx context.Context) (string, error) {
	if b.binary == "" {
		binary, err := fleet.Build(ctx, b.dir)
		if err != nil {
			return "", err
		}
		b.binary = binary
	}
	return b.binary, nil
}

// folder makes a folder for one measurement.
func (b *bench) folder() (string, error) {
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return "", fmt.Errorf("make a folder: %w", err)
	}
	return dir, nil
}

// schema makes a schema with everybody's tables, empty, and lets the server begin
// with clean buffers. drop removes it.
func (b *bench) schema(ctx context.Context) (name string, drop func() error, err error) {
	b.schemas++
	name = "bench_" + strconv.Itoa(b.schemas)
	pool, err := b.connect(ctx, name, 2)
	if err != nil {
		return "", nil, err
	}
	defer pool.Close()
	migrator, err := migrate.NewPostgres(pool, name, nil)
	if err == nil {
		_, err = migrator.Up(ctx)
	}
	if err == nil {
		_, err = pool.Exec(ctx, "CHECKPOINT")
	}
	if err != nil {
		return "", nil, fmt.Errorf("prepare schema %s: %w", name, err)
	}
	return name, func() error { return b.exec(context.WithoutCancel(ctx), "DROP SCHEMA "+name+" CASCADE") }, nil
}

// connect opens a pool of connections whose search_path is the schema.
func (b *bench) connect(ctx context.Context, schema string, conns int) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(b.url)
	if err != nil {
		return nil, fmt.Errorf("parse the database URL: %w", err)
	}
	config.MaxConns = int32(conns)
	config.ConnConfig.RuntimeParams["search_path"] = schema
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return pool, nil
}

func (b *bench) exec(ctx context.Context, statement string) error {
	if _, err := b.meter.conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
