package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/api/client"
)

func newMailboxCommand() *cobra.Command {
	var (
		since  string
		limit  int64
		follow bool
		ack    bool
	)
	cmd := &cobra.Command{
		Use:   "mailbox TENANT {USER | USER:SESSION | _}",
		Short: "Read a mailbox, oldest first",
		Long: `USER alone also reads that user's sessions; _ reads all of the tenant's. A colon within
a part is written %3A, a user called _ is written %5F.

With --follow new messages are printed as they come, until interrupted; with --json one object a line.
With --ack what was printed is acknowledged: no later read of any key returns it, and it is deleted sooner.`,
		Args: args(cobra.ExactArgs(2)),
	}
	flags := cmd.Flags()
	flags.StringVar(&since, "since", "", "begin there: a time, or the nextCursor of a page")
	flags.Int64Var(&limit, "limit", 0, "messages of a page, 1 to 500 (default 50)")
	flags.BoolVar(&follow, "follow", false, "go on as messages come")
	flags.BoolVar(&ack, "ack", false, "acknowledge what was printed")
	return newClientCommand(cmd, func(ctx context.Context, s *session, args []string) error {
		key, err := pathKey(args[1])
		if err != nil {
			return err
		}
		box := mailbox{session: s, tenant: args[0], key: key, since: since, limit: limit, ack: ack}
		if follow {
			return box.follow(ctx)
		}
		page, raw, err := box.read(ctx)
		if err != nil {
			return err
		}
		err = s.show(raw, func(table io.Writer) {
			header(table)
			for _, m := range page.Messages {
				message(table, m)
			}
			if int64(len(page.Messages)) == max(limit, 50) { //nolint:mnd // the server's default
				row(table, "", "more: --since "+page.NextCursor)
			}
		})
		if err != nil || len(page.Messages) == 0 {
			return err
		}
		return box.acknowledge(ctx, page.NextCursor)
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
	ack                bool
}

func (m *mailbox) read(ctx context.Context) (client.MailboxPage, json.RawMessage, error) {
	params := &client.ReadMailboxParams{Since: optional(m.since), Limit: optional(m.limit)}
	return call[client.MailboxPage](ctx, m.session, 0, func(ctx context.Context) (*http.Response, error) {
		return m.api.ReadMailbox(ctx, m.tenant, m.key, params, client.Address(m.tenant, m.key))
	})
}

// acknowledge acknowledges up to a cursor, if that is wanted.
func (m *mailbox) acknowledge(ctx context.Context, upTo string) error {
	if !m.ack {
		return nil
	}
	_, _, err := call[client.Acknowledged](ctx, m.session, 0, func(ctx context.Context) (*http.Response, error) {
		return m.api.AcknowledgeMailbox(ctx, m.tenant, m.key, client.Acknowledgement{UpTo: upTo}, client.Address(m.tenant, m.key))
	})
	return err
}

// follow prints messages as they come until ctx ends, which is no error.
func (m *mailbox) follow(ctx context.Context) error {
	if m.limit != 0 {
		return failure(exitUsage, "--limit is of a page: leave it out with --follow")
	}
	first := true
	return m.session.follow(ctx, func(ctx context.Context, lastID string) (*http.Response, error) {
		params := &client.FollowMailboxParams{Since: optional(m.since), LastEventID: lastID}
		return m.api.FollowMailbox(ctx, m.tenant, m.key, params, client.Address(m.tenant, m.key))
	}, func(event client.StreamEvent) error {
		msg, err := decode[client.Message](event)
		if err != nil {
			return err
		}
		if m.json {
			err = m.line(msg)
		} else {
			err = m.show(nil, func(table io.Writer) {
				if first {
					header(table)
				}
				message(table, msg)
			})
		}
		first = false
		if err != nil {
			return err
		}
		return m.acknowledge(ctx, event.ID)
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
