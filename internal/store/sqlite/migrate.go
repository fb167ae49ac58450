package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/migrations"
)

// migrate brings the schema up to date. A file that a newer program has written
// is refused: this one does not know what it would break.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations.FS, "sqlite")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return classify("read the schema version", err)
	}
	sources := p.ListSources()
	if known := sources[len(sources)-1].Version; have > known {
		return fmt.Errorf("%w: the file is at version %d and this program knows %d: use a newer program", store.ErrSchema, have, known)
	}
	_, err = p.Up(ctx)
	return err
}
