// Command garage measures entries of one facility with 10,000 spots on a Postgres of
// its own, over HTTP: first paced, then as fast as it goes. The server runs in this
// process; the times are those of its clients.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parkinglot/parkinglot/internal/app"
	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/dbtest"
)

const (
	facility = `{"facilityId":"big","name":"Big","timeZone":"UTC","currency":"EUR","allocationStrategy":"%s","pricingStrategyId":"free"}`
	tariff   = `{"strategyId":"free","name":"Free","timeZone":"UTC","currency":"EUR","graceMinutes":0,"period":"none","exitWindowMinutes":15,
		"tiers":[{"fromMinute":0,"toMinute":null,"incrementMinutes":60,"value":0}]}`
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "garage:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	rate := flag.Int("rate", 100, "entries a second of the paced part; as many exits beside them")
	seconds := flag.Int("seconds", 20, "length of the paced part")
	gates := flag.Int("gates", 16, "gates of the part that goes as fast as it can")
	allocation := flag.String("allocation", "first_available", "allocation strategy")
	flag.Parse()

	url, stop, err := dbtest.StartServer(ctx, dbtest.Options{Durable: true})
	if err != nil {
		return err
	}
	defer stop()
	base, end, err := serve(ctx, url)
	if err != nil {
		return err
	}
	defer end()
	g := &garage{base: base, http: &http.Client{
		Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256},
	}}
	if err := g.build(ctx, *allocation); err != nil {
		return err
	}
	// Half full, as on an ordinary day, and every statement has been prepared.
	if _, err := g.closed(ctx, *gates, 3*time.Second); err != nil {
		return err
	}
	paced, err := g.paced(ctx, *rate, time.Duration(*seconds)*time.Second)
	if err != nil {
		return err
	}
	const flatOut = 10 * time.Second
	fast, err := g.closed(ctx, *gates, flatOut)
	if err != nil {
		return err
	}
	fmt.Println("| entries | p50 | p95 | p99 | max | entries/s |")
	fmt.Println("|---|---:|---:|---:|---:|---:|")
	report(fmt.Sprintf("%d a second, with as many exits", *rate), paced, time.Duration(*seconds)*time.Second)
	report(fmt.Sprintf("%d gates, entry and exit in turn", *gates), fast, flatOut)
	return nil
}

func report(what string, times []time.Duration, span time.Duration) {
	slices.Sort(times)
	at := func(q float64) time.Duration {
		return times[min(len(times)-1, int(q*float64(len(times))))].Round(10 * time.Microsecond)
	}
	fmt.Printf("| %s | %s | %s | %s | %s | %.0f |\n", what, at(0.5), at(0.95), at(0.99), at(1), float64(len(times))/span.Seconds())
}

// serve starts the program on the database and returns its address.
func serve(ctx context.Context, url string) (base string, end func(), err error) {
	dir, err := os.MkdirTemp("", "parkinglot-garage-")
	if err != nil {
		return "", nil, fmt.Errorf("make a folder: %w", err)
	}
	path := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf("database: {url: %q}\npools: [{pool_id: p, max_units: 1, queue_backend: postgres, mailbox_backend: postgres, executors: {default: {type: sleep}}}]\n", url)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
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

type garage struct {
	base     string
	http     *http.Client
	vehicles atomic.Int64
}

// call posts a body and decodes the answer.
func (g *garage) call(ctx context.Context, path, body string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.base+path, bytes.NewBufferString(body))
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.http.Do(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to the end
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", path, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s: %d %s", path, resp.StatusCode, text)
	}
	if answer != nil {
		err = json.Unmarshal(text, answer)
	}
	return err
}

// build makes the facility: ten levels of ten rows of a hundred spots, of all kinds.
func (g *garage) build(ctx context.Context, allocation string) error {
	var spots bytes.Buffer
	spots.WriteString(`{"spots":[`)
	for i := range 10_000 {
		if i > 0 {
			spots.WriteByte(',')
		}
		kind := []string{"regular", "regular", "regular", "compact", "oversized"}[i/20%5]
		fmt.Fprintf(&spots, `{"spotId":"s%05d","kind":%q,"level":%d,"row":%d,"position":%d,"distanceRank":%d}`, i, kind, i/1000, i/100%10, i%100, i*7919%10_000)
	}
	spots.WriteString(`]}`)
	for _, step := range [][2]string{
		{"/pricing-strategies", tariff}, {"/facilities", fmt.Sprintf(facility, allocation)}, {"/facilities/big/spots/import", spots.String()},
	} {
		if err := g.call(ctx, step[0], step[1], nil); err != nil {
			return err
		}
	}
	return nil
}

// enter lets a new vehicle in and returns its ticket and how long that took.
func (g *garage) enter(ctx context.Context) (string, time.Duration, error) {
	n := g.vehicles.Add(1)
	size := []string{"small", "medium", "medium", "medium"}[n%4]
	body := fmt.Sprintf(`{"vehicle":{"vehicleId":"v%d","plate":"P %d","jurisdiction":"XX","size":%q,"type":"car"},"gateId":"g%d","sequence":%d}`, n, n, size, n%8, n)
	var ticket struct {
		TicketID string `json:"ticketId"`
	}
	begin := time.Now()
	err := g.call(ctx, "/facilities/big/entries", body, &ticket)
	return ticket.TicketID, time.Since(begin), err
}

func (g *garage) exit(ctx context.Context, ticket string) error {
	return g.call(ctx, "/tickets/"+ticket+"/exit", `{}`, nil)
}

// paced starts entries at fixed times, whether earlier ones have been answered or
// not; each vehicle leaves two seconds later.
func (g *garage) paced(ctx context.Context, rate int, span time.Duration) ([]time.Duration, error) {
	var (
		mu    sync.Mutex
		times []time.Duration
		first error
		all   sync.WaitGroup
	)
	note := func(took time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		times, first = append(times, took), errors.Join(first, err)
	}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for end := time.Now().Add(span); time.Now().Before(end); <-tick.C {
		all.Go(func() {
			ticket, took, err := g.enter(ctx)
			note(took, err)
			if err != nil {
				return
			}
			time.Sleep(2 * time.Second)
			if err := g.exit(ctx, ticket); err != nil {
				note(took, err)
			}
		})
	}
	all.Wait()
	return times, first
}

// closed lets each gate take vehicles in and out, one after the other, and keeps
// every second one.
func (g *garage) closed(ctx context.Context, gates int, span time.Duration) ([]time.Duration, error) {
	var (
		mu    sync.Mutex
		times []time.Duration
		first error
		all   sync.WaitGroup
	)
	end := time.Now().Add(span)
	for range gates {
		all.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				ticket, took, err := g.enter(ctx)
				if err == nil && n%2 == 0 {
					err = g.exit(ctx, ticket)
				}
				mu.Lock()
				times, first = append(times, took), errors.Join(first, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return times, first
}
