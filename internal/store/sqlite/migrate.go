package sqlite

import (
	"context"
	"database/sql"

	"github.com/parkinglot/parkinglot/internal/store/migrate"
)

// migrateUp brings the schema up to date. A file that a newer program has written
// is refused: this one does not know what it would break.
func migrateUp(ctx context.Context, db *sql.DB) error {
	m, err := migrate.NewSQLite(db)
	if err != nil {
		return err
	}
	_, err = m.Up(ctx)
	return err
}
