package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/internal/app"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/telemetry"
)

// verifyFlags say where the history is and what to check of it.
type verifyFlags struct {
	stores    processFlags
	pools     []string
	records   []string
	keep      int
	mailGrace time.Duration
}

func newVerifyCommand() *cobra.Command {
	var flags verifyFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove from the audit trail that every promise was kept",
		Long: `Replays the audit trail event by event: capacity at every instant, lifecycle,
attempts, and counters; and compares it with the tasks' rows and the mailboxes.
Where it reads the stores themselves, facilities too: who stood where at every
instant, spots, tickets and holds against each other, windows, and every price
computed again from what its ticket stores.
With the log that executors kept of themselves (PARKINGLOT_EXECUTION_LOG of the
processes that ran them) it also proves what really ran at once.

What has ended is sorted in temporary files (TMPDIR), about 300 bytes a task; memory
depends on what was queued and running at once. A trail whose first days retention
has deleted is proven from the balance that was kept of its last turn before that,
and nothing is missed that retention deleted: rows and messages from before its
horizons.

It asks a server, or with --config, --database-url or --data-dir the stores
themselves. A server may go on working meanwhile. Exit status 1: a promise was
broken; the first violations are printed.`,
		Example: `  parkinglot verify
  parkinglot verify --pool llm --execution-log /tmp/executions.jsonl --json
  parkinglot verify --database-url postgres://parking@localhost:5432/parking`,
		Args: args(cobra.NoArgs),
	}
	set := cmd.Flags()
	set.StringVarP(&flags.stores.config, "config", "c", "", "read the stores of this configuration")
	set.StringVar(&flags.stores.databaseURL, "database-url", "", "read this Postgres")
	set.StringVar(&flags.stores.dataDir, "data-dir", "", "read the file backend in this folder (not while a server uses it)")
	set.StringSliceVar(&flags.pools, "pool", nil, "check only this pool; may be repeated")
	set.StringSliceVar(&flags.records, "execution-log", nil, "executors' own record to compare with; may be repeated")
	set.IntVar(&flags.keep, "show", 20, "violations to print")
	set.DurationVar(&flags.mailGrace, "mail-grace", 5*time.Second, "how long an outcome may be on its way to a mailbox")
	return newClientCommand(cmd, func(ctx context.Context, s *session, _ []string) error {
		report, err := flags.check(ctx, cmd, s)
		if err != nil {
			return err
		}
		if err := s.showVerified(report); err != nil {
			return err
		}
		if broken := report.broken(); broken > 0 {
			return failure(exitFailed, "%d violations in %d events", broken, report.Events)
		}
		return nil
	})
}

// check reads what is to be checked: the executors' records first, so that the
// trail that is read after them has every attempt they name.
func (f *verifyFlags) check(ctx context.Context, cmd *cobra.Command, s *session) (report verified, err error) {
	options := history.Options{Keep: f.keep, MailGrace: f.mailGrace}
	for _, id := range f.pools {
		options.Pools = append(options.Pools, domain.PoolID(id))
	}
	if len(f.records) > 0 {
		if options.Records, err = history.ReadRecordFiles(f.records); err != nil {
			return report, err
		}
	}
	bar := progress(cmd.ErrOrStderr(), -1, "events")
	options.Progress = func(done, total int64) {
		bar.ChangeMax64(total)
		_ = bar.Set64(done) // a progress bar that cannot be drawn is no reason to stop
	}
	defer func() { _ = bar.Finish() }()

	wanted, direct, err := f.wanted(cmd)
	if err != nil {
		return report, err
	}
	if !direct {
		report.Report, err = history.Check(ctx, history.Server{API: s.api}, options)
		return report, err
	}
	cfg, err := f.stores.load(cmd)
	if err != nil {
		return report, err
	}
	if wanted == nil {
		wanted = cfg.Backends()
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	err = app.Inspect(ctx, cfg, wanted, log, func(stores []store.Store) error {
		if report.Report, err = history.Check(ctx, history.Stores(stores), options); err != nil || len(f.pools) > 0 {
			return err
		}
		report.Parking, err = checkParking(ctx, stores, f.keep)
		return err
	})
	if err != nil {
		return report, fmt.Errorf("%w\n(--config, --database-url and --data-dir, or their variables, read the stores; --server asks a server)", err)
	}
	return report, nil
}

// wanted says whether to read stores, and which; nil: those of the configuration.
// An address of a server goes first.
func (f *verifyFlags) wanted(cmd *cobra.Command) (backends []domain.Backend, direct bool, err error) {
	if cmd.Flags().Changed("server") {
		return nil, false, nil
	}
	if f.stores.config != "" {
		return nil, true, nil
	}
	if f.stores.databaseURL != "" {
		backends = append(backends, domain.BackendPostgres)
	}
	if f.stores.dataDir != "" {
		if _, err := os.Stat(f.stores.dataDir); err != nil {
			return nil, false, failure(exitUsage, "--data-dir: %w", err)
		}
		backends = append(backends, domain.BackendFile)
	}
	return backends, len(backends) > 0, nil
}

// progress returns a bar on a terminal, and one that is not drawn elsewhere.
func progress(out io.Writer, total int64, what string) *progressbar.ProgressBar {
	file, ok := out.(*os.File)
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(out), progressbar.OptionSetVisibility(ok && telemetry.IsTerminal(file)),
		progressbar.OptionSetDescription(what), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString(what), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish())
}

func (s *session) showVerified(r verified) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return s.show(raw, func(table io.Writer) {
		row(table, "POOL", "EVENTS", "TASKS", "OUTCOMES", "MESSAGES", "PEAK/LIMIT", "LONGEST QUEUE", "PASSED BY", "VIOLATIONS")
		for _, p := range r.Pools {
			row(table, p.Pool, p.Events, p.Tasks, history.Counts(p.Outcomes), p.Messages,
				fmt.Sprintf("%d/%d", p.Usage.PeakUnits, p.MaxUnits), p.Usage.PeakQueued, p.PassedBy, p.Violations)
		}
		for _, p := range r.Pools {
			if since := p.Since; since != nil {
				row(table, fmt.Sprintf("%s is proven from %s on, after event %d: with %d running, %d units in use and %d queued; retention has deleted what was before",
					p.Pool, since.At.Format(time.RFC3339), since.Seq, since.Running, since.Active, since.Queued))
			}
			if p.LongestIdle > time.Second {
				row(table, fmt.Sprintf("nothing ran in %s for %s while tasks were queued (an outage, a lost wake-up, or no remote worker)", p.Pool, history.Brief(p.LongestIdle)))
			}
		}
		for _, e := range r.Executions {
			row(table, "")
			row(table, "executors of "+string(e.Pool), fmt.Sprintf("%d runs in %d processes, peak %d units", e.Runs, e.Processes, e.PeakUnits))
			row(table, "freed to entered", e.Freed)
			row(table, "submit to entered", e.Arrival)
			row(table, "start to entered", e.Entry)
			for kind, overlap := range e.Overlap {
				row(table, "ran on after "+string(kind), history.Brief(overlap))
			}
		}
		r.showParking(table)
		row(table, "")
		if r.broken() == 0 {
			row(table, fmt.Sprintf("%d events of %d tasks: every promise was kept", r.Events, r.Tasks))
			return
		}
		shown := 0
		for _, v := range r.First {
			row(table, v)
			shown++
		}
		for i := range r.Parking {
			for _, v := range r.Parking[i].First {
				row(table, v)
				shown++
			}
		}
		if more := r.broken() - shown; more > 0 {
			row(table, fmt.Sprintf("… and %d more", more))
		}
	})
}
