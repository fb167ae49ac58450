package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/parkinglot/parkinglot/api/client"
)

// gateFlags are what a gate says of itself and when.
type gateFlags struct {
	gate     string
	sequence int64
	at       string
	flags    *pflag.FlagSet
}

func (g *gateFlags) add(flags *pflag.FlagSet) {
	g.flags = flags
	flags.StringVar(&g.gate, "gate", "", "id of the gate; needs --sequence")
	flags.Int64Var(&g.sequence, "sequence", 0, "the gate's number of the call; the same again gets the first answer")
	flags.StringVar(&g.at, "at", "", "when it happened, RFC 3339 (default: now)")
}

func (g *gateFlags) number() *int64 {
	if !g.flags.Changed("sequence") {
		return nil
	}
	return &g.sequence
}

// instant reads a time of a flag; nil for none.
func instant(flag, text string) (*time.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // now
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil, failure(exitUsage, "--%s %q is no time such as 2026-01-31T12:00:00Z", flag, text)
	}
	return &at, nil
}

func newParkCommand() *cobra.Command {
	var gate gateFlags
	var vehicle, plate, jurisdiction, size, kind, reservation, wait, priority, mailbox string
	var features []string
	cmd := &cobra.Command{
		Use:   "park FACILITY",
		Short: "Let a vehicle in",
		Long: `Lets a vehicle in and prints its ticket. The vehicle is known by --vehicle, or found or made
by --plate. With --wait it stands in line where nothing fits now.`,
		Example: `  parkinglot park central --plate "B-AB 1234" --jurisdiction DE --size medium
  parkinglot park central --vehicle bus-7 --wait 2h --mailbox acme/ada`,
		Args: args(cobra.ExactArgs(1)),
	}
	flags := cmd.Flags()
	flags.StringVar(&vehicle, "vehicle", "", "id of a known vehicle")
	flags.StringVar(&plate, "plate", "", "plate of the vehicle, in any spelling")
	flags.StringVar(&jurisdiction, "jurisdiction", "", "who issued the plate, such as DE or US-CA")
	flags.StringVar(&size, "size", "medium", "small, medium or large; with --plate")
	flags.StringVar(&kind, "type", "car", "car, truck, van or motorcycle; with --plate")
	flags.StringSliceVar(&features, "feature", nil, "features the spot must have")
	flags.StringVar(&reservation, "reservation", "", "id of the vehicle's reservation")
	flags.StringVar(&wait, "wait", "", "wait in line until then: a duration such as 2h, or a time")
	flags.StringVar(&priority, "priority", "", "in line: low, normal, high or critical (default: normal)")
	flags.StringVar(&mailbox, "mailbox", "", "where to leave offers: tenant, tenant/user or tenant/user:session")
	gate.add(flags)
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		at, err := instant("at", gate.at)
		if err != nil {
			return err
		}
		body := client.NewEntry{
			VehicleID: vehicle, Features: features, ReservationID: reservation, At: at, GateID: gate.gate, Sequence: gate.number(),
		}
		if plate != "" {
			body.Vehicle = &client.NewVehicle{
				Plate: plate, Jurisdiction: jurisdiction, Size: client.NewVehicleSize(size), Type: client.NewVehicleType(kind),
			}
		}
		until, err := deadline(wait)
		if err != nil {
			return err
		}
		if until != nil {
			body.Wait = &client.WaitRequest{
				Deadline: *until, Priority: client.WaitRequestPriority(priority), MailboxKey: mailboxKey(mailbox),
			}
		}
		_, raw, err := call[json.RawMessage](ctx, s, 0, func(ctx context.Context) (*http.Response, error) {
			return s.api.EnterFacility(ctx, args[0], body)
		})
		if err != nil {
			return err
		}
		return s.entered(raw)
	})
}

// entered shows a ticket, or a place in line.
func (s *session) entered(raw json.RawMessage) error {
	var waiting client.Waiting
	if err := json.Unmarshal(raw, &waiting); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if waiting.WaitingID != "" {
		return s.show(raw, func(table io.Writer) {
			row(table, "WAITING", "FACILITY", "VEHICLE", "STATUS", "POSITION", "DEADLINE")
			row(table, waiting.WaitingID, waiting.FacilityID, waiting.VehicleID, waiting.Status, position(waiting.Position), clock(&waiting.Deadline))
		})
	}
	var t client.Ticket
	if err := json.Unmarshal(raw, &t); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return s.show(raw, func(table io.Writer) { ticketRows(table, t) })
}

func newExitCommand() *cobra.Command {
	var gate gateFlags
	cmd := &cobra.Command{
		Use:   "exit TICKET",
		Short: "Let a vehicle out",
		Long:  `Ends a stay that is paid for. What is still due is refused with payment_required.`,
		Args:  args(cobra.ExactArgs(1)),
	}
	gate.add(cmd.Flags())
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		at, err := instant("at", gate.at)
		if err != nil {
			return err
		}
		return s.ticket(ctx, func(ctx context.Context) (*http.Response, error) {
			return s.api.ExitTicket(ctx, args[0], client.NewExit{At: at, GateID: gate.gate, Sequence: gate.number()})
		})
	})
}

func newQuoteCommand() *cobra.Command {
	var until string
	cmd := &cobra.Command{Use: "quote TICKET", Short: "Say what leaving costs, line by line", Args: args(cobra.ExactArgs(1))}
	cmd.Flags().StringVar(&until, "until", "", "leaving then, RFC 3339 (default: now)")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		q, raw, err := call[client.Quote](ctx, s, 0, func(ctx context.Context) (*http.Response, error) {
			return s.api.QuoteTicket(ctx, args[0], &client.QuoteTicketParams{Until: optional(until)})
		})
		if err != nil {
			return err
		}
		return s.show(raw, func(table io.Writer) {
			row(table, "UNTIL", "MINUTES", "CURRENCY", "TOTAL", "PAID", "DUE", "FREE UNTIL")
			row(table, clock(&q.Until), q.Minutes, q.Currency, q.Total, q.Paid, q.Due, clock(q.FreeUntil))
			for _, l := range q.Lines {
				row(table, "  "+string(l.Kind), clock(l.At), "", l.Amount)
			}
		})
	})
}

func ticketRows(table io.Writer, tickets ...client.Ticket) {
	row(table, "TICKET", "FACILITY", "VEHICLE", "SPOTS", "STATUS", "ENTRY", "EXIT", "AMOUNT", "PAID")
	for _, t := range tickets {
		amount := "-"
		if t.Amount != nil {
			amount = strconv.FormatInt(*t.Amount, 10)
		}
		row(table, t.TicketID, t.FacilityID, t.VehicleID, strings.Join(t.SpotIds, ","), t.Status, clock(&t.EntryTime), clock(t.ExitTime), amount, t.Paid)
	}
}
