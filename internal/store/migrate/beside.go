package migrate

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"sync"

	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/migrations"
)

// A program is as old as the newest migration it knows. Every Postgres migration says in
// its first line which programs may still run beside it:
//
//	-- oldest-program: 2
//
// Its own number means none but those that know it. The greatest of these numbers is the
// schema's mark (pl_schema.oldest_program). Programs older than the mark refuse to
// start, and stop when a heartbeat tells them.
var oldestLine = regexp.MustCompile(`^-- oldest-program: ([0-9]+)$`)

// Program returns how old this program is: the newest Postgres migration it knows.
var Program = sync.OnceValue(func() int64 {
	files, err := fs.Glob(migrations.FS, "postgres/*.sql")
	if err != nil || len(files) == 0 {
		panic("the embedded migrations cannot be listed") // they are compiled in
	}
	newest := int64(0)
	for _, name := range files {
		newest = max(newest, versionOf(name[len("postgres/"):]))
	}
	return newest
})

var versionPrefix = regexp.MustCompile(`^[0-9]+`)

func versionOf(name string) int64 {
	v, _ := strconv.ParseInt(versionPrefix.FindString(name), 10, 64) // goose refuses a name without a number
	return v
}

// oldestPrograms returns, by migration, the oldest program that may run beside it. One
// that does not say is taken for one that no older program may.
func oldestPrograms(files fs.FS) (map[int64]int64, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	oldest := make(map[int64]int64, len(names))
	for _, name := range names {
		version := versionOf(name)
		oldest[version] = version
		f, err := files.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", name, err)
		}
		first := bufio.NewScanner(f)
		first.Scan()
		if m := oldestLine.FindStringSubmatch(first.Text()); m != nil {
			if oldest[version], err = strconv.ParseInt(m[1], 10, 64); err != nil {
				return nil, fmt.Errorf("migration %s: %w", name, err)
			}
		}
		_ = f.Close() // nothing was written
	}
	return oldest, nil
}

// fleet is what a dialect knows of the processes that use the schema.
type fleet interface {
	// oldest returns the schema's mark.
	oldest(ctx context.Context) (int64, error)
	// mark raises the schema's mark; a schema that has none yet is left as it is.
	mark(ctx context.Context, oldest int64) error
	// retire raises the mark and waits until no process of an older program lives.
	retire(ctx context.Context, oldest int64) error
}

// alone is the fleet of a backend that one process has for itself.
type alone struct{}

func (alone) oldest(context.Context) (int64, error) {
	return 1 << 62, nil // what a newer program has written is not for this one
}
func (alone) mark(context.Context, int64) error   { return nil }
func (alone) retire(context.Context, int64) error { return nil }

// oldestAfter returns what the mark must be at least once the pending migrations are
// applied, or, with all, by every migration this program knows.
func (m *Migrator) oldestAfter(steps []Step, all bool) int64 {
	oldest := int64(0)
	for _, s := range steps {
		if s.Line == LineParkingLot && (all || s.AppliedAt == nil) {
			oldest = max(oldest, m.oldest[s.Version])
		}
	}
	return oldest
}

func isAhead(steps []Step) bool { return firstUnknown(steps, "") != nil }

// firstUnknown returns the first step that this program does not know; of any line when
// none is given.
func firstUnknown(steps []Step, line string) *Step {
	for i := range steps {
		if steps[i].Name == "" && (line == "" || steps[i].Line == line) {
			return &steps[i]
		}
	}
	return nil
}

// mayRunOn refuses a schema that is ahead unless its mark allows this program. A step
// of River's alone tells nothing of who may run beside it: releases that bring one bring
// one of ours.
func (m *Migrator) mayRunOn(ctx context.Context, steps []Step) error {
	step := firstUnknown(steps, LineParkingLot)
	if step == nil {
		step = firstUnknown(steps, "")
		return fmt.Errorf("%w: the database is ahead of this program, which does not know %s migration %d: use the newer program",
			store.ErrSchema, step.Line, step.Version)
	}
	oldest, err := m.fleet.oldest(ctx)
	if err != nil {
		return err
	}
	if oldest > m.program {
		return fmt.Errorf("%w: the database is ahead of this program, which does not know %s migration %d and is too old to run beside it: use the newer program",
			store.ErrSchema, step.Line, step.Version)
	}
	for _, s := range steps {
		if s.Name != "" && s.AppliedAt == nil {
			return fmt.Errorf("%w: the database is ahead of this program and lacks %s migration %d all the same: another program has made it",
				store.ErrSchema, s.Line, s.Version)
		}
	}
	return nil
}
