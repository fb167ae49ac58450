package dbtest

import (
	"fmt"
	"io/fs"
	"log/slog"
	"testing"
	"testing/fstest"

	"github.com/parkinglot/parkinglot/internal/store/migrate"
	"github.com/parkinglot/parkinglot/migrations"
)

// FirstNewer is the number of the first migration that Newer adds.
const FirstNewer = 91

// Newer returns the migrator of a program that knows these migrations more than this
// one, to be applied to db. log may be nil.
func Newer(tb testing.TB, db DB, log *slog.Logger, more ...string) *migrate.Migrator {
	tb.Helper()
	files := fstest.MapFS{}
	for i, sql := range more {
		files[fmt.Sprintf("%05d_newer.sql", FirstNewer+i)] = &fstest.MapFile{Data: []byte(sql)}
	}
	ours, err := fs.Sub(migrations.FS, "postgres")
	if err != nil {
		tb.Fatal(err)
	}
	names, err := fs.Glob(ours, "*.sql")
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range names {
		content, err := fs.ReadFile(ours, name)
		if err != nil {
			tb.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: content}
	}
	m, err := migrate.NewPostgresOf(files, db.Pool, db.Schema, log)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}
