package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/api/client"
)

// submission is the flags of submit.
type submission struct {
	pool, taskID, kind, priority, tenant, deadline, mailbox, payload, executor string
	units, maxAttempts                                                         int64
	timeoutSecs                                                                float64
	labels                                                                     map[string]string
	wait                                                                       time.Duration
}

func newSubmitCommand() *cobra.Command {
	f := &submission{}
	cmd := &cobra.Command{
		Use:   "submit --pool POOL [flags]",
		Short: "Submit a task",
		Long: `Submits one task and prints what was decided: running or queued. With --wait it
stays until the task has ended, prints the task, and exits 0 only if it completed.`,
		Example: `  parkinglot submit --pool demo --units 2 --payload '{"durationMs": 500}' --wait 1m
  parkinglot submit --pool llm --units 4 --mailbox acme/ada:s-1 --payload @prompt.json`,
		Args: args(cobra.NoArgs),
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.pool, "pool", "p", "", "the pool (required)")
	flags.StringVar(&f.taskID, "task-id", "", "name of the task; submitting it again is safe (default: a new one)")
	flags.Int64VarP(&f.units, "units", "u", 1, "weight of the task")
	flags.StringVar(&f.kind, "kind", "", "what the units count: cpu, gpuVram, io or mixed (default: the pool's)")
	flags.StringVar(&f.priority, "priority", "", "low, normal, high or critical (default: normal)")
	flags.StringVar(&f.tenant, "tenant", "", "who asks (default: the mailbox's tenant, else \"default\")")
	flags.StringVar(&f.deadline, "deadline", "", "must have started by then: a time, or a duration from now such as 10m")
	flags.Float64Var(&f.timeoutSecs, "timeout-secs", 0, "seconds one attempt may run (default: the pool's)")
	flags.Int64Var(&f.maxAttempts, "max-attempts", 0, "attempts, the first included (default: the pool's)")
	flags.StringVar(&f.executor, "executor", "", "name of the executor (default: \"default\")")
	flags.StringVar(&f.mailbox, "mailbox", "", "where to leave the outcome: tenant, tenant/user or tenant/user:session")
	flags.StringVar(&f.payload, "payload", "", "JSON for the executor; @FILE reads a file, - reads standard input")
	flags.StringToStringVar(&f.labels, "label", nil, "labels, key=value")
	flags.DurationVar(&f.wait, "wait", 0, "wait for the end, at most this long")
	return newClientCommand(cmd, func(ctx context.Context, s *session, _ []string) error {
		body, err := f.body(s.in)
		if err != nil {
			return err
		}
		admission, raw, err := call[client.Admission](ctx, s, 0, func(ctx context.Context) (*http.Response, error) {
			return s.api.SubmitTask(ctx, f.pool, body)
		})
		if err != nil {
			return err
		}
		if f.wait > 0 {
			return s.await(ctx, f.pool, body.TaskID, f.wait)
		}
		return s.show(raw, func(table io.Writer) {
			row(table, "POOL", "TASK", "STATUS", "POSITION")
			row(table, admission.PoolID, admission.TaskID, admission.Status, position(admission.Position))
		})
	})
}

func (f *submission) body(stdin io.Reader) (client.TaskSubmission, error) {
	if f.pool == "" {
		return client.TaskSubmission{}, failure(exitUsage, "--pool is required; parkinglot pools lists them")
	}
	if f.taskID == "" {
		f.taskID = "cli-" + strings.ToLower(rand.Text())
	}
	body := client.TaskSubmission{
		TaskID: f.taskID, Tenant: f.tenant, Priority: client.TaskSubmissionPriority(f.priority), Executor: f.executor,
		ResourceCost: client.ResourceCost{Kind: client.ResourceCostKind(f.kind), Units: f.units},
		TimeoutSecs:  f.timeoutSecs, MaxAttempts: f.maxAttempts, Labels: f.labels, MailboxKey: mailboxKey(f.mailbox),
	}
	var err error
	if body.Payload, err = payload(f.payload, stdin); err != nil {
		return body, err
	}
	body.Deadline, err = deadline(f.deadline)
	return body, err
}

// mailboxKey reads tenant, tenant/user or tenant/user:session.
func mailboxKey(text string) *client.MailboxKey {
	if text == "" {
		return nil
	}
	tenant, rest, _ := strings.Cut(text, "/")
	user, session, _ := strings.Cut(rest, ":")
	return &client.MailboxKey{Tenant: tenant, UserID: user, SessionID: session}
}

func payload(text string, stdin io.Reader) (json.RawMessage, error) {
	raw := []byte(text)
	var err error
	switch {
	case text == "":
		return nil, nil
	case text == "-":
		raw, err = io.ReadAll(stdin)
	case text[0] == '@':
		raw, err = os.ReadFile(text[1:])
	}
	if err != nil {
		return nil, failure(exitUsage, "--payload: %w", err)
	}
	if !json.Valid(raw) {
		return nil, failure(exitUsage, "--payload is not JSON; a string has to be in double quotes: '\"hello\"'")
	}
	return raw, nil
}

func deadline(text string) (*time.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no deadline
	}
	if d, err := time.ParseDuration(text); err == nil {
		at := time.Now().Add(d).UTC()
		return &at, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil, failure(exitUsage, "--deadline %q is neither a duration such as 10m nor a time such as 2026-01-31T12:00:00Z", text)
	}
	return &at, nil
}

func position(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}
