// Command streams opens thousands of mailbox streams on one server, over a Postgres of
// its own, and measures how long outcomes take from their executors to their readers.
// Streams come back with their last id now and then. Every outcome has to arrive once,
// in the stream it is for; the command fails when one does not.
//
// The server is a process of its own; the readers are this process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/fleet"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
)

// options are what is measured.
type options struct {
	streams   int
	rate      int
	span      time.Duration
	reconnect int
	limit     time.Duration
	profile   string
}

func main() {
	var o options
	flag.IntVar(&o.streams, "streams", 2000, "mailbox streams, one for each user")
	flag.IntVar(&o.rate, "rate", 500, "outcomes a second")
	flag.DurationVar(&o.span, "span", 30*time.Second, "how long outcomes are made")
	flag.IntVar(&o.reconnect, "reconnect", 20, "streams a second that are cut and come back")
	flag.DurationVar(&o.limit, "limit", 100*time.Millisecond, "the p99 from executor to reader that is still well")
	flag.StringVar(&o.profile, "serve-cpuprofile", "", "file for a CPU profile of the server, with an absolute path; empty: none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "streams:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "parkinglot-streams-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := fleet.Build(ctx, dir)
	if err != nil {
		return err
	}
	url, stopDatabase, err := dbtest.StartServer(ctx, dbtest.Options{Durable: true})
	if err != nil {
		return err
	}
	defer stopDatabase()
	s, err := startServer(ctx, binary, dir, url, o.profile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop(ctx)) }()
	return measure(ctx, s, o)
}

// measure opens the streams, makes outcomes, and reports.
func measure(ctx context.Context, s *server, o options) error {
	load := newLoad(s.process.URL(), o)
	if err := load.warm(ctx); err != nil {
		return err
	}
	without, err := s.look(ctx)
	if err != nil {
		return err
	}
	all, err := load.open(ctx)
	if err != nil {
		return err
	}
	defer all.close()
	// The garbage of connecting goes, and idle Postgres backends report what they did.
	const settle = 12 * time.Second
	time.Sleep(settle)
	idle, err := s.look(ctx)
	if err != nil {
		return err
	}
	before := idle.statements
	time.Sleep(settle)
	if idle, err = s.look(ctx); err != nil {
		return err
	}
	idleRate := float64(idle.statements-before) / settle.Seconds()

	made, err := load.outcomes(ctx, all)
	if err != nil {
		return err
	}
	all.wait(ctx, made, o)
	busy, err := s.look(ctx)
	if err != nil {
		return err
	}
	finished, err := finishedAt(s.record)
	if err != nil {
		return err
	}
	result := judge(all, made, finished)
	report(o, without, idle, busy, idleRate, &result)
	return result.verdict(o)
}

// startServer starts the program on the database, profiled if profile names a file.
func startServer(ctx context.Context, binary, dir, url, profile string) (*server, error) {
	s := &server{database: url, record: filepath.Join(dir, "executions.jsonl")}
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(`database: {url: %q}
pools:
  - {pool_id: %s, max_units: 1000, max_queue_depth: 100000, queue_backend: postgres, mailbox_backend: postgres,
     runtime_adapter: native, executors: {default: {type: sleep}}}
`, url, poolID)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	args := []string{"serve", "--config", config, "--listen", "127.0.0.1:0", "--migrate", "--log-level", "info"}
	if profile != "" {
		args = append(args, "--cpu-profile", profile)
	}
	var err error
	s.process, err = fleet.Start(fleet.Command{
		Binary: binary, Dir: dir, Log: filepath.Join(dir, "serve.log"), Env: []string{attempts.RecordVariable + "=" + s.record},
		Args: args,
	})
	if err != nil {
		return nil, err
	}
	const patience = time.Minute
	ready, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.process.Ready(ready); err != nil {
		return nil, errors.Join(fmt.Errorf("start the server: %w", err), s.stop(ctx))
	}
	return s, nil
}
