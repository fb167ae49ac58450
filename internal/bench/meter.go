package bench

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// meter reads what was used so far, on a connection of its own.
type meter struct {
	conn       *pgx.Conn
	postmaster int  // process id of the server; 0: not a process of this machine
	statements bool // pg_stat_statements is there
}

// reading is what was used up to an instant.
type reading struct {
	at         time.Time
	postgres   time.Duration // CPU time
	own        time.Duration
	servers    time.Duration
	wal        int64
	statements int64
}

func newMeter(ctx context.Context, url string) (*meter, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	m := &meter{conn: conn}
	var preloaded string
	if err := conn.QueryRow(ctx, "SHOW shared_preload_libraries").Scan(&preloaded); err != nil {
		return nil, errors.Join(fmt.Errorf("look at the server: %w", err), conn.Close(ctx))
	}
	if preloaded == "pg_stat_statements" {
		if _, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
			return nil, errors.Join(fmt.Errorf("count statements: %w", err), conn.Close(ctx))
		}
		m.statements = true
	}
	// In a container the server has other process ids than here.
	if backend, err := readStat(int(conn.PgConn().PID())); err == nil && backend.name == "postgres" {
		m.postmaster = backend.parent
	}
	return m, nil
}

func (m *meter) close(ctx context.Context) { _ = m.conn.Close(ctx) } // it has only read

// read returns what was used by the server, this process and the given servers.
func (m *meter) read(ctx context.Context, pids ...int) (reading, error) {
	var r reading
	const position = `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`
	if err := m.conn.QueryRow(ctx, position).Scan(&r.wal); err != nil {
		return reading{}, fmt.Errorf("read the server's position: %w", err)
	}
	if m.statements {
		const calls = `SELECT coalesce(sum(s.calls), 0)::bigint FROM pg_stat_statements AS s`
		if err := m.conn.QueryRow(ctx, calls).Scan(&r.statements); err != nil {
			return reading{}, fmt.Errorf("count statements: %w", err)
		}
	}
	if m.postmaster > 0 {
		var err error
		if r.postgres, err = familyCPU(m.postmaster); err != nil {
			return reading{}, fmt.Errorf("CPU time of the server: %w", err)
		}
	}
	for _, pid := range pids {
		s, err := readStat(pid)
		if err != nil {
			return reading{}, fmt.Errorf("CPU time of process %d: %w", pid, err)
		}
		r.servers += s.own
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return reading{}, fmt.Errorf("own CPU time: %w", err)
	}
	r.own = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	r.at = time.Now()
	return r, nil
}

// costs returns what n lifecycles between two readings cost each, and how many
// there were a second.
func costs(from, to reading, n int) Metrics {
	each := func(total float64) float64 { return total / float64(n) }
	m := Metrics{
		PerSecond: float64(n) / to.at.Sub(from.at).Seconds(),
		OwnCPU:    each(float64((to.own - from.own).Microseconds())),
		WAL:       each(float64(to.wal - from.wal)),
	}
	optional := func(metric Metric, total float64) {
		if total > 0 {
			m[metric] = each(total)
		}
	}
	optional(PostgresCPU, float64((to.postgres - from.postgres).Microseconds()))
	optional(ServeCPU, float64((to.servers - from.servers).Microseconds()))
	optional(Statements, float64(to.statements-from.statements))
	return m
}

// rowsWritten returns how many rows of the schema's tables were inserted, updated
// and deleted since they are there. Sessions hand in their counts when they end, so
// it waits until only this one is left.
func (m *meter) rowsWritten(ctx context.Context, schema string) (n int64, err error) {
	err = eventually(ctx, 10*time.Millisecond, func() (alone bool, err error) {
		const others = `SELECT count(*) = 0 FROM pg_stat_activity AS a
			WHERE a.backend_type = 'client backend' AND a.datname = current_database() AND a.pid <> pg_backend_pid()`
		err = m.conn.QueryRow(ctx, others).Scan(&alone)
		return alone, err
	})
	if err != nil {
		return 0, fmt.Errorf("wait for the sessions' end: %w", err)
	}
	const counts = `SELECT coalesce(sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del), 0)::bigint
		FROM pg_stat_user_tables AS s WHERE s.schemaname = $1`
	if err := m.conn.QueryRow(ctx, counts, schema).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the rows written in %s: %w", schema, err)
	}
	return n, nil
}
