package main

import (
	"context"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/api/client"
)

func newCancelCommand() *cobra.Command {
	var label string
	cmd := &cobra.Command{
		Use:   "cancel POOL {TASK | --label KEY:VALUE}",
		Short: "Cancel a task, or every live task with a label",
		Long: `Drops a queued task and asks a running one to stop; one that has ended stays as it is.
wait tells when a running one has stopped.`,
		Args: args(cobra.RangeArgs(1, 2)),
	}
	cmd.Flags().StringVar(&label, "label", "", "cancel every live task with this label, key:value")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		if (len(args) == 1) == (label == "") {
			return failure(exitUsage, "give either a TASK or --label")
		}
		if label != "" {
			count, raw, err := call[client.Cancelled](ctx, s, 0, func(ctx context.Context) (*http.Response, error) {
				return s.api.CancelTasks(ctx, args[0], &client.CancelTasksParams{Label: label})
			})
			if err != nil {
				return err
			}
			return s.show(raw, func(table io.Writer) { row(table, "cancelled", count.Cancelled) })
		}
		task, raw, err := call[client.Task](ctx, s, 0, func(ctx context.Context) (*http.Response, error) {
			return s.api.CancelTask(ctx, args[0], args[1])
		})
		if err != nil {
			return err
		}
		return s.showTask(task, raw)
	})
}
