package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
)

// Result is what a scenario did and what of it was proven.
type Result struct {
	Scenario  string                  `json:"scenario"`
	Tasks     int                     `json:"tasks"`
	Submit    history.Percentiles     `json:"submit"`           // a submission, as its client saw it
	Accepting float64                 `json:"submitsPerSecond"` // while submissions lasted
	Ending    float64                 `json:"tasksPerSecond"`   // from the first submission to the last outcome
	Outcomes  map[domain.Status]int64 `json:"outcomes"`
	Report    history.Report          `json:"report"`
}

// Progress is told how many tasks were submitted and have ended; may be nil.
type Progress func(submitted, ended int)

// Run starts the scenario's servers, loads them, proves what they did, and stops
// them. The error says that this could not be done; violations are in the result.
func Run(ctx context.Context, s Scenario, p Place, progress Progress) (result Result, err error) {
	f, err := startServers(ctx, s, p)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, f.stop(ctx)) }()
	apis, err := clients(f.addresses(), s.Connections)
	if err != nil {
		return Result{}, err
	}
	if progress == nil {
		progress = func(int, int) {}
	}
	begin := time.Now()
	latencies, err := submitAll(ctx, s, apis, progress)
	if err != nil {
		return Result{}, err
	}
	accepted := time.Since(begin)
	if err := untilIdle(ctx, apis[0], s.Tasks, progress); err != nil {
		return Result{}, err
	}
	ended := time.Since(begin)

	records, err := history.ReadRecordFiles([]string{f.records})
	if err != nil {
		return Result{}, err
	}
	report, err := history.Check(ctx, history.Server{API: apis[0]}, history.Options{
		Keep: 20, Records: records, MailGrace: 5 * time.Second,
	})
	if err != nil {
		return Result{}, err
	}
	result = Result{
		Scenario: s.String(), Tasks: s.Tasks, Submit: history.PercentilesOf(latencies),
		Accepting: float64(s.Tasks) / accepted.Seconds(), Ending: float64(s.Tasks) / ended.Seconds(), Report: report,
	}
	for _, pool := range report.Pools {
		result.Outcomes = pool.Outcomes
	}
	return result, nil
}

// clients returns a client for every connection, spread over the servers.
func clients(urls []string, connections int) ([]client.ClientInterface, error) {
	apis := make([]client.ClientInterface, connections)
	for i := range apis {
		transport := &http.Transport{MaxIdleConnsPerHost: 1, MaxConnsPerHost: 1, IdleConnTimeout: time.Minute}
		api, err := client.NewClient(urls[i%len(urls)], client.WithHTTPClient(&http.Client{Transport: transport, Timeout: time.Minute}))
		if err != nil {
			return nil, fmt.Errorf("client of %s: %w", urls[i%len(urls)], err)
		}
		apis[i] = api
	}
	return apis, nil
}

// submitAll submits every task, each connection one after the other, and returns
// how long each submission took.
func submitAll(ctx context.Context, s Scenario, apis []client.ClientInterface, progress Progress) ([]time.Duration, error) {
	var (
		next, done atomic.Int64
		mu         sync.Mutex
		all        []time.Duration
	)
	group, ctx := errgroup.WithContext(ctx)
	for _, api := range apis {
		group.Go(func() error {
			var own []time.Duration
			for {
				n := int(next.Add(1))
				if n > s.Tasks {
					mu.Lock()
					all = append(all, own...)
					mu.Unlock()
					return nil
				}
				body := submission(s, n)
				begin := time.Now()
				if _, err := client.Read[client.Admission](api.SubmitTask(ctx, string(poolID), body)); err != nil { //nolint:bodyclose // Read closes it
					return fmt.Errorf("submit task %d: %w", n, err)
				}
				own = append(own, time.Since(begin))
				progress(int(done.Add(1)), 0)
			}
		})
	}
	err := group.Wait()
	return all, err
}

// submission makes task n: the same for the same scenario.
func submission(s Scenario, n int) client.TaskSubmission {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	tenant := fmt.Sprintf("tenant-%d", n%5)
	sleep := random.Int64N(s.Duration.Milliseconds() + 1)
	return client.TaskSubmission{
		TaskID: fmt.Sprintf("load-%06d", n), Tenant: tenant,
		Priority:     client.TaskSubmissionPriority(domain.Priority(random.IntN(domain.PriorityClasses)).String()),
		ResourceCost: client.ResourceCost{Units: 1 + random.Int64N(int64(s.TaskUnits))},
		MailboxKey:   &client.MailboxKey{Tenant: tenant, UserID: fmt.Sprintf("user-%d", n%50)},
		Payload:      []byte(`{"durationMs":` + strconv.FormatInt(sleep, 10) + `}`),
	}
}

// untilIdle waits until the pool has nothing left, and fails when nothing ends for
// a while.
func untilIdle(ctx context.Context, api client.ClientInterface, tasks int, progress Progress) error {
	const pause, patience = 100 * time.Millisecond, time.Minute
	least, since := int64(tasks), time.Now()
	for {
		pool, err := client.Read[client.Pool](api.GetPool(ctx, string(poolID))) //nolint:bodyclose // Read closes it
		if err != nil {
			return fmt.Errorf("look at the pool: %w", err)
		}
		left := pool.Queued + pool.Running + pool.Waiting
		progress(tasks, tasks-int(left))
		if left == 0 {
			return nil
		}
		if left < least {
			least, since = left, time.Now()
		}
		if time.Since(since) > patience {
			return fmt.Errorf("nothing has ended for %s: %d queued, %d running, %d waiting", patience, pool.Queued, pool.Running, pool.Waiting)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
