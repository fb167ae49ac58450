package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/api/client"
)

func newWhyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "why POOL TASK",
		Short: "Say why a task is not running",
		Long: `Says what is in the way of a queued task, who is in front of it, who holds the units and when
it may start; of any other task, what it does instead.`,
		Args: args(cobra.ExactArgs(2)), //nolint:mnd // pool and task
	}
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		why, raw, err := call[client.Explanation](ctx, s, 0, func(ctx context.Context) (*http.Response, error) {
			return s.api.ExplainTask(ctx, args[0], args[1])
		})
		if err != nil {
			return err
		}
		return s.show(raw, func(table io.Writer) { showWhy(table, &why) })
	})
}

func showWhy(table io.Writer, why *client.Explanation) {
	row(table, "task", why.TaskID)
	row(table, "status", why.Status)
	row(table, "why", why.Code)
	row(table, "", why.Message)
	if why.Reason != nil {
		row(table, "reason", because(why.Reason))
	}
	if why.Position > 0 {
		row(table, "position", why.Position)
	}
	if why.EstimatedStart != nil {
		row(table, "may start", clock(why.EstimatedStart))
	}
	if why.Drain != nil {
		row(table, "drain", fmt.Sprintf("%.3g tasks a second", why.Drain.TasksPerSec))
	}
	row(table, "units", fmt.Sprintf("%d needed, %d of %d free", why.Units, why.Pool.FreeUnits, why.Pool.MaxUnits))
	if why.ShortUnits > 0 {
		row(table, "short", why.ShortUnits)
	}
	if t := &why.Tenant; t.MaxUnits > 0 {
		row(table, "tenant", fmt.Sprintf("%s uses %d of %d units", t.Tenant, t.ActiveUnits, t.MaxUnits))
	}
	if why.KeptFor != nil {
		row(table, "kept for", why.KeptFor.TaskID)
	}
	if len(why.Ahead) > 0 {
		row(table)
		row(table, "AHEAD", "UNITS", "TENANT", "PRIORITY", "CREATED")
		for i := range why.Ahead {
			t := &why.Ahead[i]
			row(table, t.TaskID, t.Units, t.Tenant, t.Priority, clock(&t.CreatedAt))
		}
	}
	if len(why.Holders) > 0 {
		row(table)
		row(table, "HOLDS UNITS", "UNITS", "TENANT", "ATTEMPT", "STARTED", "ENDS BY", "HOLDER")
		for i := range why.Holders {
			t := &why.Holders[i]
			row(table, t.TaskID, t.Units, t.Tenant, t.Attempt, clock(t.StartedAt), clock(t.EndsBy), dash(t.Holder))
		}
	}
}
