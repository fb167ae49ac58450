package main

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/api/client"
)

func newTicketCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ticket",
		Short: "Show, pay, discount or void a ticket",
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTicketShowCommand(), newTicketListCommand(), newTicketPayCommand(), newTicketAdjustCommand(),
		newTicketLostCommand(), newTicketVoidCommand())
	return cmd
}

// ticket sends a request that is answered with a ticket, and shows that.
func (s *session) ticket(ctx context.Context, send func(context.Context) (*http.Response, error)) error {
	t, raw, err := call[client.Ticket](ctx, s, 0, send)
	if err != nil {
		return err
	}
	return s.show(raw, func(table io.Writer) { ticketRows(table, t) })
}

func newTicketShowCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show TICKET", Short: "Show a ticket", Args: args(cobra.ExactArgs(1))}
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		return s.ticket(ctx, func(ctx context.Context) (*http.Response, error) { return s.api.GetTicket(ctx, args[0]) })
	})
}

func newTicketListCommand() *cobra.Command {
	var facility, vehicle, status, cursor string
	var limit int64
	cmd := &cobra.Command{Use: "list", Short: "List tickets in the order of their entry", Args: args(cobra.NoArgs)}
	flags := cmd.Flags()
	flags.StringVar(&facility, "facility", "", "only tickets of this facility")
	flags.StringVar(&vehicle, "vehicle", "", "only tickets of this vehicle")
	flags.StringVar(&status, "status", "", "only open, closed or void")
	flags.Int64Var(&limit, "limit", 50, "tickets of a page")
	flags.StringVar(&cursor, "cursor", "", "continue after a page")
	return newClientCommand(cmd, func(ctx context.Context, s *session, _ []string) error {
		page, raw, err := call[client.TicketPage](ctx, s, 0, func(ctx context.Context) (*http.Response, error) {
			return s.api.ListTickets(ctx, &client.ListTicketsParams{
				FacilityID: optional(facility), VehicleID: optional(vehicle), Status: optional(client.ListTicketsParamsStatus(status)),
				Limit: &limit, Cursor: optional(cursor),
			})
		})
		if err != nil {
			return err
		}
		return s.show(raw, func(table io.Writer) {
			ticketRows(table, page.Items...)
			more(table, page.NextCursor)
		})
	})
}

// newID is the name of something the user did not name.
func newID() string { return "cli-" + strings.ToLower(rand.Text()) }

func newTicketPayCommand() *cobra.Command {
	var body client.NewPayment
	var paidAt string
	cmd := &cobra.Command{Use: "pay TICKET", Short: "Record a payment", Args: args(cobra.ExactArgs(1))}
	flags := cmd.Flags()
	flags.StringVar(&body.PaymentID, "payment-id", "", "name of the payment; the same again is taken once (default: a new one)")
	flags.Int64Var(&body.Amount, "amount", 0, "minor units, at most what is due (required)")
	flags.StringVar(&body.Method, "method", "", "how it was paid")
	flags.StringVar(&paidAt, "paid-at", "", "when it was paid, RFC 3339 (default: now)")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		var err error
		if body.PaidAt, err = instant("paid-at", paidAt); err != nil {
			return err
		}
		if body.PaymentID == "" {
			body.PaymentID = newID()
		}
		return s.ticket(ctx, func(ctx context.Context) (*http.Response, error) { return s.api.PayTicket(ctx, args[0], body) })
	})
}

func newTicketAdjustCommand() *cobra.Command {
	var body client.TicketAdjustment
	cmd := &cobra.Command{
		Use:   "adjust TICKET",
		Short: "Validate or discount a ticket",
		Long:  `Give one of --free-minutes, --percent-bp and --fixed.`,
		Args:  args(cobra.ExactArgs(1)),
	}
	flags := cmd.Flags()
	flags.StringVar(&body.AdjustmentID, "adjustment-id", "", "name of the adjustment; the same again counts once (default: a new one)")
	flags.Int64Var(&body.Minutes, "free-minutes", 0, "minutes from the entry that cost nothing")
	flags.Int64Var(&body.Bp, "percent-bp", 0, "basis points taken off; 10000 is all")
	flags.Int64Var(&body.Amount, "fixed", 0, "minor units taken off")
	flags.StringVar(&body.Reason, "reason", "", "why")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		given := 0
		for flag, kind := range map[string]client.TicketAdjustmentKind{"free-minutes": "freeMinutes", "percent-bp": "percent", "fixed": "fixed"} {
			if flags.Changed(flag) {
				body.Kind = kind
				given++
			}
		}
		if given != 1 {
			return failure(exitUsage, "give one of --free-minutes, --percent-bp and --fixed")
		}
		if body.AdjustmentID == "" {
			body.AdjustmentID = newID()
		}
		return s.ticket(ctx, func(ctx context.Context) (*http.Response, error) { return s.api.AdjustTicket(ctx, args[0], body) })
	})
}

func newTicketLostCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "lost TICKET", Short: "Report a ticket lost", Args: args(cobra.ExactArgs(1))}
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		return s.ticket(ctx, func(ctx context.Context) (*http.Response, error) {
			return s.api.ReportLost(ctx, args[0], client.LostReport{})
		})
	})
}

func newTicketVoidCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{Use: "void TICKET", Short: "Void a ticket: refund it and free its spots", Args: args(cobra.ExactArgs(1))}
	cmd.Flags().StringVar(&reason, "reason", "", "why (required)")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		if reason == "" {
			return failure(exitUsage, "--reason is required")
		}
		return s.ticket(ctx, func(ctx context.Context) (*http.Response, error) {
			return s.api.VoidTicket(ctx, args[0], client.VoidRequest{Reason: reason})
		})
	})
}
