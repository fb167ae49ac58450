package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/replay"
)

// demoTrace is the name of the trace that ships with the program.
const demoTrace = "demo"

// replayFlags say what to replay, and how.
type replayFlags struct {
	pool        string
	speed       float64
	format      string
	concurrency int
	limit       int
	tenants     int
	synthetic   int
	seed        uint64
	print       bool
	runID       string
}

func newReplayCommand() *cobra.Command {
	var flags replayFlags
	cmd := &cobra.Command{
		Use:   "replay [FILE|demo]",
		Short: "Feed a trace of work to a pool in scaled real time",
		Long: `Submits every task of a trace at its time through the API, waits for all outcomes
in their mailboxes, and prints how long tasks waited and ran, throughput,
rejections, and how well the pool was used (from the audit trail). --speed
divides arrival times, durations and deadlines alike: the load stays that of the
trace. The pool's executor has to be a sleep executor. FILE "demo" is a small
trace that ships with the program; "-" reads standard input.

Formats:
  csv          at,units,durationMs,tenant,priority[,deadlineMs]; at in seconds, or a
               time such as 2026-01-02T15:04:05Z; a header may reorder the columns
  azure-llm    TIMESTAMP,ContextTokens,GeneratedTokens. The pool stands for a KV cache
               of 20,480 tokens: units = the request's share of it, rounded up (256
               tokens a unit in a pool of 80). 0.1 ms a context token and 80 ms a
               generated one.
  alibaba-gpu  openb_pod_list. The pool stands for a node of 8 GPUs: units = the
               task's share of its GPU millis, rounded up, at least 1 (10 a GPU in a
               pool of 80). QoS is the priority. Pauses between arrivals are cut to
               10 minutes, runs to 2 hours, and a second counts 2 ms before --speed:
               150 days become 65 minutes.
Traces that name no tenants are shared by --tenants of them.`,
		Example: `  parkinglot replay demo --pool llm --speed 20
  parkinglot replay AzureLLMInferenceTrace_code.csv --format azure-llm --pool llm --speed 20
  parkinglot replay --synthetic 5000 --seed 7 --pool llm --speed 50`,
		Args: args(cobra.MaximumNArgs(1)),
	}
	set := cmd.Flags()
	set.StringVar(&flags.pool, "pool", "", "pool to submit to")
	set.Float64Var(&flags.speed, "speed", 1, "how many times as fast as the trace")
	set.StringVar(&flags.format, "format", string(replay.FormatCSV), "format of the file: csv, azure-llm, alibaba-gpu")
	set.IntVar(&flags.concurrency, "concurrency", 64, "submissions under way at once")
	set.IntVar(&flags.limit, "limit", 0, "replay only the first tasks; 0: all")
	set.IntVar(&flags.tenants, "tenants", 4, "tenants of a trace that names none")
	set.IntVar(&flags.synthetic, "synthetic", 0, "make a trace of so many tasks instead of reading one")
	set.Uint64Var(&flags.seed, "seed", 1, "of the synthetic trace")
	set.BoolVar(&flags.print, "print", false, "print the trace as CSV instead of replaying it")
	set.StringVar(&flags.runID, "run-id", "", "beginning of the task ids, mailbox user and label of this run (default: from the time)")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		return flags.run(ctx, cmd, s, args)
	})
}

func (f *replayFlags) run(ctx context.Context, cmd *cobra.Command, s *session, args []string) error {
	if f.pool == "" || !(f.speed > 0) || f.concurrency < 1 || f.tenants < 1 || f.limit < 0 || f.synthetic < 0 {
		return failure(exitUsage, "give --pool, and numbers above zero for --speed, --concurrency and --tenants")
	}
	if (len(args) == 1) == (f.synthetic > 0) {
		return failure(exitUsage, "give a trace (a file, or %q for the one that ships with the program) or --synthetic N", demoTrace)
	}
	s.api.Client = pooled(f.concurrency, s.timeout)
	units, err := replay.PoolUnits(ctx, s.api, domain.PoolID(f.pool))
	if err != nil {
		return err
	}
	trace, err := f.trace(cmd, args, replay.Rules{MaxUnits: units, Tenants: f.tenants})
	if err != nil {
		return err
	}
	trace = trace.First(f.limit)
	if f.print {
		return replay.WriteCSV(s.out, trace)
	}
	trace = trace.Scale(f.speed)
	if f.runID == "" {
		f.runID = "replay-" + strconv.FormatInt(time.Now().UnixMilli(), 36)
	}
	bar := progress(cmd.ErrOrStderr(), int64(len(trace.Arrivals)), "tasks")
	report, err := replay.Run(ctx, replay.Options{
		API: s.api, Pool: domain.PoolID(f.pool), Trace: trace, RunID: f.runID, Concurrency: f.concurrency,
		Progress: func(ended int) { _ = bar.Set(ended) }, // a bar that cannot be drawn is no reason to stop
	})
	_ = bar.Finish()
	if err != nil {
		return fmt.Errorf("%w (its tasks have the label replay:%s)", err, f.runID)
	}
	if err := f.show(s, report); err != nil {
		return err
	}
	if len(report.Violations) > 0 {
		return failure(exitFailed, "the audit trail has %d violations: run parkinglot verify", len(report.Violations))
	}
	return nil
}

func (f *replayFlags) show(s *session, report replay.Report) error {
	if !s.json {
		return report.Write(s.out)
	}
	raw, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return s.show(raw, nil)
}

// trace reads or makes the trace.
func (f *replayFlags) trace(cmd *cobra.Command, args []string, rules replay.Rules) (replay.Trace, error) {
	switch {
	case f.synthetic > 0:
		return replay.Synthetic(f.synthetic, f.seed, rules), nil
	case args[0] == demoTrace:
		return replay.Demo(rules)
	case args[0] == "-":
		return replay.Parse(replay.Format(f.format), cmd.InOrStdin(), rules)
	}
	file, err := os.Open(args[0])
	if err != nil {
		return replay.Trace{}, failure(exitUsage, "%w", err)
	}
	defer func() { _ = file.Close() }() // only read
	trace, err := replay.Parse(replay.Format(f.format), file, rules)
	if err != nil {
		return replay.Trace{}, failure(exitUsage, "%s: %w", args[0], err)
	}
	return trace, nil
}

// pooled keeps a connection open for every submission under way, and some for the
// readers of mailboxes.
func pooled(connections int, timeout time.Duration) *http.Client {
	const readers = 32
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConns: connections + readers, MaxIdleConnsPerHost: connections + readers,
		IdleConnTimeout: time.Minute,
	}
	return &http.Client{Transport: transport, Timeout: timeout + replay.MailboxWait}
}
