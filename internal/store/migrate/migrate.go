// Package migrate brings a backend's schema up to date and says whether it is:
// our own migrations with goose, and River's with rivermigrate, in one schema.
//
// There are no down migrations for people. A program may run on a schema that is
// ahead of it as long as the schema's mark allows programs that old; see beside.go.
// Nothing here creates databases or roles.
package migrate

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

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
	lines   []line
	program int64           // newest migration of ours that this program knows
	oldest  map[int64]int64 // by migration, the oldest program that may run beside it
	fleet   fleet
	// lock and prepare are what a dialect does before it applies anything, in that
	// order; lock returns its release.
	lock    func(ctx context.Context) (func(), error)
	prepare func(ctx context.Context) error
}

// line is one numbered sequence of migrations.
type line interface {
	up(ctx context.Context) error
	steps(ctx context.Context) ([]Step, error)
}

// Up applies everything that is pending and returns it. Several processes may
// call it at once: one works, the others wait and find nothing to do. When something
// pending cannot live with an older program, processes of such programs are told to
// stop and waited for first, until ctx ends. On a schema that is ahead of this program it
// does nothing, or refuses with store.ErrSchema when the schema is not for programs so old.
func (m *Migrator) Up(ctx context.Context) ([]Step, error) {
	release, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := m.prepare(ctx); err != nil {
		return nil, err
	}

	before, err := m.Status(ctx)
	if err != nil {
		return nil, err
	}
	if isAhead(before) {
		return nil, m.mayRunOn(ctx, before)
	}
	if err := m.fleet.retire(ctx, m.oldestAfter(before, false)); err != nil {
		return nil, err
	}
	for _, l := range m.lines {
		if err := l.up(ctx); err != nil {
			return nil, err
		}
	}
	if err := m.fleet.mark(ctx, m.oldestAfter(before, true)); err != nil { // for good, now that the table is there
		return nil, err
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

// Validate returns store.ErrSchema, with what to do about it, unless this program
// may run on the schema: nothing it knows is missing there, and what is there beyond
// that allows programs as old as this one. It writes nothing.
func (m *Migrator) Validate(ctx context.Context) error {
	steps, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if isAhead(steps) {
		return m.mayRunOn(ctx, steps)
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

// NewSQLite returns the migrator of an opened SQLite database, whose lock file
// already keeps other processes out.
func NewSQLite(db *sql.DB) (*Migrator, error) {
	files, err := fs.Sub(migrations.FS, "sqlite")
	if err != nil {
		return nil, err
	}
	l, err := newGooseLine(goose.DialectSQLite3, files, db, func(context.Context) (*sql.DB, func(), error) { return db, func() {}, nil })
	if err != nil {
		return nil, err
	}
	return &Migrator{
		lines:   []line{l},
		program: l.newest(),
		fleet:   alone{},
		prepare: func(context.Context) error { return nil },
		lock:    func(context.Context) (func(), error) { return func() {}, nil },
	}, nil
}
