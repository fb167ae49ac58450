// Command bench measures Parking Lot beside River alone and bare inserts on a
// Postgres of its own, and writes docs/benchmarks.md and docs/bench. See package
// bench.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"

	"github.com/jackc/pgx/v5"
	"github.com/schollz/progressbar/v3"

	"github.com/parkinglot/parkinglot/internal/app"
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
	cases      string
	rounds     int
	tasks      int
	quick      bool
	size       bool
	resume     bool
	docs       string
	statements bool
	profile    string
	served     string
	program    string
	list       bool
}

func run(ctx context.Context) error {
	// Everything that is measured in this process has what a process that serves has, River too.
	defer runtime.KeepAlive(app.Ballast())
	var f flags
	flag.StringVar(&f.only, "only", "", "scenarios to measure: those whose name matches this regular expression")
	flag.StringVar(&f.cases, "cases", "", "cases to measure: those whose name matches this regular expression; writes nothing")
	flag.IntVar(&f.rounds, "rounds", 5, "measurements of each case")
	flag.IntVar(&f.tasks, "tasks", 0, "lifecycles of every measurement; 0: what the matrix says")
	flag.BoolVar(&f.quick, "quick", false, "one round of a quarter of the size; writes nothing")
	flag.BoolVar(&f.size, "size", false, "the scenarios with large tables instead of the others")
	flag.BoolVar(&f.resume, "resume", false, "go on where the results stop")
	flag.StringVar(&f.docs, "docs", "docs", "folder of benchmarks.md and bench/; empty: write nothing")
	flag.BoolVar(&f.statements, "statements", false, "print what statements cost (needs pg_stat_statements on the server)")
	flag.StringVar(&f.profile, "cpuprofile", "", "file for a CPU profile of this process over the whole run; empty: none")
	flag.StringVar(&f.served, "serve-cpuprofile", "", "file for a CPU profile of serve over the last case that starts one; empty: none")
	flag.StringVar(&f.program, "program", "", "binary whose serve is measured, to compare two; empty: built from this tree")
	flag.BoolVar(&f.list, "list", false, "list the scenarios and their cases")
	flag.Parse()
	if f.list {
		return list(os.Stdout)
	}
	options := bench.Options{Size: f.size, Rounds: f.rounds, Tasks: f.tasks, Resume: f.resume, Program: f.program, ServeProfile: f.served}
	if f.quick {
		const quarter = 4
		options.Rounds, options.Shrink, f.docs = 1, quarter, ""
	}
	if f.only != "" {
		var err error
		if options.Only, err = regexp.Compile(f.only); err != nil {
			return fmt.Errorf("-only: %w", err)
		}
	}
	if f.cases != "" {
		var err error
		if options.Cases, err = regexp.Compile(f.cases); err != nil {
			return fmt.Errorf("-cases: %w", err)
		}
		f.docs = "" // half of a scenario must not replace a whole one
	}
	scenarios := options.Select(bench.Matrix())
	if len(scenarios) == 0 {
		return fmt.Errorf("no scenario matches %q; see -list (those with large tables need -size)", f.only)
	}
	if f.docs != "" {
		options.Results = filepath.Join(f.docs, "bench", "results.json")
	}
	return f.measure(ctx, scenarios, options)
}

// measure runs the scenarios on a server of their own and writes what came out, also
// when it was interrupted.
func (f *flags) measure(ctx context.Context, scenarios []bench.Scenario, options bench.Options) error {
	// Interrupted, the server is still needed until the results are written.
	url, stop, err := dbtest.StartServer(context.WithoutCancel(ctx), dbtest.Options{Durable: true, Own: true, Settings: map[string]string{
		"shared_preload_libraries": "pg_stat_statements", "shared_buffers": "512MB", "max_wal_size": "8GB",
	}})
	if err != nil {
		return err
	}
	defer stop()
	options.URL = url
	if f.profile != "" {
		end, err := profile(f.profile)
		if err != nil {
			return err
		}
		defer end()
	}
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetVisibility(telemetry.IsTerminal(os.Stderr)),
		progressbar.OptionClearOnFinish(), progressbar.OptionShowCount())
	options.Progress = func(done, of int, what string) {
		bar.ChangeMax(of)
		bar.Describe(what)
		_ = bar.Set(done) // a bar that cannot be drawn is no reason to stop
	}
	results, err := bench.Run(ctx, scenarios, options)
	_ = bar.Finish()
	if results == nil {
		return err
	}
	if f.statements {
		err = errors.Join(err, query(context.WithoutCancel(ctx), url, statements, os.Stdout))
	}
	return errors.Join(err, f.publish(scenarios, results))
}

// publish prints what was measured now, and writes page and plots of all there is.
func (f *flags) publish(scenarios []bench.Scenario, results *bench.Results) error {
	fmt.Print(bench.Page(scenarios, results))
	if f.docs == "" {
		return nil
	}
	const mode = 0o644
	matrix := bench.Matrix()
	for i := range matrix {
		record := results.Scenarios[matrix[i].Name]
		if record == nil || len(record.Rounds) == 0 {
			continue
		}
		path := filepath.Join(f.docs, "bench", matrix[i].Name+".svg")
		if err := os.WriteFile(path, []byte(bench.Plot(&matrix[i], record)), mode); err != nil {
			return fmt.Errorf("write a plot: %w", err)
		}
	}
	path := filepath.Join(f.docs, "benchmarks.md")
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	replaced, err := bench.Replace(string(page), bench.Page(matrix, results))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(replaced), mode); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

func list(out io.Writer) error {
	for _, s := range bench.Matrix() {
		size := ""
		if s.Size {
			size = " (-size)"
		}
		if _, err := fmt.Fprintf(out, "%s%s: %s\n", s.Name, size, s.Title); err != nil {
			return err
		}
		for i := range s.Cases {
			if _, err := fmt.Fprintf(out, "    %s\n", s.Cases[i].Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// profile writes a CPU profile until end is called.
func profile(path string) (end func(), err error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), file.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close() // a profile that is cut off shows when it is read
	}, nil
}

// query runs one statement and prints the rows it returns.
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
		if _, err := fmt.Fprintln(out, values...); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("ask about statements: %w", err)
	}
	return nil
}
