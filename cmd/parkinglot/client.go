package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/parkinglot/parkinglot/api/client"
)

const defaultServer = "http://127.0.0.1:8080"

// session is one client verb's connection to the server and to whoever reads.
type session struct {
	server  string
	actor   string
	json    bool
	timeout time.Duration

	api *client.Client
	in  io.Reader
	out io.Writer
}

// newClientCommand finishes a client verb: it adds the shared flags and hands run a
// session. What run returns gets its exit status. The root reads flags from the
// environment.
func newClientCommand(cmd *cobra.Command, run func(ctx context.Context, s *session, args []string) error) *cobra.Command {
	s := &session{}
	flags := cmd.Flags()
	flags.StringVar(&s.server, "server", defaultServer, "address of the server")
	flags.StringVar(&s.actor, "actor", os.Getenv("USER"), "who asks, for the audit trail")
	flags.BoolVar(&s.json, "json", false, "print JSON, for programs")
	flags.DurationVar(&s.timeout, "timeout", 30*time.Second, "how long a request may take, waiting not counted")
	describeEnvironment(flags)
	cmd.Long = strings.TrimSpace(cmd.Long + "\n\n" + exitHelp)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &statusError{status: exitUsage, err: err} })
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := s.connect(cmd); err != nil {
			return err
		}
		return tellStatus(run(cmd.Context(), s, args))
	}
	return cmd
}

func (s *session) connect(cmd *cobra.Command) error {
	if !strings.HasPrefix(s.server, "http://") && !strings.HasPrefix(s.server, "https://") {
		return failure(exitUsage, "--server %q is no address: it begins with http:// or https://", s.server)
	}
	api, err := client.NewClient(s.server, client.WithRequestEditorFn(func(_ context.Context, req *http.Request) error {
		if s.actor != "" {
			req.Header.Set("X-Actor", s.actor)
		}
		return nil
	}))
	if err != nil {
		return failure(exitUsage, "--server %q: %w", s.server, err)
	}
	s.api, s.in, s.out = api, cmd.InOrStdin(), cmd.OutOrStdout()
	return nil
}

// call sends one request that the server may hold for hold, and decodes the answer
// into T. The raw answer is what --json prints.
func call[T any](ctx context.Context, s *session, hold time.Duration, send func(context.Context) (*http.Response, error)) (T, json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout+hold)
	defer cancel()
	var value T
	raw, err := client.Read[json.RawMessage](send(ctx)) //nolint:bodyclose // Read closes it
	if err != nil {
		if unreachable(err) && errors.Is(err, context.DeadlineExceeded) {
			return value, nil, failure(exitUnavailable, "%s gave no answer within %s", s.server, s.timeout+hold)
		}
		if unreachable(err) {
			return value, nil, failure(exitUnavailable, "%w\nIs the server running at %s? --server or PARKINGLOT_SERVER says where it is", err, s.server)
		}
		return value, nil, err //nolint:wrapcheck // the server's words
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return value, nil, fmt.Errorf("the answer is not what was expected; is %s a Parking Lot of this version? %w", s.server, err)
	}
	return value, raw, nil
}

// show prints raw with --json, else the table that fill writes, cells separated by
// tabs.
func (s *session) show(raw json.RawMessage, fill func(table io.Writer)) error {
	if s.json {
		_, err := s.out.Write(append(bytes.TrimSpace(raw), '\n'))
		return err //nolint:wrapcheck // of the terminal
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fill(table)
	return table.Flush() //nolint:wrapcheck // of the terminal
}

// row writes one line of a table. Control characters of other people's strings do
// not reach the terminal.
func row(table io.Writer, cells ...any) {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = printable(fmt.Sprint(cell))
	}
	// Errors come out of the tabwriter's Flush.
	_, _ = fmt.Fprintln(table, strings.Join(texts, "\t"))
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, text)
}

func clock(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000Z")
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// because is a reason in one cell.
func because(r *client.Reason) string {
	switch {
	case r == nil:
		return "-"
	case r.Message == "":
		return r.Code
	}
	return r.Code + ": " + r.Message
}

// excerpt is JSON in one cell.
func excerpt(raw json.RawMessage) string {
	const wide = 60
	var compact bytes.Buffer
	if len(raw) == 0 || string(raw) == "null" || json.Compact(&compact, raw) != nil {
		return "-"
	}
	runes := []rune(compact.String())
	if len(runes) > wide {
		return string(runes[:wide-1]) + "…"
	}
	return string(runes)
}

// optional is nil for the zero value: a parameter that is not sent.
func optional[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

const envPrefix = "PARKINGLOT_"

// envName is the environment variable that stands in for a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// describeEnvironment names each flag's variable in its help.
func describeEnvironment(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if name := "[" + envName(f.Name) + "]"; !strings.Contains(f.Usage, name) {
			f.Usage += " " + name
		}
	})
}
