package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/api/client"
)

func newPoolsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pools",
		Short: "List the pools and what they hold",
		Args:  args(cobra.NoArgs),
	}
	return newClientCommand(cmd, func(ctx context.Context, s *session, _ []string) error {
		list, raw, err := call[client.PoolList](ctx, s, 0, func(ctx context.Context) (*http.Response, error) { return s.api.ListPools(ctx) })
		if err != nil {
			return err
		}
		return s.show(raw, func(table io.Writer) { poolRows(table, list.Pools...) })
	})
}

func newPoolCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pool",
		Short: "Show or change a pool",
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newPoolShowCommand(),
		newPoolStateCommand("drain", "Refuse new tasks and run the queue dry", client.PoolChangeStateDraining),
		newPoolStateCommand("resume", "Take and start tasks again", client.PoolChangeStateActive),
		newPoolStateCommand("disable", "Refuse new tasks and start nothing", client.PoolChangeStateDisabled),
		newPoolSetCommand(),
	)
	return cmd
}

func newPoolShowCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show POOL", Short: "Show a pool", Args: args(cobra.ExactArgs(1))}
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		return s.pool(ctx, func(ctx context.Context) (*http.Response, error) { return s.api.GetPool(ctx, args[0]) })
	})
}

func newPoolStateCommand(verb, short string, state client.PoolChangeState) *cobra.Command {
	cmd := &cobra.Command{Use: verb + " POOL", Short: short, Args: args(cobra.ExactArgs(1))}
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		return s.pool(ctx, func(ctx context.Context) (*http.Response, error) {
			return s.api.ChangePool(ctx, args[0], client.PoolChange{State: state})
		})
	})
}

func newPoolSetCommand() *cobra.Command {
	var units, depth int64
	cmd := &cobra.Command{
		Use:   "set POOL",
		Short: "Change a pool's limits",
		Long:  `Shrinking a pool below what it has in use stops new starts and kills nothing.`,
		Args:  args(cobra.ExactArgs(1)),
	}
	flags := cmd.Flags()
	flags.Int64Var(&units, "max-units", 0, "size of the pool; 0 rejects everything")
	flags.Int64Var(&depth, "max-queue-depth", 0, "tasks that may wait")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		change := client.PoolChange{}
		if flags.Changed("max-units") {
			change.MaxUnits = &units
		}
		if flags.Changed("max-queue-depth") {
			change.MaxQueueDepth = &depth
		}
		if change == (client.PoolChange{}) {
			return failure(exitUsage, "give --max-units or --max-queue-depth")
		}
		return s.pool(ctx, func(ctx context.Context) (*http.Response, error) { return s.api.ChangePool(ctx, args[0], change) })
	})
}

// pool sends a request that is answered with a pool, and shows that.
func (s *session) pool(ctx context.Context, send func(context.Context) (*http.Response, error)) error {
	pool, raw, err := call[client.Pool](ctx, s, 0, send)
	if err != nil {
		return err
	}
	return s.show(raw, func(table io.Writer) { poolRows(table, pool) })
}

func poolRows(table io.Writer, pools ...client.Pool) {
	row(table, "POOL", "STATE", "UNITS", "RUNNING", "QUEUED", "OLDEST", "RETRYING", "POLICY", "RUNTIME", "BACKEND", "NAME")
	for _, p := range pools {
		oldest := time.Duration(p.OldestQueuedSecs * float64(time.Second)).Round(time.Second)
		row(table, p.PoolID, p.State, fmt.Sprintf("%d/%d", p.ActiveUnits, p.MaxUnits), p.Running,
			fmt.Sprintf("%d/%d", p.Queued, p.MaxQueueDepth), oldest, p.Waiting, p.PriorityPolicy, p.RuntimeAdapter, p.QueueBackend, p.Name)
	}
}
