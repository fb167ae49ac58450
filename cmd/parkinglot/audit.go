package main

import (
	"context"
	"encoding/json"
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
		all                                                 bool
	)
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Read the audit trail, oldest first",
		Long:  `Prints one page, or with --all everything there is; --all --json prints one event a line.`,
		Example: `  parkinglot audit --pool llm --task req-42
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
	return newClientCommand(cmd, func(ctx context.Context, s *session, _ []string) error {
		params := &client.ListEventsParams{
			TaskID: optional(task), Tenant: optional(tenant), PoolID: optional(pool), Kind: optional(kind), Subject: optional(subject),
			From: optional(from), To: optional(to), Limit: optional(limit), Cursor: optional(cursor),
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
	lines := json.NewEncoder(s.out)
	lines.SetEscapeHTML(false)
	for _, event := range events {
		if err := lines.Encode(event); err != nil {
			return fmt.Errorf("print event %s: %w", event.EventID, err)
		}
	}
	return nil
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
