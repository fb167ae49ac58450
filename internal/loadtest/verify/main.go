// Command verify measures "parkinglot verify" on the history of one pool, on a Postgres of
// its own that is filled by SQL: how long it takes, and how much memory and temporary
// disk. It runs each of the programs it is given in turn, so that builds can be compared
// on the same tables.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parkinglot/parkinglot/internal/app"
	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/dbtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	events := flag.Int64("events", 1_000_000, "events of the history")
	rounds := flag.Int("rounds", 3, "how often each program is run")
	server := flag.Bool("server", false, "verify through a server as well")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "verify [flags] PROGRAM...: each PROGRAM is a parkinglot binary")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		return errors.New("give the parkinglot binaries to run")
	}

	database, stop, err := dbtest.StartServer(ctx, dbtest.Options{Durable: true, Own: true})
	if err != nil {
		return err
	}
	defer stop()
	dir, err := os.MkdirTemp("", "parkinglot-verify-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	cfg, path, err := configure(dir, database)
	if err != nil {
		return err
	}
	_, end, err := serve(ctx, cfg)
	if err != nil {
		return err
	}
	end() // it has made the tables and the pool
	began := time.Now()
	if err := prepare(ctx, database, *events); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d events in %s\n", *events, time.Since(began).Round(time.Second))

	fmt.Println("| program | through | round | seconds | events/s | peak memory |")
	fmt.Println("|---|---|---:|---:|---:|---:|")
	for round := range *rounds {
		for _, program := range flag.Args() {
			if err := measure(ctx, program, "tables", round+1, *events, "--config", path); err != nil {
				return err
			}
		}
	}
	if !*server {
		return nil
	}
	base, end, err := serve(ctx, cfg)
	if err != nil {
		return err
	}
	defer end()
	for round := range *rounds {
		for _, program := range flag.Args() {
			if err := measure(ctx, program, "server", round+1, *events, "--server", base); err != nil {
				return err
			}
		}
	}
	return nil
}

const pool = "p"

func configure(dir, database string) (*config.Config, string, error) {
	path := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf("database: {url: %q}\ndefaults: {queue_backend: postgres, mailbox_backend: postgres}\n"+
		"pools:\n- {pool_id: %s, max_units: 1000, executors: {default: {type: sleep}}}\n", database, pool)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, "", fmt.Errorf("write the configuration: %w", err)
	}
	cfg, err := config.Load(config.Source{Path: path})
	return cfg, path, err
}

// serve starts the program on the database and returns its address.
func serve(ctx context.Context, cfg *config.Config) (base string, end func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	ready, ended := make(chan app.Running, 1), make(chan error, 1)
	go func() {
		ended <- app.Serve(ctx, cfg, app.Options{
			Listen: "127.0.0.1:0", Migrate: true, Log: slog.New(slog.DiscardHandler), Ready: func(r app.Running) { ready <- r },
		})
	}()
	select {
	case r := <-ready:
		return "http://" + r.Addr, func() {
			cancel()
			<-ended //nolint:errcheck // measured already
		}, nil
	case err := <-ended:
		cancel()
		return "", nil, err
	}
}

func prepare(ctx context.Context, database string, events int64) (err error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	return fill(ctx, conn, pool, events/4, time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1))
}

// measure runs one program once. A violation fails: the history is right.
func measure(ctx context.Context, program, through string, round int, events int64, args ...string) error {
	cmd := exec.CommandContext(ctx, program, append([]string{"verify", "--json"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out.Bytes())
	}
	took := time.Since(began)
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("this system does not tell how much memory a program used")
	}
	fmt.Printf("| %s | %s | %d | %.1f | %.0f | %d MiB |\n", filepath.Base(program), through, round, took.Seconds(), float64(events)/took.Seconds(), usage.Maxrss>>10)
	return nil
}
