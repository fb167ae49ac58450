package workers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// Defaults of Limits.
const (
	DefaultMaxResult = 1 << 20
	DefaultStopGrace = 5 * time.Second
)

// Limits bounds one run. The zero value has the defaults.
type Limits struct {
	// MaxResult is the size of a result in bytes; 0: DefaultMaxResult.
	MaxResult int
	// StopGrace is how long an executor may take to return after its context has
	// ended; 0: DefaultStopGrace. After it the attempt is decided without the
	// executor, because a stuck one would hold its units for ever. What it still
	// does from then on is not covered by any units: Leaked says so.
	StopGrace time.Duration
	// Log gets the stack of a panic, and leaks; nil: slog.Default.
	Log *slog.Logger
	// Leaked is called when an executor did not return within StopGrace, and the
	// function it returns when it has returned at last. Nil: not called.
	Leaked func(Task) (returned func())
}

func (l Limits) withDefaults() Limits {
	if l.MaxResult <= 0 {
		l.MaxResult = DefaultMaxResult
	}
	if l.StopGrace <= 0 {
		l.StopGrace = DefaultStopGrace
	}
	if l.Log == nil {
		l.Log = slog.Default()
	}
	if l.Leaked == nil {
		l.Leaked = func(Task) func() { return func() {} }
	}
	return l
}

// returned is what an executor left behind.
type returned struct {
	result json.RawMessage
	failed *Outcome // its error or panic; nil: none
	cause  error    // why the context had ended by then; nil: it had not
}

// Run runs executor e on one attempt and says how it ended. It is the only way in
// which the program runs executors, so that timeouts, cancellation, panics and
// limits are the same in every runtime.
//
// The timeout of the task counts from the call. To end an attempt early, cancel
// ctx with ErrCancelled, ErrHandBack or ErrLost as the cause
// (context.WithCancelCause); any other cause counts as ErrHandBack. When ctx has
// ended before, the executor is not called. Run returns when the executor has, or
// StopGrace after its context ended. It never panics.
func Run(ctx context.Context, e Executor, task Task, limits Limits) Outcome {
	limits = limits.withDefaults()
	if ctx.Err() != nil {
		return decide(returned{cause: context.Cause(ctx), failed: &Outcome{}}, task, limits)
	}
	if task.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, task.Timeout, ErrTimeout)
		defer cancel()
	}
	done := make(chan returned, 1)
	go execute(ctx, e, task, limits.Log, done)
	select {
	case r := <-done:
		return decide(r, task, limits)
	case <-ctx.Done():
	}
	grace := time.NewTimer(limits.StopGrace)
	defer grace.Stop()
	select {
	case r := <-done:
		return decide(r, task, limits)
	case <-grace.C:
	}
	leak(ctx, done, task, limits)
	out := decide(returned{cause: context.Cause(ctx), failed: &Outcome{}}, task, limits)
	out.Leaked = true
	return out
}

// execute calls the executor and reports once, whatever happens in it.
func execute(ctx context.Context, e Executor, task Task, log *slog.Logger, done chan<- returned) {
	r := returned{failed: panicked("the executor ended its goroutine instead of returning")}
	defer func() {
		if p := recover(); p != nil {
			log.ErrorContext(ctx, "executor panicked", "pool", task.PoolID, "task", task.TaskID,
				"attempt", task.Attempt, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			r.failed = panicked(fmt.Sprintf("the executor panicked: %v", p))
		}
		if ctx.Err() != nil {
			r.cause = context.Cause(ctx)
		}
		done <- r
	}()
	result, err := e.Execute(ctx, task)
	if err != nil {
		r.failed = failed(err) // here, because methods of err are the executor's code as well
		return
	}
	r.result, r.failed = result, nil
}

// decide makes the outcome of what an executor left behind. The end of the
// context goes before the executor's own word, save that work which was done when
// the process gave the attempt back, or lost it, stays done.
func decide(r returned, task Task, limits Limits) Outcome {
	switch {
	case errors.Is(r.cause, ErrTimeout):
		return Outcome{Verdict: TimedOut, Code: CodeTimeout, Message: fmt.Sprintf("ran past its timeout of %s", task.Timeout)}
	case errors.Is(r.cause, ErrCancelled):
		return Outcome{Verdict: Cancelled, Code: CodeCancelled, Message: "cancelled while running"}
	case errors.Is(r.cause, ErrLost) && r.failed != nil:
		return Outcome{Verdict: Lost, Code: CodeLost, Message: "stopped because its process had lost its hold on it"}
	case r.cause != nil && r.failed != nil:
		return Outcome{Verdict: HandBack, Code: CodeHandBack, Message: clean("given back by its process: " + r.cause.Error())}
	case r.failed != nil:
		return *r.failed
	}
	result, refused := checkResult(r.result, limits.MaxResult)
	if refused != nil {
		return *failed(refused)
	}
	return Outcome{Verdict: Completed, Result: result}
}

// leak reports an executor that outlives its attempt, now and when it returns.
func leak(ctx context.Context, done <-chan returned, task Task, limits Limits) {
	log := limits.Log.With("pool", task.PoolID, "task", task.TaskID, "job", task.JobID, "attempt", task.Attempt)
	log.ErrorContext(ctx, "executor ignores the end of its context: its attempt is settled without it, and its work no longer covered by units",
		"grace", limits.StopGrace)
	since := time.Now()
	back := limits.Leaked(task)
	go func() {
		<-done
		back()
		log.WarnContext(context.WithoutCancel(ctx), "leaked executor has returned", "late", time.Since(since))
	}()
}
