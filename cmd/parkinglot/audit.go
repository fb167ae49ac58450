package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/parkinglot/parkinglot/api/client"
)

func newAuditCommand() *cobra.Command {
	var (
		task, tenant, pool, kind, subject, from, to, cursor string
		limit                                               int64
		all, follow                                         bool
	)
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Read the audit trail, oldest first",
		Long: `Prints one page, or with --all everything there is; --all --json prints one event a line.

With --follow everything from the beginning, --from or --cursor on is printed, and then events as
they happen, until interrupted; with --json one event a line.`,
		Example: `  parkinglot audit --pool llm --task req-42
  parkinglot audit --follow --tenant acme --from 2026-01-31T00:00:00Z
  parkinglot audit --kind pool_change --from 2026-01-31T00:00:00Z --all`,
		Args: args(cobra.NoArgs),
	}
	flags := cmd.Flags()
	flags.StringVar(&task, "task", "", "only events of this task")
	flags.StringVar(&tenant, "tenant", "", "only events of this tenant")
	flags.StringVar(&pool, "pool", "", "only events of this pool")
	flags.StringVar(&kind, "kind", "", "only events of this kind: submit, enqueue, start, complete, …")
	flags.StringVar(&subject, "subject", "", "only events about this, such as task:req-42")
	flags.StringVar(&from, "from", "", "a time, inclusive")
	flags.StringVar(&to, "to", "", "a time, exclusive")
	flags.StringVar(&cursor, "cursor", "", "nextCursor of the page before")
	flags.Int64Var(&limit, "limit", 0, "events of a page, 1 to 500 (default 50)")
	flags.BoolVar(&all, "all", false, "every page")
	flags.BoolVar(&follow, "follow", false, "go on as events happen")
	return newClientCommand(cmd, func(ctx context.Context, s *session, _ []string) error {
		params := &client.ListEventsParams{
			TaskID: optional(task), Tenant: optional(tenant), PoolID: optional(pool), Kind: optional(kind), Subject: optional(subject),
			From: optional(from), To: optional(to), Limit: optional(limit), Cursor: optional(cursor),
		}
		if follow && (all || limit != 0) {
			return failure(exitUsage, "--all and --limit are of pages: leave them out with --follow")
		}
		if follow {
			return s.followEvents(ctx, client.FollowEventsParams{
				TaskID: params.TaskID, Tenant: params.Tenant, PoolID: params.PoolID, Kind: params.Kind, Subject: params.Subject,
				From: params.From, To: params.To, Cursor: params.Cursor,
			})
		}
		for first := true; ; first = false {
			page, raw, err := call[client.AuditPage](ctx, s, 0, func(ctx context.Context) (*http.Response, error) {
				return s.api.ListEvents(ctx, params)
			})
			if err != nil {
				return err
			}
			if all && s.json {
				err = s.eventLines(page.Events)
			} else {
				err = s.show(raw, func(table io.Writer) { eventRows(table, page, first, all) })
			}
			if err != nil || !all || page.NextCursor == "" {
				return err
			}
			params.Cursor = &page.NextCursor
		}
	})
}

func (s *session) eventLines(events []client.Event) error {
	for _, event := range events {
		if err := s.line(event); err != nil {
			return fmt.Errorf("print event %s: %w", event.EventID, err)
		}
	}
	return nil
}

// followEvents prints events as they happen until ctx ends, which is no error.
func (s *session) followEvents(ctx context.Context, params client.FollowEventsParams) error {
	first := true
	return s.follow(ctx, func(ctx context.Context, lastID string) (*http.Response, error) {
		params.LastEventID = lastID
		return s.api.FollowEvents(ctx, &params)
	}, func(event client.StreamEvent) error {
		e, err := decode[client.Event](event)
		if err != nil {
			return err
		}
		if s.json {
			return s.line(e)
		}
		err = s.show(nil, func(table io.Writer) { eventRows(table, client.AuditPage{Events: []client.Event{e}}, first, true) })
		first = false
		return err
	})
}

func eventRows(table io.Writer, page client.AuditPage, first, all bool) {
	if first {
		row(table, "AT", "EVENT", "KIND", "POOL", "TASK", "ATTEMPT", "UNITS", "STATUS", "ACTOR", "REASON")
	}
	for _, e := range page.Events {
		row(table, clock(&e.At), e.EventID, e.Kind, dash(e.PoolID), dash(e.TaskID), e.Attempt, e.Units,
			dash(e.Status), dash(e.Actor), because(e.Reason))
	}
	if !all && page.NextCursor != "" {
		row(table, "", "more: --cursor "+page.NextCursor)
	}
}
