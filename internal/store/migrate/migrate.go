// Package migrate brings a backend's schema up to date and says whether it is:
// our own migrations with goose, and River's with rivermigrate, in one schema.
//
// There are no down migrations for people: a backend that is ahead of the
// program needs the newer program. Nothing here creates databases or roles.
package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/migrations"
)

// The lines of migrations, each numbered on its own.
const (
	LineParkingLot = "parkinglot"
	LineRiver      = "river"
)

// Step is one migration that the program or the database knows.
type Step struct {
	Line      string // LineParkingLot or LineRiver
	Version   int64
	Name      string     // empty: the database knows it and this program does not
	AppliedAt *time.Time // nil: pending
}

// Migrator applies and inspects the migrations of one backend. Its methods are
// safe for concurrent use, also by several processes at once.
type Migrator struct {
	lines []line
	// prepare and lock are what a dialect does before it applies anything; lock
	// returns its release.
	prepare func(ctx context.Context) error
	lock    func(ctx context.Context) (func(), error)
}

// line is one numbered sequence of migrations.
type line interface {
	up(ctx context.Context) error
	steps(ctx context.Context) ([]Step, error)
}

// Up applies everything that is pending and returns it. Several processes may
// call it at once: one works, the others wait and find nothing to do. It refuses
// with store.ErrSchema to touch a schema that is ahead of this program.
func (m *Migrator) Up(ctx context.Context) ([]Step, error) {
	if err := m.prepare(ctx); err != nil {
		return nil, err
	}
	release, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer release()

	before, err := m.Status(ctx)
	if err != nil {
		return nil, err
	}
	if err := ahead(before); err != nil {
		return nil, err
	}
	for _, l := range m.lines {
		if err := l.up(ctx); err != nil {
			return nil, err
		}
	}
	after, err := m.Status(ctx)
	if err != nil {
		return nil, err
	}
	pending := map[Step]bool{}
	for _, s := range before {
		if s.AppliedAt == nil {
			pending[Step{Line: s.Line, Version: s.Version}] = true
		}
	}
	var applied []Step
	for _, s := range after {
		if s.AppliedAt != nil && pending[Step{Line: s.Line, Version: s.Version}] {
			applied = append(applied, s)
		}
	}
	return applied, nil
}

// Status returns every migration that the program or the database knows, ours
// first, by version. It writes nothing.
func (m *Migrator) Status(ctx context.Context) ([]Step, error) {
	var all []Step
	for _, l := range m.lines {
		steps, err := l.steps(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, steps...)
	}
	return all, nil
}

// Validate returns store.ErrSchema, with what to do about it, unless the schema
// is exactly what this program expects. It writes nothing.
func (m *Migrator) Validate(ctx context.Context) error {
	steps, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if err := ahead(steps); err != nil {
		return err
	}
	var missing []string
	for _, s := range steps {
		if s.AppliedAt == nil {
			missing = append(missing, fmt.Sprintf("%s %d", s.Line, s.Version))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: the database is behind this program, missing %s: run \"parkinglot migrate up\", or serve with --migrate",
			store.ErrSchema, strings.Join(missing, ", "))
	}
	return nil
}

func ahead(steps []Step) error {
	for _, s := range steps {
		if s.Name == "" {
			return fmt.Errorf("%w: the database is ahead of this program, which does not know %s migration %d: use the newer program",
				store.ErrSchema, s.Line, s.Version)
		}
	}
	return nil
}

// NewSQLite returns the migrator of an opened SQLite database, whose lock file
// already keeps other processes out.
func NewSQLite(db *sql.DB) (*Migrator, error) {
	l, err := newGooseLine(goose.DialectSQLite3, db, "sqlite")
	if err != nil {
		return nil, err
	}
	return &Migrator{
		lines:   []line{l},
		prepare: func(context.Context) error { return nil },
		lock:    func(context.Context) (func(), error) { return func() {}, nil },
	}, nil
}

// gooseLine is our own migrations.
type gooseLine struct {
	db       *sql.DB
	provider *goose.Provider
	store    database.Store
}

func newGooseLine(dialect goose.Dialect, db *sql.DB, folder string) (*gooseLine, error) {
	files, err := fs.Sub(migrations.FS, folder)
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(dialect, db, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	versions, err := database.NewStore(dialect, goose.DefaultTablename)
	if err != nil {
		return nil, err
	}
	return &gooseLine{db: db, provider: provider, store: versions}, nil
}

func (l *gooseLine) up(ctx context.Context) error {
	if _, err := l.provider.Up(ctx); err != nil {
		return fmt.Errorf("apply our migrations: %w", err)
	}
	return nil
}

// steps asks goose's version store itself, because a Provider would create its
// table.
func (l *gooseLine) steps(ctx context.Context) ([]Step, error) {
	applied := map[int64]*time.Time{}
	exists := true
	if x, ok := l.store.(database.StoreExtender); ok {
		var err error
		exists, err = x.TableExists(ctx, l.db)
		if errors.Is(err, errors.ErrUnsupported) { // goose does not know how to ask SQLite
			err = l.db.QueryRowContext(ctx,
				"SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = ?", goose.DefaultTablename).Scan(&exists)
		}
		if err != nil {
			return nil, fmt.Errorf("look for the migrations' table: %w", err)
		}
	}
	if exists {
		rows, err := l.store.ListMigrations(ctx, l.db)
		if err != nil {
			return nil, fmt.Errorf("read the applied migrations: %w", err)
		}
		for _, row := range rows {
			if row.Version == 0 || !row.IsApplied {
				continue
			}
			one, err := l.store.GetMigration(ctx, l.db, row.Version)
			if err != nil {
				return nil, fmt.Errorf("read migration %d: %w", row.Version, err)
			}
			at := one.Timestamp.UTC()
			applied[row.Version] = &at
		}
	}
	var steps []Step
	for _, source := range l.provider.ListSources() {
		steps = append(steps, Step{Line: LineParkingLot, Version: source.Version, Name: source.Path, AppliedAt: applied[source.Version]})
		delete(applied, source.Version)
	}
	return append(steps, unknown(LineParkingLot, applied)...), nil
}
