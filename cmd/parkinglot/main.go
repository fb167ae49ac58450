// Command parkinglot admits work only when its declared resource units fit, parks
// the rest, and leaves every outcome in a mailbox. One binary is server, worker,
// migration tool and client; each verb has a file of its own here and no logic.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/parkinglot/parkinglot/internal/domain"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	err := newRoot().ExecuteContext(ctx)
	if err != nil {
		report(err)
	}
	os.Exit(exitStatus(err))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "parkinglot",
		Short: "Admission control for scarce resources",
		Long: "Parking Lot starts work only when its resource units fit, parks the rest in order,\n" +
			"and leaves every outcome in a mailbox. Start with: parkinglot serve\n\n" +
			"Every flag has an environment variable: --log-level is PARKINGLOT_LOG_LEVEL.",
		Version:           version(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return flagsFromEnvironment(cmd) },
	}
	root.AddCommand(newServe(), newWork(), newMigrate(), newConfig())
	root.AddCommand(newSubmitCommand(), newStatusCommand(), newWhyCommand(), newWaitCommand(), newCancelCommand(), newMailboxCommand(),
		newAuditCommand(), newPoolsCommand(), newPoolCommand(), newFacilityCommand(), newParkCommand(), newExitCommand(), newQuoteCommand(),
		newTicketCommand(), newOpenAPICommand(), newReplayCommand(), newSimulateGarageCommand(), newVerifyCommand())
	return root
}

// flagsFromEnvironment sets every flag that was not given from its variable; an
// empty variable counts as not set.
func flagsFromEnvironment(cmd *cobra.Command) error {
	var faults []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := envName(f.Name)
		value := os.Getenv(name)
		if f.Changed || value == "" || f.Name == "help" || f.Name == "version" {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			faults = append(faults, fmt.Errorf("%s=%q: %w", name, value, err))
		}
	})
	if len(faults) > 0 {
		return failure(exitUsage, "%w", errors.Join(faults...))
	}
	return nil
}

// report tells what went wrong, each fault of an input on a line of its own.
func report(err error) {
	var coded *domain.Error
	if !errors.As(err, &coded) {
		fmt.Fprintln(os.Stderr, "parkinglot:", err)
		return
	}
	message := coded.Message
	if coded.Err != nil {
		message += ": " + coded.Err.Error()
	}
	fmt.Fprintln(os.Stderr, "parkinglot:", message)
	for _, f := range coded.Faults {
		fmt.Fprintf(os.Stderr, "  %s: %s\n", f.Location, f.Message)
	}
}

// exitStatus returns what an error says about the exit status, 1 when it says
// nothing.
func exitStatus(err error) int {
	var own interface{ ExitStatus() int }
	switch {
	case err == nil:
		return 0
	case errors.As(err, &own):
		return own.ExitStatus()
	}
	return 1
}
