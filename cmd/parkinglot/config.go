package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/internal/config"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check a configuration, or print its schema"}
	check := &cobra.Command{
		Use:   "check [file]",
		Short: "Say what a configuration means, or everything that is wrong with it",
		Long:  "Prints the pools with the values that count after defaults, environment and flags.\nWithout a file: the built-in demo. Exits 1 with every fault, each with its path.",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			cfg, err := config.Load(config.Source{Path: strings.Join(given, ""), Environ: os.Environ()})
			if err != nil {
				return err //nolint:wrapcheck // names the file and every fault
			}
			return explain(cmd.OutOrStdout(), cfg)
		},
	}
	schema := &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the configuration", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := config.Schema()
			if err != nil {
				return err //nolint:wrapcheck // cannot fail but for a defect
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err //nolint:wrapcheck // standard output
		},
	}
	demo := &cobra.Command{
		Use: "demo", Short: "Print the built-in demo configuration, to begin with", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), config.Demo())
			return err //nolint:wrapcheck // standard output
		},
	}
	cmd.AddCommand(check, schema, demo)
	return cmd
}

// explain prints the pools with their effective values.
func explain(w io.Writer, cfg *config.Config) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row(table, fmt.Sprintf("%s is right: %d pools", cfg.Origin(), len(cfg.Pools)))
	row(table)
	row(table, "POOL", "UNITS", "KIND", "QUEUE", "TIMEOUT", "ATTEMPTS", "ORDER", "OVERTAKES", "RUNTIME", "QUEUE IN", "MAILBOX IN", "EXECUTORS", "TENANTS")
	for i := range cfg.Pools {
		p := cfg.Pools[i].Domain()
		executors := strings.Join(p.Executors, ",")
		if executors == "" {
			executors = "(none: only programs that register their own can serve it)"
		}
		row(table, p.PoolID, p.MaxUnits, p.ResourceKind, p.MaxQueueDepth, p.DefaultTimeout, p.MaxAttempts, p.Policy,
			p.MaxOvertakes, p.Runtime, p.QueueBackend, p.MailboxBackend, executors, shares(cfg.Pools[i].Tenants))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print pools: %w", err)
	}
	return nil
}

// shares says what tenants may do: acme×3≤60 has three shares and at most 60 units.
func shares(tenants map[string]config.Tenant) string {
	texts := make([]string, 0, len(tenants))
	for _, name := range slices.Sorted(maps.Keys(tenants)) {
		t := tenants[name]
		text := fmt.Sprintf("%s×%d", name, max(1, t.Weight))
		if t.MaxUnits > 0 {
			text += fmt.Sprintf("≤%d", t.MaxUnits)
		}
		texts = append(texts, text)
	}
	return dash(strings.Join(texts, " "))
}
