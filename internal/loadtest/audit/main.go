// Command audit measures GET /audit over HTTP against a trail of ten million events in
// one day, on a Postgres of its own, while tasks are submitted beside it. The server
// runs in this process; the times are those of its clients. It fails when the first
// page by task, tenant or pool takes more than 50 ms at p99.
package main

import (
	"context"
	"crypto/md5"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parkinglot/parkinglot/internal/app"
	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/dbtest"
)

// most is the longest that p99 of a first page by task, tenant or pool may take.
const most = 50 * time.Millisecond

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "audit:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	events := flag.Int64("events", 10_000_000, "events of the day")
	pools := flag.Int("pools", 10, "pools they are of")
	requests := flag.Int("requests", 1000, "requests of each kind")
	readers := flag.Int("readers", 2, "requests at a time")
	rate := flag.Int("rate", 50, "tasks submitted a second meanwhile")
	flag.Parse()

	database, stop, err := dbtest.StartServer(ctx, dbtest.Options{Durable: true, Own: true})
	if err != nil {
		return err
	}
	defer stop()
	base, end, err := serve(ctx, database, *pools)
	if err != nil {
		return err
	}
	defer end()
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	began := time.Now()
	if err := prepare(ctx, database, *pools, *events, day); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d events in %s\n", *events, time.Since(began).Round(time.Second))

	m := &measure{
		base: base, pools: *pools, tasks: *events / int64(*pools) / 3, day: day, requests: *requests, readers: *readers,
		http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	writing, quiet := context.WithCancel(ctx)
	var writer sync.WaitGroup
	writer.Go(func() { m.write(writing, *rate) })
	err = m.table(ctx)
	quiet()
	writer.Wait()
	return err
}

func prepare(ctx context.Context, database string, pools int, events int64, day time.Time) (err error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, taskName); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if err := fill(ctx, conn, pools, events, day); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "VACUUM ANALYZE pl_audit_events, pl_audit_blocks"); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	return nil
}

// serve starts the program on the database and returns its address.
func serve(ctx context.Context, database string, pools int) (base string, end func(), err error) {
	dir, err := os.MkdirTemp("", "parkinglot-audit-")
	if err != nil {
		return "", nil, fmt.Errorf("make a folder: %w", err)
	}
	path := filepath.Join(dir, "config.yaml")
	var text strings.Builder
	fmt.Fprintf(&text, "database: {url: %q}\ndefaults: {queue_backend: postgres, mailbox_backend: postgres}\npools:\n", database)
	for i := range pools {
		fmt.Fprintf(&text, "- {pool_id: %s, max_units: 8, executors: {default: {type: sleep}}}\n", poolID(i))
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return "", nil, fmt.Errorf("write the configuration: %w", err)
	}
	cfg, err := config.Load(config.Source{Path: path})
	if err != nil {
		return "", nil, err
	}
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
			_, _ = <-ended, os.RemoveAll(dir) // measured already; a temporary folder
		}, nil
	case err := <-ended:
		cancel()
		return "", nil, err
	}
}

type measure struct {
	base     string
	pools    int
	tasks    int64 // of each pool
	day      time.Time
	requests int
	readers  int
	http     *http.Client
}

// question is a kind of request, and whether it has to be answered in time.
type question struct {
	what  string
	bound bool
	query func() url.Values
}

func (m *measure) questions() []question {
	values := func(pairs ...string) url.Values {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	pool := func() string { return poolID(rand.IntN(m.pools)) }
	task := func(from, span int64) func() url.Values {
		return func() url.Values {
			return values("taskId", fmt.Sprintf("%x", md5.Sum(fmt.Append(nil, pool(), from+rand.Int64N(max(1, span))))))
		}
	}
	noon := m.day.Add(12 * time.Hour).Format(time.RFC3339)
	return []question{
		{"a task of the newest 1,000", true, task(m.tasks-1000, 1000)},
		{"a task of the oldest 1,000", true, task(1, 1000)},
		{"any task", true, task(1, m.tasks)},
		{"the largest tenant", true, func() url.Values { return values("tenant", giant) }},
		{"one of 1,000 tenants", true, func() url.Values { return values("tenant", fmt.Sprint("tenant-", rand.IntN(1000))) }},
		{"the tiniest tenant", true, func() url.Values { return values("tenant", tiny) }},
		{"the tiniest tenant in a pool", true, func() url.Values { return values("tenant", tiny, "poolId", pool()) }},
		{"the largest tenant from noon on", true, func() url.Values { return values("tenant", giant, "from", noon) }},
		{"a pool", true, func() url.Values { return values("poolId", pool()) }},
		{"a pool from noon on", true, func() url.Values { return values("poolId", pool(), "from", noon) }},
		{"a pool, 500 events", true, func() url.Values { return values("poolId", pool(), "limit", "500") }},
		{"all pools", false, func() url.Values { return values() }},
		{"a kind nobody has", false, func() url.Values { return values("kind", "lost") }},
		{"starts of a tenant of 1,000", false, func() url.Values { return values("kind", "start", "tenant", fmt.Sprint("tenant-", rand.IntN(1000))) }},
	}
}

func (m *measure) table(ctx context.Context) error {
	fmt.Println("| first page of | requests | p50 | p95 | p99 | max |")
	fmt.Println("|---|---:|---:|---:|---:|---:|")
	var slow []error
	for _, q := range m.questions() {
		times, err := m.ask(ctx, q)
		if err != nil {
			return fmt.Errorf("%s: %w", q.what, err)
		}
		slices.Sort(times)
		at := func(p float64) time.Duration {
			return times[min(len(times)-1, int(p*float64(len(times))))].Round(10 * time.Microsecond)
		}
		fmt.Printf("| %s | %d | %s | %s | %s | %s |\n", q.what, len(times), at(0.5), at(0.95), at(0.99), at(1))
		if q.bound && at(0.99) > most {
			slow = append(slow, fmt.Errorf("%s: p99 is %s, more than %s", q.what, at(0.99), most))
		}
	}
	return errors.Join(slow...)
}

// ask makes all requests of a kind and returns how long each took.
func (m *measure) ask(ctx context.Context, q question) ([]time.Duration, error) {
	var (
		mu    sync.Mutex
		group sync.WaitGroup
		times []time.Duration
		fault error
	)
	for range m.readers {
		group.Go(func() {
			for range m.requests / m.readers {
				began := time.Now()
				err := m.get(ctx, "/audit?"+q.query().Encode())
				took := time.Since(began)
				mu.Lock()
				times, fault = append(times, took), errors.Join(fault, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return times, fault
}

func (m *measure) get(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.base+path, nil)
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	return m.do(req)
}

func (m *measure) do(req *http.Request) error {
	res, err := m.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // read to its end
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	return err
}

// write submits tasks at the rate until ctx ends.
func (m *measure) write(ctx context.Context, rate int) {
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		body := fmt.Sprintf(`{"taskId": "live-%d", "tenant": "tenant-%d", "resourceCost": {"kind": "cpu", "units": 1}, "payload": {"durationMs": 5}}`, n, n%1000)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.base+"/pools/"+poolID(n%m.pools)+"/tasks", strings.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("Content-Type", "application/json")
		if err := m.do(req); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "submit:", err)
		}
	}
}
