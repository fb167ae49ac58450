package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/api/client"
)

func newFacilityCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "facility",
		Short: "Create, show or change a car park",
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	spots := &cobra.Command{
		Use:   "spots",
		Short: "Import or list the spots of a facility",
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	spots.AddCommand(newSpotsImportCommand(), newSpotsListCommand())
	cmd.AddCommand(newFacilityCreateCommand(), newFacilityShowCommand(), newFacilitySetCommand(), spots)
	return cmd
}

func newFacilityCreateCommand() *cobra.Command {
	var body client.NewFacility
	var allocation string
	cmd := &cobra.Command{
		Use:     "create FACILITY",
		Short:   "Create a facility without spots",
		Example: `  parkinglot facility create central --name "Central garage" --time-zone Europe/Berlin --currency EUR --pricing-strategy day`,
		Args:    args(cobra.ExactArgs(1)),
	}
	flags := cmd.Flags()
	flags.StringVar(&body.Name, "name", "", "name for people (default: the id)")
	flags.StringVar(&body.TimeZone, "time-zone", "UTC", "IANA name; that of the pricing strategy")
	flags.StringVar(&body.Currency, "currency", "EUR", "ISO 4217; that of the pricing strategy")
	flags.StringVar(&allocation, "allocation", "", "first_available, nearest, fill_in or dynamic (default: first_available)")
	flags.StringVar(&body.PricingStrategyID, "pricing-strategy", "", "id of the pricing strategy (required)")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		if body.PricingStrategyID == "" {
			return failure(exitUsage, "--pricing-strategy is required; POST /pricing-strategies makes one")
		}
		body.FacilityID, body.AllocationStrategy = args[0], client.NewFacilityAllocationStrategy(allocation)
		if body.Name == "" {
			body.Name = args[0]
		}
		return s.facility(ctx, func(ctx context.Context) (*http.Response, error) { return s.api.CreateFacility(ctx, body) })
	})
}

func newFacilityShowCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show FACILITY", Short: "Show a facility and how full it is", Args: args(cobra.ExactArgs(1))}
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		return s.facility(ctx, func(ctx context.Context) (*http.Response, error) { return s.api.GetFacility(ctx, args[0]) })
	})
}

func newFacilitySetCommand() *cobra.Command {
	var allocation, pricing, rule string
	var overtakes, hold int64
	cmd := &cobra.Command{Use: "set FACILITY", Short: "Change a facility's settings", Args: args(cobra.ExactArgs(1))}
	flags := cmd.Flags()
	flags.StringVar(&allocation, "allocation", "", "first_available, nearest, fill_in or dynamic")
	flags.StringVar(&pricing, "pricing-strategy", "", "id of the pricing strategy of entries to come")
	flags.StringVar(&rule, "window-rule", "", "none_free or none_exist")
	flags.Int64Var(&overtakes, "max-overtakes", 0, "how often somebody who waits may be overtaken")
	flags.Int64Var(&hold, "offer-hold-secs", 0, "how long an offered spot is held")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		change := client.FacilityChange{
			AllocationStrategy: optional(client.FacilityChangeAllocationStrategy(allocation)),
			PricingStrategyID:  optional(pricing), WindowRule: optional(client.FacilityChangeWindowRule(rule)),
		}
		if flags.Changed("max-overtakes") {
			change.MaxOvertakes = &overtakes
		}
		if flags.Changed("offer-hold-secs") {
			change.OfferHoldSecs = &hold
		}
		if change == (client.FacilityChange{}) {
			return failure(exitUsage, "give what is to change; --help lists it")
		}
		return s.facility(ctx, func(ctx context.Context) (*http.Response, error) { return s.api.ChangeFacility(ctx, args[0], change) })
	})
}

// facility sends a request that is answered with a facility, and shows that.
func (s *session) facility(ctx context.Context, send func(context.Context) (*http.Response, error)) error {
	f, raw, err := call[client.Facility](ctx, s, 0, send)
	if err != nil {
		return err
	}
	return s.show(raw, func(table io.Writer) {
		row(table, "FACILITY", "SPOTS", "IN SERVICE", "OCCUPIED", "RESERVED", "FULL", "ALLOCATION", "PRICING", "NAME")
		row(table, f.FacilityID, f.Counts.Total, f.Counts.InService, f.Counts.Occupied, f.Counts.Reserved,
			fmt.Sprintf("%.1f%%", float64(f.OccupancyBp)/100), f.AllocationStrategy, f.PricingStrategyID, f.Name)
	})
}

func newSpotsImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FACILITY FILE",
		Short: "Import spots from CSV or JSON, all or none",
		Long: `Reads a file, or standard input for -. JSON begins with a brace: {"spots": [...]}.
CSV has the names in its first line: spotId,kind,level,row,position,features,distanceRank.
Features are separated by semicolons.`,
		Args: args(cobra.ExactArgs(2)),
	}
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		var text []byte
		var err error
		if args[1] == "-" {
			text, err = io.ReadAll(s.in)
		} else {
			text, err = os.ReadFile(args[1])
		}
		if err != nil {
			return failure(exitUsage, "read the spots: %w", err)
		}
		media := "text/csv"
		if strings.HasPrefix(string(bytes.TrimSpace(text)), "{") {
			media = "application/json"
		}
		done, raw, err := call[client.Imported](ctx, s, 0, func(ctx context.Context) (*http.Response, error) {
			return s.api.ImportSpotsWithBody(ctx, args[0], media, bytes.NewReader(text))
		})
		if err != nil {
			return err
		}
		return s.show(raw, func(table io.Writer) {
			row(table, "CREATED", "UPDATED")
			row(table, done.Created, done.Updated)
		})
	})
}

func newSpotsListCommand() *cobra.Command {
	var kind, state, level, cursor string
	var limit int64
	cmd := &cobra.Command{Use: "list FACILITY", Short: "List spots and what stands on them", Args: args(cobra.ExactArgs(1))}
	flags := cmd.Flags()
	flags.StringVar(&kind, "kind", "", "only compact, regular or oversized")
	flags.StringVar(&state, "state", "", "only free, occupied or reserved")
	flags.StringVar(&level, "level", "", "only this level")
	flags.Int64Var(&limit, "limit", 50, "spots of a page")
	flags.StringVar(&cursor, "cursor", "", "continue after a page")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		page, raw, err := call[client.SpotPage](ctx, s, 0, func(ctx context.Context) (*http.Response, error) {
			return s.api.ListSpots(ctx, args[0], &client.ListSpotsParams{
				Kind: optional(client.ListSpotsParamsKind(kind)), State: optional(client.ListSpotsParamsState(state)),
				Level: optional(level), Limit: &limit, Cursor: optional(cursor),
			})
		})
		if err != nil {
			return err
		}
		return s.show(raw, func(table io.Writer) {
			row(table, "SPOT", "KIND", "LEVEL", "ROW", "POSITION", "STATE", "SERVICE", "VEHICLE", "FEATURES")
			for _, p := range page.Items {
				service := "in"
				if p.OutOfService {
					service = "out"
				}
				row(table, p.SpotID, p.Kind, p.Level, p.Row, p.Position, p.State, service, dash(p.CurrentVehicle), dash(strings.Join(p.Features, ";")))
			}
			more(table, page.NextCursor)
		})
	})
}

// more says how to go on after a page.
func more(table io.Writer, cursor string) {
	if cursor != "" {
		row(table, "more: --cursor "+cursor)
	}
}
