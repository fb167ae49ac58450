package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/fleet"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
)

// server is the program under load, seen from outside.
type server struct {
	process  *fleet.Process
	database string
	record   string // the executors' own
}

func (s *server) stop(ctx context.Context) error {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return s.process.Stop(ctx)
}

// sight is what the operating system and the database say of the server.
type sight struct {
	resident    int64 // bytes
	files       int
	connections int
	statements  int64 // transactions in the database so far
}

func (s *server) look(ctx context.Context) (sight, error) {
	var seen sight
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.PID()))
	if err != nil {
		return seen, fmt.Errorf("look at the server: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if kib, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, err := strconv.ParseInt(strings.Fields(kib)[0], 10, 64)
			if err != nil {
				return seen, fmt.Errorf("look at the server: %w", err)
			}
			seen.resident = n << 10
		}
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.process.PID()))
	if err != nil {
		return seen, fmt.Errorf("look at the server: %w", err)
	}
	seen.files = len(files)
	conn, err := pgx.Connect(ctx, s.database)
	if err != nil {
		return seen, fmt.Errorf("ask the database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }() // it has been read
	err = conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE a.pid <> pg_backend_pid()),
		(SELECT d.xact_commit FROM pg_stat_database AS d WHERE d.datname = current_database())
		FROM pg_stat_activity AS a WHERE a.datname = current_database() AND a.backend_type = 'client backend'`,
	).Scan(&seen.connections, &seen.statements)
	if err != nil {
		return seen, fmt.Errorf("ask the database: %w", err)
	}
	return seen, nil
}

// finishedAt reads when executors ended.
func finishedAt(record string) (map[domain.TaskID]time.Time, error) {
	file, err := os.Open(record)
	if err != nil {
		return nil, fmt.Errorf("read the executors' record: %w", err)
	}
	defer func() { _ = file.Close() }() // it has been read
	finished := make(map[domain.TaskID]time.Time)
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var entry attempts.RecordEntry
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			return nil, fmt.Errorf("read the executors' record: %w", err)
		}
		if entry.Kind == attempts.RecordExit {
			finished[entry.Task] = time.UnixMicro(entry.WallUS)
		}
	}
	return finished, lines.Err() //nolint:wrapcheck // of a file that this program's server wrote
}
