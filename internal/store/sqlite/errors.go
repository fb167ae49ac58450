package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/parkinglot/parkinglot/internal/store"
)

// ErrInUse says that another process has the file open.
var ErrInUse = errors.New("the database is in use by another process")

var errClosed = errors.New("the store is closed")

// classify wraps an error of the driver in the one of the seam that says what to
// do about it, and passes on what is of the seam already.
func classify(what string, err error) error {
	if err == nil {
		return nil
	}
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("sqlite: %s: %w: %w", what, kind, err)
	}
	return fmt.Errorf("sqlite: %s: %w", what, err)
}

// kindOf returns the error of the seam that err amounts to; nil: it is one, or
// none fits (a bug of ours).
func kindOf(err error) error {
	for _, known := range []error{
		store.ErrGuard, store.ErrData, store.ErrUnavailable, store.ErrNotFound, store.ErrSchema, store.ErrExists, store.ErrConflict,
	} {
		if errors.Is(err, known) {
			return nil
		}
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrNotFound
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, sql.ErrConnDone), errors.Is(err, driver.ErrBadConn), errors.Is(err, errClosed):
		return store.ErrUnavailable
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code() & 0xff { // the rest is the extended code
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return store.ErrData
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_PERM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return store.ErrUnavailable
	}
	return nil
}
