package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// acquire waits for the writer. The caller calls done when it needs it no more.
func (s *Store) acquire(ctx context.Context) (done func(), err error) {
	if ctx.Value(insideKey{}) == s {
		return nil, errInside
	}
	select {
	case _, ok := <-s.turn:
		if !ok {
			return nil, errClosed
		}
		return func() { s.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// write runs f in a transaction of the writer. When f fails, nothing is written.
func (s *Store) write(ctx context.Context, what string, f func(ctx context.Context, q *dbsqlc.Queries) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	done, err := s.acquire(ctx)
	if err != nil {
		return classify(what, err)
	}
	defer done()
	if err := s.begin(ctx); err != nil {
		return classify(what, err)
	}
	if err := f(ctx, s.w); err != nil {
		return s.rollback(ctx, classify(what, err))
	}
	return s.commit(ctx, what)
}

// read runs f on one snapshot. f must not write.
func (s *Store) read(ctx context.Context, what string, f func(ctx context.Context, q *dbsqlc.Queries) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if s.readDB == nil {
		done, err := s.acquire(ctx)
		if err != nil {
			return classify(what, err)
		}
		defer done()
		return classify(what, f(ctx, s.w)) // nobody can write meanwhile: that is a snapshot
	}
	err := s.readTx(ctx, f)
	if err != nil && s.closed.Load() {
		err = fmt.Errorf("%w: %w", errClosed, err) // database/sql has no error for it that could be told
	}
	return classify(what, err)
}

func (s *Store) readTx(ctx context.Context, f func(ctx context.Context, q *dbsqlc.Queries) error) error {
	tx, err := s.readDB.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	err = f(ctx, s.r.WithTx(tx))
	if rerr := tx.Rollback(); err == nil {
		err = rerr
	}
	return err
}

func (s *Store) begin(ctx context.Context) error {
	_, err := s.writer.ExecContext(ctx, "BEGIN IMMEDIATE")
	return err
}

// commit ends the transaction. It cannot be cancelled: a COMMIT is either
// durable when it returns or it failed. One that failed on I/O may still be in
// the log and be recovered when the file is opened again, unless the next
// commit overwrites it: nobody knows, and the error says so.
func (s *Store) commit(ctx context.Context, what string) error {
	_, err := s.writer.ExecContext(context.WithoutCancel(ctx), "COMMIT")
	if err == nil {
		return nil
	}
	err = classify(what+": commit", err)
	if errors.Is(err, store.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", store.ErrCommitUnknown, err)
	}
	return s.rollback(ctx, err)
}

// rollback ends the transaction and returns cause. After some errors (disk full,
// I/O) SQLite has rolled back already, and says so; that is as good.
func (s *Store) rollback(ctx context.Context, cause error) error {
	if _, err := s.writer.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
		s.log.DebugContext(ctx, "rollback", "file", s.name(), "error", err)
	}
	return cause
}
