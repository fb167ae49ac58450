// Package sqlite keeps pools in SQLite: the backends memory and file.
//
// There is one writer. All writes go through one pinned connection behind a
// mutex, each in a transaction begun IMMEDIATE, so turns of all pools of a store
// take place one after the other. A file is in WAL mode and synced at every
// commit (synchronous=FULL); plain reads have connections of their own, which
// the writer does not block. In memory the pinned connection is the database
// (another one would see an empty one), so reads wait their turn as well.
//
// Caveats. One process at a time: a lock file beside the database refuses a
// second one, and whatever an earlier process held when it ended is an orphan
// as soon as the file is opened again. Turns of several pools share one fsync
// queue; where that is too slow, use Postgres. No River, hence no pools with
// the worker runtime, and no store.Waker: nobody else is there to be woken.
// Retention deletes rows of the audit trail; there are no partitions to drop.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// Limits of the store.
const (
	callTimeout   = 10 * time.Second // on every call, waiting for the writer included
	changeTimeout = time.Minute      // on a facility's change: 10,000 spots may be imported in one
	busyTimeout   = 5 * time.Second  // SQLite's own wait for a lock: a backup tool, say
	readConns     = 4                // of a file
)

// Options opens a store.
type Options struct {
	// Path of the database file; its folder is created. Empty: in memory.
	Path string
	// Now is the clock; nil: time.Now. Readings are truncated to the microsecond.
	Now func() time.Time
	// Log receives what no caller can be told; nil: slog.Default.
	Log *slog.Logger
}

// Store is one SQLite database. It is safe for concurrent use.
type Store struct {
	path string
	now  func() time.Time
	log  *slog.Logger
	lock *fileLock // nil in memory

	// turn holds one token; who has it may use writer and w, and nobody else.
	turn   chan struct{}
	writer *sql.Conn
	w      *dbsqlc.Queries // prepared on writer
	db     *sql.DB         // what writer is pinned from; at most one connection

	closed atomic.Bool
	readDB *sql.DB         // nil in memory
	r      *dbsqlc.Queries // prepared on readDB
}

var _ store.Store = (*Store)(nil)

// Open opens the database, migrates it, and, for a file, marks every worker of
// earlier processes dead. It fails when another process has the file open, when
// the file was written by a newer program (store.ErrSchema), or when it cannot
// be used at all.
func Open(ctx context.Context, opts Options) (_ *Store, err error) {
	s := &Store{path: opts.Path, now: opts.Now, log: opts.Log, turn: make(chan struct{}, 1)}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	dsn := ":memory:?" + pragmas().Encode()
	if s.path != "" {
		if dsn, err = s.prepareFile(); err != nil {
			return nil, err
		}
	}
	if s.db, err = sql.Open("sqlite", dsn); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	s.db.SetMaxOpenConns(1)
	if err = migrateUp(ctx, s.db); err != nil {
		return nil, classify("migrate "+s.name(), err)
	}
	if s.writer, err = s.db.Conn(ctx); err != nil {
		return nil, classify("connect", err)
	}
	if s.w, err = dbsqlc.Prepare(ctx, s.writer); err != nil {
		return nil, classify("prepare", err)
	}
	if s.path != "" {
		if err = s.openFile(ctx); err != nil {
			return nil, err
		}
	}
	s.turn <- struct{}{}
	return s, nil
}

// prepareFile makes the folder, takes the lock and returns the file's DSN.
func (s *Store) prepareFile() (string, error) {
	path, err := filepath.Abs(s.path)
	if err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	s.path = path
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return "", fmt.Errorf("sqlite: make the data folder: %w", err)
	}
	if s.lock, err = lockFile(path + ".lock"); err != nil {
		return "", fmt.Errorf("sqlite: %s: %w", path, err)
	}
	q := pragmas()
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", "journal_size_limit(67108864)")
	return s.fileDSN(q), nil
}

// openFile opens the readers and buries the workers of earlier processes.
func (s *Store) openFile(ctx context.Context) error {
	var mode string
	if err := s.writer.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return classify("read the journal mode", err)
	}
	if mode != "wal" {
		return fmt.Errorf("sqlite: %s: this file system does not support WAL (journal mode is %s); use a local disk", s.path, mode)
	}
	dead, err := s.w.MarkAllDead(ctx, new(micros(s.clock())))
	if err != nil {
		return classify("bury earlier workers", err)
	}
	if dead > 0 {
		s.log.InfoContext(ctx, "workers of an earlier process are dead; what they held is lost", "file", s.path, "workers", dead)
	}
	q := pragmas()
	q.Add("_pragma", "query_only(1)")
	if s.readDB, err = sql.Open("sqlite", s.fileDSN(q)); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	s.readDB.SetMaxOpenConns(readConns)
	s.readDB.SetMaxIdleConns(readConns)
	if s.r, err = dbsqlc.Prepare(ctx, s.readDB); err != nil {
		return classify("prepare readers", err)
	}
	return nil
}

// pragmas are the settings of every connection. Doubly quoted text is an error,
// not a string, so that a misspelt column fails loudly.
func pragmas() url.Values {
	return url.Values{
		"_busy_timeout": {strconv.FormatInt(busyTimeout.Milliseconds(), 10)},
		"_foreign_keys": {"1"},
		"_dqs":          {"0"},
		"_pragma":       {"temp_store(MEMORY)", "cache_size(-16384)"},
	}
}

func (s *Store) fileDSN(q url.Values) string {
	return "file:" + (&url.URL{Path: s.path}).EscapedPath() + "?" + q.Encode()
}

func (s *Store) name() string {
	if s.path == "" {
		return "memory"
	}
	return s.path
}

// Backend implements store.Store.
func (s *Store) Backend() domain.Backend {
	if s.path == "" {
		return domain.BackendMemory
	}
	return domain.BackendFile
}

// Ping implements store.Store.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, "ping", func(ctx context.Context, q *dbsqlc.Queries) error {
		_, err := q.ListSources(ctx)
		return err
	})
}

// Close implements store.Store. It waits for the transaction that is under way.
func (s *Store) Close() error {
	if _, ok := <-s.turn; !ok {
		return nil
	}
	s.closed.Store(true)
	close(s.turn)
	return s.release()
}

// release gives back everything that Open took, as far as it came.
func (s *Store) release() error {
	var errs []error
	for _, q := range []*dbsqlc.Queries{s.r, s.w} {
		if q != nil {
			errs = append(errs, q.Close())
		}
	}
	if s.readDB != nil {
		errs = append(errs, s.readDB.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}

// clock reads the process's clock.
func (s *Store) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// clockOr returns now, or the clock's reading when now is zero.
func (s *Store) clockOr(now time.Time) time.Time {
	if now.IsZero() {
		return s.clock()
	}
	return now.UTC().Truncate(time.Microsecond)
}
