// Command bench measures Parking Lot beside River alone on a Postgres of its own,
// and writes the table into docs/benchmarks.md. See package bench.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/schollz/progressbar/v3"

	"github.com/parkinglot/parkinglot/internal/bench"
	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// statements is asked for with -statements.
//
//go:embed statements.sql
var statements string

type flags struct {
	only       string
	statements bool
	tasks      int
	rounds     int
	slots      int
	submitters string
	document   string
	json       string
	profile    string
}

func run(ctx context.Context) error {
	var f flags
	flag.IntVar(&f.tasks, "tasks", 10_000, "lifecycles of one measurement")
	flag.IntVar(&f.rounds, "rounds", 5, "measurements of each contender")
	flag.IntVar(&f.slots, "slots", 200, "tasks run at once")
	flag.StringVar(&f.submitters, "submitters", "32,256", "submitters at once")
	flag.StringVar(&f.document, "write", "docs/benchmarks.md", "document whose table is replaced; empty: none")
	flag.StringVar(&f.json, "json", "", "file for every measurement; empty: none")
	flag.StringVar(&f.only, "only", "", "contenders to measure: those whose name contains this")
	flag.BoolVar(&f.statements, "statements", false, "print what statements cost (needs pg_stat_statements on the server)")
	flag.StringVar(&f.profile, "cpuprofile", "", "file for a CPU profile of the whole run; empty: none")
	flag.Parse()
	options := bench.Options{Tasks: f.tasks, Rounds: f.rounds, Slots: f.slots, Only: f.only}
	for text := range strings.SplitSeq(f.submitters, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("-submitters %q: give numbers such as 32,256", f.submitters)
		}
		options.Submitters = append(options.Submitters, n)
	}
	server := dbtest.Options{Durable: true}
	if f.statements {
		server.Settings = map[string]string{"shared_preload_libraries": "pg_stat_statements"}
	}
	url, stop, err := dbtest.StartServer(ctx, server)
	if err != nil {
		return err
	}
	defer stop()
	if f.statements {
		if err := query(ctx, url, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements", nil); err != nil {
			return err
		}
	}
	options.URL = url
	if f.profile != "" {
		file, err := os.Create(f.profile)
		if err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		defer file.Close() //nolint:errcheck // a profile that is cut off shows when it is read
		if err := pprof.StartCPUProfile(file); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetVisibility(telemetry.IsTerminal(os.Stderr)),
		progressbar.OptionClearOnFinish(), progressbar.OptionShowCount())
	options.Progress = func(done, of int, what string) {
		bar.ChangeMax(of)
		bar.Describe(what)
		_ = bar.Set(done) // a bar that cannot be drawn is no reason to stop
	}
	series, err := bench.Run(ctx, options)
	_ = bar.Finish()
	if err != nil {
		return err
	}
	if f.statements {
		if err := query(ctx, url, statements, os.Stdout); err != nil {
			return err
		}
	}
	return f.publish(ctx, url, series)
}

// query runs one statement and prints the rows it returns, tab-separated.
func query(ctx context.Context, url, statement string, out io.Writer) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // all of it was read
	rows, err := conn.Query(ctx, statement)
	if err != nil {
		return fmt.Errorf("ask about statements: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return fmt.Errorf("ask about statements: %w", err)
		}
		fmt.Fprintln(out, values...) //nolint:errcheck // to a terminal
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("ask about statements: %w", err)
	}
	return nil
}

// publish prints the table and writes it where it was asked for.
func (f *flags) publish(ctx context.Context, url string, series []bench.Series) error {
	version, err := serverVersion(ctx, url)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s\n%d lifecycles a measurement, %d rounds in turn, %d at once. Postgres %s (fsync on), %s, %d cores shared by client,\ncontender and database, %s. Command: `make bench`.\n",
		bench.Table(series), f.tasks, f.rounds, f.slots, version, runtime.Version(), runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly))
	fmt.Print(text)
	if f.json != "" {
		raw, err := json.MarshalIndent(series, "", "  ")
		if err != nil {
			return fmt.Errorf("write %s: %w", f.json, err)
		}
		if err := os.WriteFile(f.json, raw, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", f.json, err)
		}
	}
	if f.document == "" {
		return nil
	}
	document, err := os.ReadFile(f.document)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	replaced, err := bench.Replace(string(document), text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.document, err)
	}
	if err := os.WriteFile(f.document, []byte(replaced), 0o644); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

func serverVersion(ctx context.Context, url string) (version string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // was only read from
	if err := conn.QueryRow(ctx, "SHOW server_version").Scan(&version); err != nil {
		return "", fmt.Errorf("ask for the version: %w", err)
	}
	return version, nil
}
