package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// gooseLine is our own migrations.
type gooseLine struct {
	dialect goose.Dialect
	files   fs.FS
	db      *sql.DB
	sources []*goose.Source
	store   database.Store
	// ddl returns the connections that migrations are applied on, and what ends them.
	ddl func(ctx context.Context) (*sql.DB, func(), error)
}

func newGooseLine(dialect goose.Dialect, files fs.FS, db *sql.DB, ddl func(context.Context) (*sql.DB, func(), error)) (*gooseLine, error) {
	provider, err := newProvider(dialect, db, files)
	if err != nil {
		return nil, err
	}
	versions, err := database.NewStore(dialect, goose.DefaultTablename)
	if err != nil {
		return nil, err
	}
	return &gooseLine{dialect: dialect, files: files, db: db, sources: provider.ListSources(), store: versions, ddl: ddl}, nil
}

func newProvider(dialect goose.Dialect, db *sql.DB, files fs.FS) (*goose.Provider, error) {
	provider, err := goose.NewProvider(dialect, db, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	return provider, nil
}

// newest returns the number of the last migration.
func (l *gooseLine) newest() int64 {
	newest := int64(0)
	for _, source := range l.sources {
		newest = max(newest, source.Version)
	}
	return newest
}

func (l *gooseLine) up(ctx context.Context) error {
	db, release, err := l.ddl(ctx)
	if err != nil {
		return fmt.Errorf("apply our migrations: %w", err)
	}
	defer release()
	provider, err := newProvider(l.dialect, db, l.files)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
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
	for _, source := range l.sources {
		steps = append(steps, Step{Line: LineParkingLot, Version: source.Version, Name: source.Path, AppliedAt: applied[source.Version]})
		delete(applied, source.Version)
	}
	return append(steps, unknown(LineParkingLot, applied)...), nil
}
