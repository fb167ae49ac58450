package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
)

// Leasing is what a remote worker of the harness does.
type Leasing struct {
	Pool    domain.PoolID `json:"pool"`
	Servers []string      `json:"servers"`
	Record  string        `json:"record"` // the executors' own
	Slots   int           `json:"slots"`  // tasks at once
	TTL     time.Duration `json:"ttl"`
}

// Lessee runs a remote worker until ctx ends, and then until what it has leased is
// settled. What it logs first is what a worker process of the program does.
func Lessee(ctx context.Context, path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read what to lease: %w", err)
	}
	var l Leasing
	if err := json.Unmarshal(raw, &l); err != nil {
		return fmt.Errorf("read what to lease: %w", err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	record, err := attempts.OpenRecord(l.Record, log)
	if err != nil {
		return err
	}
	w := &lessee{Leasing: l, record: record, log: log, name: fmt.Sprintf("lessee-%d", os.Getpid())}
	for _, url := range l.Servers {
		api, err := client.NewClient(url)
		if err != nil {
			return fmt.Errorf("client of %s: %w", url, err)
		}
		w.apis = append(w.apis, api)
	}
	log.Info("working", "pool", l.Pool)
	var slots sync.WaitGroup
	for range l.Slots {
		slots.Go(func() { w.work(ctx) })
	}
	slots.Wait()
	return record.Close()
}

type lessee struct {
	Leasing

	name   string
	apis   []*client.Client
	record *attempts.RecordFile
	log    *slog.Logger
}

// api is any server: no lease belongs to the one that granted it.
func (w *lessee) api() *client.Client { return w.apis[rand.IntN(len(w.apis))] }

func (w *lessee) work(ctx context.Context) {
	const wait, answer, between = 2.0, 10 * time.Second, 200 * time.Millisecond
	for ctx.Err() == nil {
		asking, cancel := context.WithTimeout(ctx, answer)
		asked := time.Now()
		leased, err := client.Read[client.LeasedTasks](w.api().LeaseTasks(asking, string(w.Pool), client.LeaseRequest{ //nolint:bodyclose // Read closes it
			WorkerID: w.name, MaxTasks: 1, WaitSecs: wait, TTLSecs: w.TTL.Seconds(),
		}))
		cancel()
		if err != nil {
			time.Sleep(between)
			continue
		}
		for i := range leased.Tasks {
			w.run(context.WithoutCancel(ctx), &leased.Tasks[i], asked)
		}
	}
}

// run executes a leased task, whatever becomes of its lease, and reports: a report that comes too
// late must be refused.
func (w *lessee) run(ctx context.Context, work *client.LeasedWork, asked time.Time) {
	var payload struct {
		DurationMS int64  `json:"durationMs"`
		Fail       string `json:"fail"`
	}
	if raw, err := json.Marshal(work.Payload); err == nil {
		_ = json.Unmarshal(raw, &payload) // the loader made it
	}
	task := domain.Task{
		PoolID: w.Pool, TaskID: domain.TaskID(work.TaskID), JobID: domain.JobID(work.JobID), Attempt: int(work.Attempt),
		Units: domain.Units(work.ResourceCost.Units),
	}
	w.record.Entered(task)
	asks := w.sleep(ctx, work.LeaseID, time.Duration(payload.DurationMS)*time.Millisecond, asked)
	w.record.Exited(task)
	w.report(ctx, work.LeaseID, func(ctx context.Context, api *client.Client) (*http.Response, error) {
		switch {
		case asks:
			return api.FailLease(ctx, work.LeaseID, client.Failure{Message: "cancelled"})
		case payload.Fail != "":
			return api.FailLease(ctx, work.LeaseID, client.Failure{Message: payload.Fail, Retryable: true})
		}
		return api.CompleteLease(ctx, work.LeaseID, client.Completion{Result: []byte(`{"slept":true}`)})
	})
}

// sleep is the work. It ends early when the lease is lost, by a heartbeat's answer or by its own
// clock, or when the task was cancelled; it says whether it was.
func (w *lessee) sleep(ctx context.Context, lease string, d time.Duration, beat time.Time) (cancelled bool) {
	done := time.After(d)
	for {
		select {
		case <-done:
			return false
		case <-time.After(w.TTL / 4):
		}
		if time.Since(beat) > w.TTL {
			return false
		}
		sent := time.Now()
		asking, cancel := context.WithTimeout(ctx, w.TTL/4)
		result, err := client.Read[client.HeartbeatResult](w.api().HeartbeatLease(asking, lease)) //nolint:bodyclose // Read closes it
		cancel()
		var refused *client.Error
		switch {
		case errors.As(err, &refused) && refused.Problem.Status == http.StatusGone, err == nil && result.Lost:
			return false
		case err == nil && result.CancelRequested:
			return true
		case err == nil:
			beat = sent
		}
	}
}

// report tells what became of the task until it is answered.
func (w *lessee) report(ctx context.Context, lease string, ask func(context.Context, *client.Client) (*http.Response, error)) {
	const answer, between, enough = 5 * time.Second, 200 * time.Millisecond, time.Minute
	for end := time.Now().Add(enough); time.Now().Before(end); time.Sleep(between) {
		asking, cancel := context.WithTimeout(ctx, answer)
		_, err := client.Read[client.LeaseEnd](ask(asking, w.api())) //nolint:bodyclose // Read closes it
		cancel()
		var refused *client.Error
		if err == nil || errors.As(err, &refused) && refused.Problem.Status < http.StatusInternalServerError {
			if err != nil {
				w.log.Info("the report was refused", "lease", lease, "error", err)
			}
			return
		}
	}
}
