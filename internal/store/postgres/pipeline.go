package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// pipe is what statements of one round trip are written against: sqlc's generated
// methods, and exec for transaction control, which sqlc has none for.
type pipe struct {
	*dbsqlc.Queries
	db dbsqlc.DBTX
}

func (p pipe) exec(ctx context.Context, sql string) error {
	_, err := p.db.Exec(ctx, sql)
	return err
}

// batcher is the part of a connection that a pipeline needs.
type batcher interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// pipelined sends the statements of f in one round trip. It calls f twice: first to
// queue, when every query answers with nothing and no error, then to read the
// answers. So f must ask the same both times, and not decide by an answer what
// to ask next. The first error ends it; what follows in the batch is not executed.
func pipelined(ctx context.Context, conn batcher, f func(p pipe) error) error {
	return pipelinedWhile(ctx, conn, nil, f)
}

// pipelinedWhile calls meanwhile between sending and reading, while the server works.
func pipelinedWhile(ctx context.Context, conn batcher, meanwhile func(), f func(p pipe) error) error {
	rec := &recorder{batch: &pgx.Batch{}}
	if err := f(pipe{Queries: dbsqlc.New(rec), db: rec}); err != nil {
		return err
	}
	results := conn.SendBatch(ctx, rec.batch)
	if meanwhile != nil {
		meanwhile()
	}
	rep := &replayer{results: results, queued: rec.batch.QueuedQueries}
	err := f(pipe{Queries: dbsqlc.New(rep), db: rep})
	closeErr := results.Close()
	if err == nil && closeErr == nil && rep.at != len(rep.queued) {
		err = errDiverged
	}
	if err == nil {
		err = closeErr
	}
	return err
}

var errDiverged = errors.New("a pipeline's statements differ between queueing and reading")

// recorder queues what it is asked.
type recorder struct{ batch *pgx.Batch }

func (r *recorder) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	r.batch.Queue(sql, args...)
	return pgconn.CommandTag{}, nil
}

func (r *recorder) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	r.batch.Queue(sql, args...)
	return nothing{}, nil
}

func (r *recorder) QueryRow(_ context.Context, sql string, args ...any) pgx.Row {
	r.batch.Queue(sql, args...)
	return nothing{}
}

// replayer answers what was queued, in order.
type replayer struct {
	results pgx.BatchResults
	queued  []*pgx.QueuedQuery
	at      int
}

func (r *replayer) next(sql string) error {
	if r.at >= len(r.queued) || r.queued[r.at].SQL != sql {
		return fmt.Errorf("%w: at %d", errDiverged, r.at)
	}
	r.at++
	return nil
}

func (r *replayer) Exec(_ context.Context, sql string, _ ...any) (pgconn.CommandTag, error) {
	if err := r.next(sql); err != nil {
		return pgconn.CommandTag{}, err
	}
	return r.results.Exec()
}

func (r *replayer) Query(_ context.Context, sql string, _ ...any) (pgx.Rows, error) {
	if err := r.next(sql); err != nil {
		return nil, err
	}
	return r.results.Query()
}

func (r *replayer) QueryRow(_ context.Context, sql string, _ ...any) pgx.Row {
	if err := r.next(sql); err != nil {
		return failed{err}
	}
	return r.results.QueryRow()
}

// nothing is the answer to a query that has only been queued.
type nothing struct{}

func (nothing) Close()                                       {}
func (nothing) Err() error                                   { return nil }
func (nothing) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (nothing) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (nothing) Next() bool                                   { return false }
func (nothing) Scan(...any) error                            { return nil }
func (nothing) Values() ([]any, error)                       { return nil, nil }
func (nothing) RawValues() [][]byte                          { return nil }
func (nothing) Conn() *pgx.Conn                              { return nil }
func (nothing) TypeMap() *pgtype.Map                         { return nil }

type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }
