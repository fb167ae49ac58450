package dbtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options say what kind of server StartServer starts. They do not apply to a
// server that is already there (a DSN).
type Options struct {
	// Durable keeps fsync and full_page_writes on, for measuring. Tests leave them off.
	Durable bool
	// Own refuses a server that is already there, unless PARKINGLOT_TEST_POSTGRES asks for it.
	Own bool
	// Settings are server parameters by name, over the defaults.
	Settings map[string]string
}

// errNone: this way to a server is not open on this machine.
var errNone = errors.New("not available")

const advice = "tests need Postgres 14 or later: install its server binaries (Debian: apt-get install postgresql), " +
	"or set TEST_DATABASE_URL, or build the container image with \"make test/image\""

// StartServer finds or starts a Postgres server and returns the URL of a database
// on it whose role may create databases. stop ends the server and removes its
// files; it also ends by itself with this process. For a DSN stop does nothing.
func StartServer(ctx context.Context, opts Options) (url string, stop func(), err error) {
	if opts.Settings == nil {
		opts.Settings = map[string]string{}
	}
	starts := map[string]func(context.Context, Options) (string, func(), error){
		"dsn":       startDSN,
		"container": startContainer,
		"binaries":  startBinaries,
	}
	if way := os.Getenv("PARKINGLOT_TEST_POSTGRES"); way != "" {
		start, ok := starts[way]
		if !ok {
			return "", nil, fmt.Errorf("PARKINGLOT_TEST_POSTGRES=%s: use dsn, container or binaries", way)
		}
		if url, stop, err = start(ctx, opts); err != nil {
			return "", nil, fmt.Errorf("PARKINGLOT_TEST_POSTGRES=%s: %w", way, err)
		}
		return url, stop, nil
	}
	for _, way := range []string{"dsn", "container", "binaries"} {
		if way == "dsn" && opts.Own {
			continue
		}
		url, stop, err = starts[way](ctx, opts)
		if !errors.Is(err, errNone) {
			return url, stop, err
		}
	}
	return "", nil, errors.New(advice)
}

func startDSN(ctx context.Context, _ Options) (string, func(), error) {
	url := os.Getenv("TEST_DATABASE_URL")
	if url == "" {
		return "", nil, fmt.Errorf("TEST_DATABASE_URL is empty: %w", errNone)
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", nil, fmt.Errorf("TEST_DATABASE_URL: %w", err)
	}
	return url, func() {}, conn.Close(ctx)
}

// settings are the parameters of a server of ours, as -c arguments.
func settings(opts Options) []string {
	all := map[string]string{
		"max_connections":           "300",
		"shared_buffers":            "128MB",
		"wal_level":                 "minimal",
		"max_wal_senders":           "0",
		"max_wal_size":              "2GB",
		"max_locks_per_transaction": "256",
		"log_min_messages":          "warning",
		"log_min_error_statement":   "panic",
		"lc_messages":               "C",
		"timezone":                  "UTC",
	}
	if !opts.Durable {
		all["fsync"] = "off"
		all["full_page_writes"] = "off"
	}
	maps.Copy(all, opts.Settings)
	args := make([]string, 0, 2*len(all))
	for k, v := range all {
		args = append(args, "-c", k+"="+v)
	}
	return args
}

// awaitReady returns the first of urls at which the server answers, or why it never
// will: ended is asked after each round.
func awaitReady(ctx context.Context, urls []string, ended func() error) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		var errs []error
		for _, url := range urls {
			err := answers(ctx, url)
			if err == nil {
				return url, nil
			}
			errs = append(errs, err)
		}
		if dead := ended(); dead != nil {
			return "", errors.Join(append(errs, dead)...)
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the server does not answer: %w", errors.Join(errs...))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // only asked whether it answers
	return conn.Ping(ctx)
}
