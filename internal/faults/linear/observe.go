package linear

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
)

// Burst is a round to be observed.
type Burst struct {
	Pool    domain.PoolID
	Name    string // of the round: its tasks' ids begin with it
	Clients int
	Each    int // tasks of each client; Clients × Each is at most MaxTasks
	Units   int64
	APIs    []*client.Client // a client takes one after the other
	Seed    uint64
}

// Observe runs a round until all its tasks have ended. The error says that it could not be
// observed to its end.
func Observe(ctx context.Context, b Burst) (*Round, error) {
	if b.Clients*b.Each > MaxTasks {
		return nil, fmt.Errorf("a round of %d tasks: at most %d", b.Clients*b.Each, MaxTasks)
	}
	round := &Round{Pool: b.Pool}
	errs := make([]error, b.Clients)
	var all sync.WaitGroup
	for n := range b.Clients {
		o := &observer{
			burst: &b, client: n, random: rand.New(rand.NewPCG(b.Seed, uint64(n))),
			tasks: make([]*Task, b.Each),
		}
		for i := range o.tasks {
			o.tasks[i] = &Task{
				ID: domain.TaskID(fmt.Sprintf("%s-%d-%d", b.Name, n, i)), Units: 1 + o.random.Int64N(b.Units),
			}
		}
		round.Tasks = append(round.Tasks, o.tasks...)
		all.Go(func() { errs[n] = o.run(ctx) })
	}
	all.Wait()
	return round, errors.Join(errs...)
}

// observer is one client.
type observer struct {
	burst  *Burst
	client int
	random *rand.Rand
	tasks  []*Task
}

func (o *observer) run(ctx context.Context) error {
	for _, t := range o.tasks {
		o.submit(ctx, t)
		switch o.random.IntN(4) {
		case 0:
			o.cancel(ctx, o.tasks[o.random.IntN(len(o.tasks))])
		case 1:
			o.read(ctx, t)
		}
	}
	for _, t := range o.tasks {
		if err := o.end(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// mono is the clock of the executors' records.
func mono() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err) // there is always one
	}
	return now.Nano()
}

// ask makes a call and notes it. It returns the task, if it was answered with one.
func (o *observer) ask(ctx context.Context, t *Task, do Do, f func(context.Context, *client.Client) (*http.Response, error)) (client.Task, bool) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := call{client: o.client, do: do, from: mono()}
	task, err := client.Read[client.Task](f(ctx, o.burst.APIs[o.random.IntN(len(o.burst.APIs))])) //nolint:bodyclose // Read closes it
	c.to = mono()
	var refused *client.Error
	switch {
	case err == nil:
		c.answer = statusOf(string(task.Status))
	case do == Submit && errors.As(err, &refused) && refused.Problem.Status == http.StatusConflict:
		c.answer = Rejected
	default:
		c.unanswered = true
	}
	if do != Read || !c.unanswered {
		t.calls = append(t.calls, c)
	}
	return task, err == nil
}

func (o *observer) submit(ctx context.Context, t *Task) {
	body := client.TaskSubmission{
		TaskID: string(t.ID), ResourceCost: client.ResourceCost{Units: t.Units}, MaxAttempts: 5,
		Payload: fmt.Appendf(nil, `{"durationMs":%d}`, o.random.IntN(30)),
	}
	// An admission has the status where a task has it.
	o.ask(ctx, t, Submit, func(ctx context.Context, api *client.Client) (*http.Response, error) {
		return api.SubmitTask(ctx, string(o.burst.Pool), body)
	})
}

func (o *observer) cancel(ctx context.Context, t *Task) {
	if len(t.calls) > 0 { // submitted
		o.ask(ctx, t, Cancel, func(ctx context.Context, api *client.Client) (*http.Response, error) {
			return api.CancelTask(ctx, string(o.burst.Pool), string(t.ID))
		})
	}
}

func (o *observer) read(ctx context.Context, t *Task) (client.Task, bool) {
	return o.ask(ctx, t, Read, func(ctx context.Context, api *client.Client) (*http.Response, error) {
		return api.GetTask(ctx, string(o.burst.Pool), string(t.ID), &client.GetTaskParams{})
	})
}

// end reads until the task has ended, and keeps the last read only. A task whose submission
// was not answered may not be there.
func (o *observer) end(ctx context.Context, t *Task) error {
	const pause = 25 * time.Millisecond
	for absent := 0; ctx.Err() == nil; time.Sleep(pause) {
		before := len(t.calls)
		task, answered := o.read(ctx, t)
		if answered && task.FinishedAt != nil {
			t.final, t.attempts, t.completed = statusOf(string(task.Status)), int(task.Attempt), task.Status == "completed"
			t.seen = t.calls[before].to
			return nil
		}
		if len(t.calls) > before {
			t.calls = t.calls[:before]
		}
		const enough = 120 // looks: what is not there by then is not on its way
		if absent++; t.calls[0].unanswered && !answered && absent > enough {
			return nil
		}
	}
	return fmt.Errorf("task %s has not ended: %w", t.ID, ctx.Err())
}

func statusOf(status string) Status {
	switch s := domain.Status(status); s {
	case domain.StatusCompleted, domain.StatusFailed, domain.StatusExpired:
		return Ended
	case domain.StatusQueued:
		return Queued
	case domain.StatusRunning:
		return Running
	case domain.StatusRejected:
		return Rejected
	case domain.StatusDropped:
		return Dropped
	}
	return Status(status)
}
