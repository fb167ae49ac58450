package main

import (
	"context"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/api/client"
)

func newWaitCommand() *cobra.Command {
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "wait POOL TASK",
		Short: "Wait for a task to end",
		Long:  `Waits until the task has ended and prints it. Exits 0 only if it completed.`,
		Args:  args(cobra.ExactArgs(2)),
	}
	cmd.Flags().DurationVar(&limit, "for", 0, "wait at most this long (default: as long as it takes)")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		return s.await(ctx, args[0], args[1], limit)
	})
}

const (
	holdTask = 30 * time.Second // one request of a longer wait
	lull     = time.Second      // before asking a server again that did not answer
)

// await follows a task to its end, prints it, and tells by the error whether it
// completed. Once the server has answered, its absence (a restart) is waited out.
func (s *session) await(ctx context.Context, pool, id string, limit time.Duration) error {
	var (
		until = time.Now().Add(limit)
		seen  = false
	)
	for {
		hold := holdTask
		if limit > 0 {
			hold = max(0, min(hold, time.Until(until)))
		}
		task, raw, err := call[client.Task](ctx, s, hold, func(ctx context.Context) (*http.Response, error) {
			return s.api.GetTask(ctx, pool, id, &client.GetTaskParams{Wait: new(hold.String())})
		})
		over := limit > 0 && !time.Now().Before(until)
		switch {
		case err != nil && seen && !over && ctx.Err() == nil && statusFor(err) == exitUnavailable:
			if err := pause(ctx, lull); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case task.FinishedAt != nil:
			if err := s.showTask(task, raw); err != nil {
				return err
			}
			return verdict(task)
		case over:
			if err := s.showTask(task, raw); err != nil {
				return err
			}
			return failure(exitNotOver, "task %s is still %s after %s", id, task.Status, limit)
		}
		seen = true
	}
}

// verdict is nil for a task that completed.
func verdict(task client.Task) error {
	if task.Status == client.TaskStatusCompleted {
		return nil
	}
	return failure(exitFailed, "task %s %s: %s", task.TaskID, task.Status, because(task.Reason))
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // says it all
	case <-timer.C:
		return nil
	}
}
