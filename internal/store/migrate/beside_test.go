package migrate_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/migrate"
	"github.com/parkinglot/parkinglot/migrations"
)

// TestEveryMigrationSaysWhoMayRunBesideIt: the first release has two, which nothing is
// older than.
func TestEveryMigrationSaysWhoMayRunBesideIt(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(migrations.FS, "postgres/*.sql")
	require.NoError(t, err)
	first := regexp.MustCompile(`^-- oldest-program: ([0-9]+)\n`)
	for _, name := range names {
		if strings.Contains(name, "/00001_") || strings.Contains(name, "/00002_") {
			continue
		}
		content, err := fs.ReadFile(migrations.FS, name)
		require.NoError(t, err)
		m := first.FindSubmatch(content)
		require.NotNil(t, m, `%s: the first line must be "-- oldest-program: N": the newest migration that a program must know to run beside this one; see docs/operations.md`, name)
		var oldest, version int64
		_, err = fmt.Sscan(string(m[1]), &oldest)
		require.NoError(t, err)
		_, err = fmt.Sscanf(strings.TrimPrefix(name, "postgres/"), "%05d", &version)
		require.NoError(t, err)
		require.LessOrEqual(t, oldest, version, name)
		require.GreaterOrEqual(t, oldest, int64(2), name)
	}
}

// TestRiverIsPinned: River's migrations say nothing about older programs; ours must.
func TestRiverIsPinned(t *testing.T) {
	t.Parallel()
	steps, err := newMigrator(t, dbtest.Postgres(t)).Status(t.Context())
	require.NoError(t, err)
	last := slices.MaxFunc(slices.DeleteFunc(steps, func(s migrate.Step) bool { return s.Line != migrate.LineRiver }),
		func(a, b migrate.Step) int { return int(a.Version - b.Version) })
	require.EqualValues(t, 8, last.Version, "River brings a migration: add one of ours that says which programs may run beside it, then raise this number")
}

func TestExpandingMigrationLetsOlderProgramsRun(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	old := newMigrator(t, db)
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO pl_workers (worker_id, role, host, pid, started_at, program, heartbeat_at)
		VALUES ('w', 'serve', 'h', 1, now(), $1, now())`, migrate.Program())
	require.NoError(t, err)

	expand := fmt.Sprintf("-- oldest-program: %d\n-- +goose Up\nALTER TABLE pl_pools ADD COLUMN later text;", migrate.Program())
	applied, err := dbtest.Newer(t, db, nil, expand).Up(t.Context())
	require.NoError(t, err)
	require.Len(t, applied, 1)

	require.NoError(t, old.Validate(t.Context()), "the older program may go on and start again")
	applied, err = old.Up(t.Context())
	require.NoError(t, err)
	require.Empty(t, applied)
}

func TestContractingMigrationWaitsForOlderPrograms(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO pl_workers 
		SELECT v.id, 'serve', 'here', v.pid, now, now - v.silent::interval, CASE WHEN v.id = 'dead' THEN now END, v.program
		FROM now(), (VALUES ('old', 71, '0', $1::bigint), ('new', 72, '0', 91), ('dead', 73, '0', $1), ('silent', 74, '1h', $1)) AS v (id, pid, silent, program)`, migrate.Program())
	require.NoError(t, err)
	breaking := dbtest.Newer(t, db, nil, "-- oldest-program: 91\n-- +goose Up\nALTER TABLE pl_pools RENAME COLUMN name TO title;")

	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = breaking.Up(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "stop serve on here (pid 71), then migrate again")
	steps, err := breaking.Status(t.Context())
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(steps, func(s migrate.Step) bool { return s.Version == dbtest.FirstNewer && s.AppliedAt == nil }))

	done := make(chan error, 1)
	go func() { _, err := breaking.Up(t.Context()); done <- err }()
	_, err = db.Pool.Exec(t.Context(), "DELETE FROM pl_workers WHERE worker_id = 'old'")
	require.NoError(t, err)
	require.NoError(t, <-done)
	err = newMigrator(t, db).Validate(t.Context())
	require.ErrorIs(t, err, store.ErrSchema)
	require.ErrorContains(t, err, "too old to run beside it: use the newer program")
}

// TestMigrationsDoNotBlockOthers: a migration that must wait for a lock lets the others
// pass in between, and goes through when it can.
func TestMigrationsDoNotBlockOthers(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	long, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = long.Exec(t.Context(), "SELECT FROM pl_pools")
	require.NoError(t, err)

	waits := make(chan struct{}, 100)
	log := slog.New(heard{slog.DiscardHandler, waits})
	done := make(chan error, 1)
	m := dbtest.Newer(t, db, log, fmt.Sprintf("-- oldest-program: %d\n-- +goose Up\nALTER TABLE pl_pools ADD COLUMN later text;", migrate.Program()))
	go func() { _, err := m.Up(t.Context()); done <- err }()

	<-waits // it has given way once
	passing, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var n int
	require.NoError(t, db.Pool.QueryRow(passing, "SELECT count(*) FROM pl_pools").Scan(&n))
	require.NoError(t, long.Rollback(t.Context()))
	require.NoError(t, <-done)
}

// heard signals every record.
type heard struct {
	slog.Handler

	waits chan struct{}
}

func (heard) Enabled(context.Context, slog.Level) bool { return true }

func (h heard) Handle(context.Context, slog.Record) error {
	h.waits <- struct{}{}
	return nil
}

func (h heard) WithAttrs([]slog.Attr) slog.Handler { return h }
