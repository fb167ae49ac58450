package replay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
)

// Options says what to replay where.
type Options struct {
	API   client.ClientInterface
	Pool  domain.PoolID
	Trace Trace // as fast as it should be replayed
	// RunID begins the ids of all tasks, is the user of their mailboxes and the
	// value of their label "replay". 1–100 of A–Z a–z 0–9 . _ -
	RunID string
	// Concurrency is how many submissions may be under way; at least 1.
	Concurrency int
	// Progress is told how many tasks have ended; may be nil. Called from one
	// goroutine at a time.
	Progress func(ended int)
}

// run is one replay under way.
type run struct {
	Options

	begin time.Time
	ended func()

	mu       sync.Mutex
	outcomes map[domain.Status]int
	refused  map[string]int // codes of submissions given up
	retried  map[string]int // codes of submissions tried again
	open     map[domain.TaskID]bool
	early    map[domain.TaskID]domain.Status // outcomes that came before the answer to their submission
	lags     []time.Duration
	news     time.Time // when something last happened
	sent     bool      // every submission has been answered
}

// Run replays a trace and returns how it went. It returns early with an error when
// the server cannot be used, when ctx ends, or when outcomes stay away although the
// pool has nothing left to do. What was submitted is never cancelled.
func Run(ctx context.Context, options Options) (Report, error) {
	before, err := poolOf(ctx, options.API, options.Pool)
	if err != nil {
		return Report{}, err
	}
	r := &run{
		Options: options, begin: time.Now(), outcomes: map[domain.Status]int{}, refused: map[string]int{},
		retried: map[string]int{}, open: map[domain.TaskID]bool{}, early: map[domain.TaskID]domain.Status{}, news: time.Now(),
	}
	reading, stop := context.WithCancel(ctx)
	r.ended = stop
	defer stop()
	group, reading := errgroup.WithContext(reading)
	for _, tenant := range r.tenants() {
		group.Go(func() error { return r.collect(reading, tenant) })
	}
	group.Go(func() error { return r.submitAll(reading) })
	group.Go(func() error { return r.watch(reading) })
	err = group.Wait()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil && !r.done() {
		return Report{}, fmt.Errorf("replay %s: %w", r.RunID, err)
	}
	return r.report(ctx, before)
}

func poolOf(ctx context.Context, api client.ClientInterface, id domain.PoolID) (*client.Pool, error) {
	pool, err := client.Read[client.Pool](api.GetPool(ctx, string(id)))
	if err != nil {
		return nil, err
	}
	return &pool, nil
}

// PoolUnits returns max_units of a pool, for the rules of a trace.
func PoolUnits(ctx context.Context, api client.ClientInterface, id domain.PoolID) (domain.Units, error) {
	pool, err := poolOf(ctx, api, id)
	if err != nil {
		return 0, err
	}
	return domain.Units(pool.MaxUnits), nil
}

func (r *run) tenants() []domain.Tenant {
	seen := map[domain.Tenant]bool{}
	var tenants []domain.Tenant
	for _, a := range r.Trace.Arrivals {
		if !seen[a.Tenant] {
			seen[a.Tenant] = true
			tenants = append(tenants, a.Tenant)
		}
	}
	return tenants
}

// submitAll submits every arrival at its time, through as many goroutines as may
// submit at once.
func (r *run) submitAll(ctx context.Context) error {
	group, submitting := errgroup.WithContext(ctx)
	group.SetLimit(max(1, r.Concurrency))
	for i := range r.Trace.Arrivals {
		if sleepUntil(submitting, r.begin.Add(r.Trace.Arrivals[i].At)) != nil {
			break // ctx has ended
		}
		group.Go(func() error { return r.submit(submitting, i) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.mu.Lock()
	r.sent = true
	r.mu.Unlock()
	r.endIfDone()
	return nil
}

// Pauses between tries of a submission that may be made again.
const (
	leastPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
)

// submit submits one arrival, again and again while the server asks to come back.
func (r *run) submit(ctx context.Context, i int) error {
	a := r.Trace.Arrivals[i]
	body := r.submission(i, a)
	lag := time.Since(r.begin.Add(a.At))
	pause := leastPause
	for {
		_, err := client.Read[client.Admission](r.API.SubmitTask(ctx, string(r.Pool), body))
		code, again, advice := refusal(err)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case code == "":
			r.accepted(domain.TaskID(body.TaskID), lag)
			return nil
		case !again:
			r.refuse(domain.TaskID(body.TaskID), code)
			return nil
		}
		r.note(func() { r.retried[code]++ })
		if err := sleepUntil(ctx, time.Now().Add(max(advice, pause))); err != nil {
			return err
		}
		pause = min(2*pause, mostPause)
	}
}

// refusal returns the code of a submission's error, whether to try again, and the
// server's advice when.
func refusal(err error) (code string, again bool, advice time.Duration) {
	if err == nil {
		return "", false, 0
	}
	refused, ok := errors.AsType[*client.Error](err)
	if !ok {
		return "unreachable", true, 0
	}
	const tooMany, internal = 429, 500
	switch code = refused.Problem.Code; {
	case code == string(domain.CodeQueueFull), code == string(domain.CodeTenantQueueFull),
		refused.Problem.Status == tooMany, refused.Problem.Status >= internal:
		again = true
	}
	return code, again, refused.RetryAfter
}

func (r *run) taskID(i int) string { return fmt.Sprintf("%s-%06d", r.RunID, i+1) }

// submission makes the body of an arrival: the same at every try, so that a try
// whose answer was lost is no second task.
func (r *run) submission(i int, a Arrival) client.TaskSubmission {
	const slack = time.Minute // beyond what the sleep executor takes
	body := client.TaskSubmission{
		TaskID: r.taskID(i), Tenant: string(a.Tenant), Priority: client.TaskSubmissionPriority(a.Priority.String()),
		ResourceCost: client.ResourceCost{Units: int64(a.Units)},
		TimeoutSecs:  (a.Duration + slack).Seconds(),
		MailboxKey:   &client.MailboxKey{Tenant: string(a.Tenant), UserID: r.RunID},
		Payload:      []byte(`{"durationMs":` + strconv.FormatInt(a.Duration.Milliseconds(), 10) + `}`),
		Labels:       map[string]string{"replay": r.RunID},
	}
	if a.Deadline > 0 {
		deadline := r.begin.Add(a.At + a.Deadline).UTC()
		body.Deadline = &deadline
	}
	return body
}

func (r *run) note(change func()) {
	r.mu.Lock()
	change()
	r.news = time.Now()
	r.mu.Unlock()
}

// accepted opens a task, or closes it when its outcome has been read already.
func (r *run) accepted(id domain.TaskID, lag time.Duration) {
	r.note(func() {
		r.lags = append(r.lags, max(0, lag))
		if status, ok := r.early[id]; ok {
			delete(r.early, id)
			r.outcomes[status]++
			return
		}
		r.open[id] = true
	})
}

func (r *run) refuse(id domain.TaskID, code string) {
	r.note(func() {
		r.refused[code]++
		delete(r.early, id)
	})
}

func sleepUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// usageOf follows the audit trail of the pool from before the replay to its end.
func (r *run) usageOf(ctx context.Context, before *client.Pool) (*history.Ledger, *history.Findings, error) {
	const skew = 10 * time.Minute // between this clock and the database's
	found := &history.Findings{Keep: 10}
	ledger := history.NewLedger(domain.Source(r.Pool), history.Start{
		Seq: before.EventSeq, Limit: domain.Units(before.MaxUnits),
		Active: domain.Units(before.ActiveUnits), Running: before.Running,
		Queued: before.Queued + before.Waiting, Waiting: before.Waiting,
		Jobs: math.MaxInt64, // the server does not tell
	}, found, nil)
	ledger.KeepAttempts = true
	stream := history.Server{API: r.API}.Events(history.EventQuery{Source: domain.Source(r.Pool), From: r.begin.Add(-skew)})
	for {
		events, err := stream.Next(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("read the audit trail: %w", err)
		}
		if len(events) == 0 {
			return ledger, found, nil
		}
		for i := range events {
			if events[i].Seq > before.EventSeq {
				ledger.Apply(&events[i])
			}
		}
	}
}
