package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/internal/simulate"
)

// simulateFlags say what to simulate, and how.
type simulateFlags struct {
	model simulate.Model
	spots int
	scale float64
	runID string
}

func newSimulateGarageCommand() *cobra.Command {
	var flags simulateFlags
	cmd := &cobra.Command{
		Use:   "simulate-garage",
		Short: "Let a seeded model of drivers and gates use a car park of this server",
		Long: `Makes a facility with a tariff and spots, lets drivers of all sizes come, pay and go,
repeats some calls of the gates, and at the end compares what the server shows with
what happened: every spot with its ticket, windows, counts, and the money.

In virtual time (the default) all of it happened in the past and is told in order, as
fast as the server answers. With --scale drivers come and go in real time, so many
times as fast, many at once; who finds the car park full waits in line.`,
		Example: `  parkinglot simulate-garage --drivers 2000 --spots 300
  parkinglot simulate-garage --drivers 500 --spots 60 --span 8h --scale 600`,
		Args: args(cobra.NoArgs),
	}
	set := cmd.Flags()
	set.Uint64Var(&flags.model.Seed, "seed", 1, "of the model; the same seed draws the same drivers")
	set.IntVar(&flags.model.Drivers, "drivers", 1000, "visits")
	set.IntVar(&flags.model.Gates, "gates", 4, "gates that drivers come and leave through")
	set.DurationVar(&flags.model.Span, "span", 24*time.Hour, "time that the arrivals are spread over")
	set.DurationVar(&flags.model.Stay, "stay", 2*time.Hour, "median of the stays")
	set.IntVar(&flags.spots, "spots", 200, "spots of the facility, of all kinds")
	set.Float64Var(&flags.scale, "scale", 0, "how many times as fast as real time; 0: virtual time")
	set.StringVar(&flags.runID, "run-id", "", "id of the facility and beginning of all ids (default: from the time)")
	return newClientCommand(cmd, func(ctx context.Context, s *session, _ []string) error { return flags.run(ctx, cmd, s) })
}

func (f *simulateFlags) run(ctx context.Context, cmd *cobra.Command, s *session) error {
	if f.model.Drivers < 1 || f.model.Gates < 1 || f.spots < 1 || f.model.Span <= 0 || f.model.Stay <= 0 || !(f.scale >= 0) {
		return failure(exitUsage, "give numbers above zero for --drivers, --gates, --spots, --span and --stay, and none below for --scale")
	}
	if f.runID == "" {
		f.runID = "garage-" + strconv.FormatInt(time.Now().UnixMilli(), 36)
	}
	const connections = 64
	s.api.Client = pooled(connections, s.timeout)
	bar := progress(cmd.ErrOrStderr(), int64(f.model.Drivers), "drivers")
	report, err := simulate.Run(ctx, simulate.Options{
		API: s.api, Model: f.model, Spots: f.spots, RunID: f.runID, Scale: f.scale,
		Progress: func(ended int) { _ = bar.Set(ended) }, // a bar that cannot be drawn is no reason to stop
	})
	_ = bar.Finish()
	if err != nil {
		return fmt.Errorf("%w (its facility is %s)", err, f.runID)
	}
	raw, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if err := s.show(raw, func(table io.Writer) { showSimulation(table, &report) }); err != nil {
		return err
	}
	if n := len(report.Violations); n > 0 {
		return failure(exitFailed, "%d things do not hold", n)
	}
	return nil
}

func showSimulation(table io.Writer, report *simulate.Report) {
	row(table, "FACILITY", report.FacilityID)
	row(table, "DRIVERS", fmt.Sprintf("%d: %d parked, %d turned away, %d stood in line (%d gave up)",
		report.Drivers, report.Parked, report.TurnedAway, report.Waited, report.GaveUp))
	row(table, "SPOTS", fmt.Sprintf("%d, at most %d vehicles at once", report.SpotsTotal, report.PeakParked))
	row(table, "PAID", fmt.Sprintf("%d.%02d", report.Paid/100, report.Paid%100))
	row(table, "CALLS", fmt.Sprintf("%d, %d of them repeats, in %s (%.0f/s)",
		report.Calls, report.Repeats, report.Took.Round(time.Millisecond), float64(report.Calls)/report.Took.Seconds()))
	if len(report.Violations) == 0 {
		row(table, "CHECKED", "everything holds")
	}
	for _, v := range report.Violations {
		row(table, "VIOLATED", v)
	}
}
