// Command go-worker is a worker for `web` pools of Parking Lot on the generated client.
//
// It leases tasks in batches with a long poll, runs each in a goroutine, says in one
// batch of heartbeats that it works on them, and completes or fails them. To make it
// yours, replace handle. worker.go is the protocol; package comment there.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
)

// handle does the work of one task. When ctx ends the work is not wanted any more. An
// error that wraps errPermanent fails the task for good; any other is tried again as
// long as the task has attempts left.
func handle(ctx context.Context, task client.LeasedWork) (json.RawMessage, error) {
	var payload struct {
		DurationMs int64  `json:"durationMs"`
		Fail       string `json:"fail"`
	}
	if len(task.Payload) > 0 {
		if err := json.Unmarshal(task.Payload, &payload); err != nil {
			return nil, fmt.Errorf("%w: the payload is not what was expected: %w", errPermanent, err)
		}
	}
	select {
	case <-time.After(time.Duration(payload.DurationMs) * time.Millisecond):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if payload.Fail != "" {
		return nil, fmt.Errorf("%w: %s", errPermanent, payload.Fail)
	}
	return json.Marshal(map[string]int64{"sleptMs": payload.DurationMs, "attempt": task.Attempt})
}

// errPermanent: no other attempt would do better.
var errPermanent = errors.New("cannot be done")

func main() {
	host, _ := os.Hostname() // a worker without a host's name has a number
	w := &worker{held: map[string]*lease{}}
	server := flag.String("server", "http://127.0.0.1:8080", "where the server is")
	flag.StringVar(&w.pool, "pool", "", "the pool to lease from")
	flag.IntVar(&w.concurrency, "concurrency", 4, "tasks at once")
	flag.StringVar(&w.id, "worker-id", fmt.Sprintf("%s-%d", host, os.Getpid()), "a name; new after every restart")
	flag.Float64Var(&w.wait, "wait", 20, "seconds to wait for a task in one request")
	flag.Float64Var(&w.ttl, "ttl", 0, "seconds that a lease lasts without a heartbeat; 0: the server's")
	flag.DurationVar(&w.grace, "grace", 10*time.Second, "time that running tasks get to end at SIGTERM")
	flag.Parse()
	var err error
	if w.api, err = client.NewClient(*server); err != nil || w.pool == "" {
		fmt.Fprintln(os.Stderr, "go-worker: --server has to be a URL and --pool is needed", err)
		os.Exit(2)
	}
	slog.Info("leasing", "server", *server, "pool", w.pool, "worker", w.id)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err = w.run(ctx)
	stop()
	if err != nil {
		slog.Error("stopped", "error", err)
		os.Exit(1)
	}
}
