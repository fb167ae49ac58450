package attempts

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/workers"
)

// Attempt is one attempt that this process holds. Its methods belong to the
// goroutine that got it from Begin.
type Attempt struct {
	runner *Runner
	ref    domain.Ref
	ctx    context.Context
	cancel context.CancelCauseFunc
	handed *domain.Task // nil: to be read
}

// Context ends when the attempt is stopped, abandoned or handed back, with that as
// its cause.
func (a *Attempt) Context() context.Context { return a.ctx }

// Handed returns the task as the turn of this process left it that has just started it, if
// that is as good as reading it.
func (a *Attempt) Handed() (domain.Task, bool) {
	if a.handed == nil {
		return domain.Task{}, false
	}
	return *a.handed, true
}

// Forget ends the attempt here without a report: it is not live any more, or was
// never ours.
func (a *Attempt) Forget() {
	a.cancel(nil)
	a.runner.forget(a.ref)
}

// Run runs the task's executor and reports the outcome. It returns when the report
// has been taken (or the attempt abandoned); a report that could not be made
// before the Runner closed is an error. riverJob is the River job that carries the
// attempt, 0: none. The task must carry its payload.
func (a *Attempt) Run(task domain.Task, riverJob int64) error {
	return a.end(task, riverJob, a.execute)
}

func (a *Attempt) end(task domain.Task, riverJob int64, how func(domain.Task) workers.Outcome) error {
	defer a.Forget()
	r := a.runner
	began := time.Now()
	out := how(task)
	r.opts.Metrics.Ended(task.PoolID, task.Executor, out.Verdict, time.Since(began))
	if out.Verdict == workers.Lost {
		return nil
	}
	return r.settle(settlement(task, riverJob, out))
}

// HandBack reports, without running anything, that the attempt goes back, or
// whatever else ended its context.
func (a *Attempt) HandBack(task domain.Task, riverJob int64) error {
	a.cancel(workers.ErrHandBack)
	return a.Run(task, riverJob)
}

// Foreign reports whether the attempt is better left to another process: this one has no
// executor for it, and the task has not come round so often that nobody may have one.
func (a *Attempt) Foreign(task *domain.Task) bool {
	_, known := a.runner.opts.Registry.Lookup(string(task.PoolID), task.Executor)
	return !known && task.Attempt <= declines
}

// Decline reports that a foreign attempt goes back, which costs the task none of its own.
// It waits before, longer each time, so that a task for which nobody is there yet does not
// go round without rest. What ends the attempt meanwhile ends the wait, and so does the
// process's drain.
func (a *Attempt) Decline(task domain.Task, riverJob int64) error {
	timer := time.NewTimer(min(declineFirst<<(task.Attempt-1), declineMost))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.ctx.Done():
	case <-a.runner.drains:
	}
	return a.end(task, riverJob, func(task domain.Task) workers.Outcome {
		if task.CancelAsked != nil || a.ctx.Err() != nil {
			return a.execute(task)
		}
		out := lacking(&task)
		out.Verdict, out.Retryable = workers.HandBack, false
		return out
	})
}

// Attempts with numbers up to declines are declined, a minute of waits in all. From then
// on the lack of an executor is the task's own failure: meanwhile it takes up units.
const (
	declines     = 7
	declineFirst = 500 * time.Millisecond
	declineMost  = 30 * time.Second
)

func lacking(task *domain.Task) workers.Outcome {
	return workers.Outcome{
		Verdict: workers.Failed, Code: workers.CodeUnknown, Retryable: true,
		Message: fmt.Sprintf("this process has no executor %q for pool %q; configure it, or register it in the program that runs the pool's tasks",
			task.Executor, task.PoolID),
	}
}

func (a *Attempt) execute(task domain.Task) workers.Outcome {
	r := a.runner
	if task.CancelAsked != nil {
		a.cancel(workers.ErrCancelled)
	}
	executor, known := r.opts.Registry.Lookup(string(task.PoolID), task.Executor)
	if !known && a.ctx.Err() == nil {
		return lacking(&task)
	}
	return workers.Run(a.ctx, r.observed(executor, task), publicTask(task), workers.Limits{
		MaxResult: r.opts.MaxResult,
		StopGrace: r.opts.StopGrace,
		Log:       r.opts.Log,
		Leaked: func(workers.Task) func() {
			r.opts.Metrics.Leaking(task.PoolID, 1)
			return func() { r.opts.Metrics.Leaking(task.PoolID, -1) }
		},
	})
}

// observed records when the executor really is entered and left, also when it
// outlives its attempt.
func (r *Runner) observed(executor workers.Executor, task domain.Task) workers.Executor {
	return workers.ExecutorFunc(func(ctx context.Context, public workers.Task) (json.RawMessage, error) {
		if task.StartedAt != nil {
			r.opts.Metrics.Entered(task.PoolID, time.Since(*task.StartedAt))
		}
		if r.opts.Recorder != nil {
			r.opts.Recorder.Entered(task)
			defer r.opts.Recorder.Exited(task)
		}
		return executor.Execute(ctx, public)
	})
}

// settle reports until the report is taken or the Runner closes.
func (r *Runner) settle(s plan.Settle) error {
	log := func() *slog.Logger { // not made for nothing
		return r.opts.Log.With("pool", s.Ref.PoolID, "job", s.Ref.JobID, "attempt", s.Ref.Attempt, "verdict", s.Verdict)
	}
	const between = 200 * time.Millisecond
	for {
		answer, err := r.opts.Settle(r.base, s)
		if err == nil {
			if answer.Err != nil {
				log().Warn("the report of an attempt was refused", "error", answer.Err)
			}
			return nil
		}
		if r.base.Err() != nil {
			return fmt.Errorf("report attempt %d of job %d of pool %s: %w", s.Ref.Attempt, s.Ref.JobID, s.Ref.PoolID, err)
		}
		if domain.CodeOf(err) != domain.CodeUnavailable {
			// No other attempt of the report would do better. The row stays running until
			// the scheduler finds that nobody runs it and settles it as lost.
			log().Error("the report of an attempt failed; it will be settled as lost", "error", err)
			return err
		}
		log().Warn("the report of an attempt could not be made; trying again", "error", err)
		select {
		case <-time.After(between):
		case <-r.base.Done():
		}
	}
}

func settlement(task domain.Task, riverJob int64, out workers.Outcome) plan.Settle {
	s := plan.Settle{
		Ref:        task.Ref(),
		Units:      task.Units,
		Verdict:    plan.Verdict(out.Verdict),
		Retryable:  out.Retryable,
		Result:     out.Result,
		RiverJobID: riverJob,
	}
	if out.Verdict != workers.Completed && (out.Verdict != workers.HandBack || out.Code == workers.CodeUnknown) {
		s.Reason = domain.Reason{Code: domain.ReasonCode(out.Code), Message: out.Message}
	}
	return s
}

// publicTask is what an executor is told. The labels are its own copy in effect:
// nobody else keeps the row.
func publicTask(t domain.Task) workers.Task {
	return workers.Task{
		PoolID:      string(t.PoolID),
		TaskID:      string(t.TaskID),
		JobID:       int64(t.JobID),
		Attempt:     t.Attempt,
		MaxAttempts: t.MaxAttempts,
		Tenant:      string(t.Tenant),
		Kind:        string(t.Kind),
		Units:       int64(t.Units),
		Timeout:     t.Timeout,
		Labels:      t.Labels,
		Payload:     t.Payload,
	}
}
