package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/api/client"
)

func newStatusCommand() *cobra.Command {
	var (
		status, tenant, label, cursor string
		limit                         int64
	)
	cmd := &cobra.Command{
		Use:   "status POOL [TASK]",
		Short: "Show a task, or a pool's tasks, newest first",
		Args:  args(cobra.RangeArgs(1, 2)),
	}
	flags := cmd.Flags()
	flags.StringVar(&status, "status", "", "only tasks in this status")
	flags.StringVar(&tenant, "tenant", "", "only tasks of this tenant")
	flags.StringVar(&label, "label", "", "only tasks with this label, key:value")
	flags.Int64Var(&limit, "limit", 0, "tasks of a page, 1 to 500 (default 50)")
	flags.StringVar(&cursor, "cursor", "", "nextCursor of the page before")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		if len(args) == 2 { //nolint:mnd // pool and task
			task, raw, err := call[client.Task](ctx, s, 0, func(ctx context.Context) (*http.Response, error) {
				return s.api.GetTask(ctx, args[0], args[1], nil)
			})
			if err != nil {
				return err
			}
			return s.showTask(task, raw)
		}
		page, raw, err := call[client.TaskPage](ctx, s, 0, func(ctx context.Context) (*http.Response, error) {
			return s.api.ListTasks(ctx, args[0], &client.ListTasksParams{
				Status: optional(client.ListTasksParamsStatus(status)), Tenant: optional(tenant), Label: optional(label),
				Limit: optional(limit), Cursor: optional(cursor),
			})
		})
		if err != nil {
			return err
		}
		return s.show(raw, func(table io.Writer) {
			row(table, "TASK", "STATUS", "PRIORITY", "UNITS", "TENANT", "ATTEMPT", "CREATED", "STARTED", "FINISHED", "REASON")
			for _, t := range page.Tasks {
				row(table, t.TaskID, t.Status, t.Priority, t.ResourceCost.Units, t.Tenant, t.Attempt,
					clock(&t.CreatedAt), clock(t.StartedAt), clock(t.FinishedAt), because(t.Reason))
			}
			if page.NextCursor != "" {
				row(table, "", "more: --cursor "+page.NextCursor)
			}
		})
	})
}

// showTask prints one task, a line a field.
func (s *session) showTask(t client.Task, raw json.RawMessage) error {
	return s.show(raw, func(table io.Writer) {
		row(table, "task", t.TaskID)
		row(table, "pool", t.PoolID)
		row(table, "tenant", t.Tenant)
		row(table, "status", t.Status)
		if t.Reason != nil {
			row(table, "reason", because(t.Reason))
		}
		if t.Position > 0 {
			row(table, "position", t.Position)
		}
		if t.EstimatedStart != nil {
			row(table, "may start", clock(t.EstimatedStart))
		}
		row(table, "attempt", t.Attempt, "of", t.MaxAttempts)
		row(table, "priority", t.Priority)
		row(table, "units", t.ResourceCost.Units, t.ResourceCost.Kind)
		row(table, "executor", t.Executor)
		row(table, "created", clock(&t.CreatedAt))
		if t.Deadline != nil {
			row(table, "deadline", clock(t.Deadline))
		}
		row(table, "started", clock(t.StartedAt))
		if t.CancelRequestedAt != nil {
			row(table, "cancel asked", clock(t.CancelRequestedAt))
		}
		if t.RetryAt != nil {
			row(table, "retry", clock(t.RetryAt))
		}
		row(table, "finished", clock(t.FinishedAt))
		if m := t.MailboxKey; m != nil {
			row(table, "mailbox", strings.TrimSuffix(m.Tenant+"/"+client.UserMailbox(m.UserID, m.SessionID), "/"))
		}
		for _, key := range slices.Sorted(maps.Keys(t.Labels)) {
			row(table, "label", key+"="+t.Labels[key])
		}
		if t.Result != nil {
			row(table, "result", string(t.Result))
		}
	})
}
