package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/api/client"
)

func newMailboxCommand() *cobra.Command {
	var (
		since  string
		limit  int64
		follow bool
	)
	cmd := &cobra.Command{
		Use:   "mailbox TENANT {USER | USER:SESSION | _}",
		Short: "Read a mailbox, oldest first",
		Long: `USER alone also reads that user's sessions; _ reads all of the tenant's. A colon within
a part is written %3A, a user called _ is written %5F.

With --follow new messages are printed as they come, until interrupted; with --json one object a line.`,
		Args: args(cobra.ExactArgs(2)),
	}
	flags := cmd.Flags()
	flags.StringVar(&since, "since", "", "begin there: a time, or the nextCursor of a page")
	flags.Int64Var(&limit, "limit", 0, "messages of a page, 1 to 500 (default 50)")
	flags.BoolVar(&follow, "follow", false, "go on as messages come")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		key, err := pathKey(args[1])
		if err != nil {
			return err
		}
		box := mailbox{session: s, tenant: args[0], key: key, since: since, limit: limit}
		if follow {
			return box.follow(ctx)
		}
		page, raw, err := box.read(ctx, 0)
		if err != nil {
			return err
		}
		return s.show(raw, func(table io.Writer) {
			header(table)
			for _, m := range page.Messages {
				message(table, m)
			}
			if int64(len(page.Messages)) == max(limit, 50) { //nolint:mnd // the server's default
				row(table, "", "more: --since "+page.NextCursor)
			}
		})
	})
}

// pathKey turns what was typed into the key as a path has it.
func pathKey(typed string) (string, error) {
	if typed == client.TenantMailbox {
		return typed, nil
	}
	user, session, _ := strings.Cut(typed, ":")
	parts := []string{user, session}
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil {
			return "", failure(exitUsage, "mailbox key %q: %w; a percent sign is written %%25", typed, err)
		}
		parts[i] = plain
	}
	return client.UserMailbox(parts[0], parts[1]), nil
}

type mailbox struct {
	*session

	tenant, key, since string
	limit              int64
}

func (m *mailbox) read(ctx context.Context, hold time.Duration) (client.MailboxPage, json.RawMessage, error) {
	params := &client.ReadMailboxParams{Since: optional(m.since), Limit: optional(m.limit)}
	if hold > 0 {
		params.Wait = new(hold.String())
	}
	return call[client.MailboxPage](ctx, m.session, hold, func(ctx context.Context) (*http.Response, error) {
		return m.api.ReadMailbox(ctx, m.tenant, m.key, params, client.Address(m.tenant, m.key))
	})
}

// follow prints messages as they come until ctx ends, which is no error. Once the
// server has answered, its absence is waited out: the cursor loses nothing.
func (m *mailbox) follow(ctx context.Context) error {
	for first := true; ; first = false {
		page, _, err := m.read(ctx, holdTask)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // interrupted, as it is meant to be
		case err != nil && !first && statusFor(err) == exitUnavailable:
			_ = pause(ctx, lull) // interrupted: the loop sees it
			continue
		case err != nil:
			return err
		}
		m.since = page.NextCursor
		if err := m.print(page.Messages, first); err != nil {
			return err
		}
	}
}

func (m *mailbox) print(messages []client.Message, first bool) error {
	if m.json {
		lines := json.NewEncoder(m.out)
		lines.SetEscapeHTML(false)
		for _, message := range messages {
			if err := lines.Encode(message); err != nil {
				return fmt.Errorf("print message %s: %w", message.MessageID, err)
			}
		}
		return nil
	}
	return m.show(nil, func(table io.Writer) {
		if first {
			header(table)
		}
		for _, msg := range messages {
			message(table, msg)
		}
	})
}

func header(table io.Writer) {
	row(table, "POSTED", "POOL", "TASK", "MAILBOX", "STATUS", "REASON", "PAYLOAD")
}

func message(table io.Writer, m client.Message) {
	key := dash(m.MailboxKey.UserID)
	if m.MailboxKey.UserID != "" {
		key = client.UserMailbox(m.MailboxKey.UserID, m.MailboxKey.SessionID)
	}
	row(table, clock(&m.CreatedAt), m.PoolID, m.TaskID, key, m.Status, because(m.Reason), excerpt(m.Payload))
}
