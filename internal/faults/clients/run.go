package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
)

// Pool is a pool that is loaded.
type Pool struct {
	ID       domain.PoolID `json:"id"`
	Servers  []string      `json:"servers"`  // URLs that take its tasks
	MaxUnits int64         `json:"maxUnits"` // what changes of the pool go around
	Rate     float64       `json:"rate"`     // submissions a second
	Timeouts bool          `json:"timeouts"` // some tasks have one that they do not meet
}

// Plan is what the clients do.
type Plan struct {
	Pools   []Pool        `json:"pools"`
	Clients int           `json:"clients"` // of each pool
	Seed    uint64        `json:"seed"`
	Log     string        `json:"log"`
	Change  bool          `json:"change"`  // an operator changes pools, too
	Long    int           `json:"long"`    // one task in so many is long
	Longest time.Duration `json:"longest"` // a long task takes at most that
	GiveUp  time.Duration `json:"giveUp"`  // how long after stop requests may be repeated
	Samples int           `json:"samples"` // accepted tasks of each client that are submitted once more at the end
}

// Main runs the clients of the plan in the file until standard input ends, and then
// until everything is answered.
func Main(ctx context.Context, path string, stop io.Reader) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	var plan Plan
	if err := json.Unmarshal(raw, &plan); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	log, err := openLog(plan.Log)
	if err != nil {
		return err
	}
	stopped := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, stop) // its end is what counts
		close(stopped)
	}()
	var all sync.WaitGroup
	for p := range plan.Pools {
		for n := range plan.Clients {
			all.Go(func() { newLoader(&plan, p, n, log, stopped).run(ctx) })
		}
		if plan.Change {
			all.Go(func() { newOperator(&plan, p, log, stopped).run(ctx) })
		}
	}
	all.Wait()
	return log.file.Close()
}

// caller asks the servers of a pool, one after the other until one answers.
type caller struct {
	plan    *Plan
	pool    *Pool
	log     *logFile
	random  *rand.Rand
	apis    []*client.Client
	stopped <-chan struct{}
	late    time.Time // when to give up; zero: not stopped yet
}

func newCaller(plan *Plan, pool int, role uint64, log *logFile, stopped <-chan struct{}) caller {
	c := caller{
		plan: plan, pool: &plan.Pools[pool], log: log, stopped: stopped,
		random: rand.New(rand.NewPCG(plan.Seed, uint64(pool)<<32|role)),
	}
	for _, url := range c.pool.Servers {
		const patience = 10 * time.Second
		api, err := client.NewClient(url, client.WithHTTPClient(&http.Client{
			Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 1},
		}))
		if err != nil {
			panic(err) // the URLs are the harness's own
		}
		c.apis = append(c.apis, api)
	}
	return c
}

func (c *caller) over() bool {
	select {
	case <-c.stopped:
		return true
	default:
		return false
	}
}

// gaveUp says whether nothing is asked for again any more.
func (c *caller) gaveUp() bool { return !c.late.IsZero() && time.Now().After(c.late) }

// pause sleeps; the stop ends it.
func (c *caller) pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-c.stopped:
	case <-ctx.Done():
	}
}

// answered asks until an answer comes that is one: not that a server cannot say now.
// The last answer is returned also when it gave up.
func (c *caller) answered(ctx context.Context, e Entry, ask func(api *client.Client) (*http.Response, error)) Entry {
	const between = 100 * time.Millisecond
	for {
		c.log.write(e)
		got := call(e, c.apis[c.random.IntN(len(c.apis))], ask)
		c.log.write(got)
		if got.Code != 0 && got.Code < http.StatusInternalServerError && got.Code != http.StatusTooManyRequests {
			return got
		}
		if c.over() {
			if c.late.IsZero() {
				c.late = time.Now().Add(c.plan.GiveUp)
			}
			if c.gaveUp() {
				return got
			}
		}
		select {
		case <-time.After(between):
		case <-ctx.Done():
			return got
		}
	}
}

func call(e Entry, api *client.Client, ask func(api *client.Client) (*http.Response, error)) Entry {
	e.Answer = true
	res, err := ask(api)
	if err != nil {
		e.Why = err.Error()
		return e
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // read, or the error below says why not
	if err != nil {
		e.Why = err.Error()
		return e
	}
	e.Code = res.StatusCode
	var said struct {
		Code   string `json:"code"`
		JobID  int64  `json:"jobId"`
		Status any    `json:"status"` // a problem's is a number
	}
	if json.Unmarshal(body, &said) == nil {
		e.Why, e.Job = said.Code, said.JobID
		if status, is := said.Status.(string); is {
			e.Status = status
		}
	}
	return e
}
