package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/internal/app"
	"github.com/parkinglot/parkinglot/internal/store/migrate"
)

func newMigrate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring Postgres up to date, or say whether it is",
		Long:  "The migrations of Parking Lot and of River, in one schema. The file backend is migrated by serve itself.",
	}
	cmd.AddCommand(
		migrateVerb("up", "Apply what is pending", func(ctx context.Context, w io.Writer, m *migrate.Migrator) error {
			applied, err := m.Up(ctx)
			if err != nil {
				return fmt.Errorf("migrate up: %w", err)
			}
			if len(applied) == 0 {
				_, err = fmt.Fprintln(w, "nothing to do: the schema is up to date")
				return err //nolint:wrapcheck // of the terminal
			}
			return printSteps(w, applied)
		}),
		migrateVerb("status", "List every migration", func(ctx context.Context, w io.Writer, m *migrate.Migrator) error {
			steps, err := m.Status(ctx)
			if err != nil {
				return fmt.Errorf("migrate status: %w", err)
			}
			return printSteps(w, steps)
		}),
		migrateVerb("validate", "Exit 1 unless the schema is exactly what this program expects", func(ctx context.Context, w io.Writer, m *migrate.Migrator) error {
			if err := m.Validate(ctx); err != nil {
				return fmt.Errorf("migrate validate: %w", err)
			}
			_, err := fmt.Fprintln(w, "the schema is up to date")
			return err //nolint:wrapcheck // of the terminal
		}),
	)
	return cmd
}

func migrateVerb(name, short string, work func(context.Context, io.Writer, *migrate.Migrator) error) *cobra.Command {
	var flags processFlags
	cmd := &cobra.Command{
		Use: name, Short: short, Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.load(cmd)
			if err != nil {
				return err
			}
			if _, err := flags.logger(); err != nil {
				return err
			}
			return app.Migrate(cmd.Context(), cfg, func(ctx context.Context, m *migrate.Migrator) error { //nolint:wrapcheck // says what failed
				return work(ctx, cmd.OutOrStdout(), m)
			})
		},
	}
	flags.common(cmd)
	return finish(cmd)
}

func printSteps(w io.Writer, steps []migrate.Step) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row(table, "LINE", "VERSION", "NAME", "APPLIED")
	for _, step := range steps {
		name, applied := step.Name, "pending"
		if name == "" {
			name = "(unknown to this program)"
		}
		if step.AppliedAt != nil {
			applied = step.AppliedAt.Format(time.RFC3339)
		}
		row(table, step.Line, step.Version, name, applied)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print migrations: %w", err)
	}
	return nil
}
