package migrate

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	lookEvery = 500 * time.Millisecond
	// silentFor is how old the heartbeat of a process may be that is still waited for.
	// Its tasks are the reaper's business.
	silentFor = "1 minute"
)

// postgresFleet is the register of processes in one schema. Its statements are here
// and not in queries/: they must run on every schema there ever was.
type postgresFleet struct {
	pool *pgxpool.Pool
	log  *slog.Logger
}

func (f *postgresFleet) there(ctx context.Context, table string) (there bool, err error) {
	if err := f.pool.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil {
		return false, fmt.Errorf("look for table %s: %w", table, err)
	}
	return there, nil
}

func (f *postgresFleet) oldest(ctx context.Context) (oldest int64, err error) {
	there, err := f.there(ctx, "pl_schema")
	if err != nil || !there {
		return 1 << 62, err // nothing says who may run on it
	}
	if err := f.pool.QueryRow(ctx, "SELECT oldest_program FROM pl_schema").Scan(&oldest); err != nil {
		return 0, fmt.Errorf("read which programs may use the schema: %w", err)
	}
	return oldest, nil
}

func (f *postgresFleet) mark(ctx context.Context, oldest int64) error {
	there, err := f.there(ctx, "pl_schema")
	if err != nil || !there {
		return err
	}
	if _, err := f.pool.Exec(ctx, "UPDATE pl_schema SET oldest_program = $1 WHERE oldest_program < $1", oldest); err != nil {
		return fmt.Errorf("say which programs may use the schema: %w", err)
	}
	return nil
}

func (f *postgresFleet) retire(ctx context.Context, oldest int64) error {
	if err := f.mark(ctx, oldest); err != nil {
		return err
	}
	there, err := f.there(ctx, "pl_workers")
	if err != nil || !there {
		return err
	}
	for told := ""; ; {
		older, err := f.older(ctx, oldest)
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("processes of an older program still run, and what is to be applied cannot live with them: stop %s, then migrate again: %w", told, ctx.Err())
		case len(older) == 0:
			return nil
		}
		if now := strings.Join(older, ", "); now != told {
			told = now
			f.log.WarnContext(ctx, "waiting for processes of an older program to stop", "processes", told)
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
	}
}

// older lists the living processes of programs older than oldest. The column program is
// younger than the table.
func (f *postgresFleet) older(ctx context.Context, oldest int64) ([]string, error) {
	rows, err := f.pool.Query(ctx, `
		SELECT format('%s on %s (pid %s)', w.role, w.host, w.pid) FROM pl_workers AS w
		WHERE w.dead_at IS NULL AND w.heartbeat_at > clock_timestamp() - $1::interval
		  AND coalesce((to_jsonb(w) ->> 'program')::bigint, 0) < $2
		ORDER BY w.worker_id`, silentFor, oldest)
	if err != nil {
		return nil, fmt.Errorf("look for processes of older programs: %w", err)
	}
	older, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for processes of older programs: %w", err)
	}
	return older, nil
}
