package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

func openTest(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// TestPragmas: what durability and isolation rest on is really set.
func TestPragmas(t *testing.T) {
	t.Parallel()
	s := openTest(t, filepath.Join(t.TempDir(), "pragmas.db"))
	for name, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000", "query_only": "0",
	} {
		var got string
		require.NoError(t, s.writer.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got))
		require.Equal(t, want, got, name)
	}
	var got string
	require.NoError(t, s.readDB.QueryRowContext(t.Context(), "PRAGMA query_only").Scan(&got))
	require.Equal(t, "1", got)
}

// TestDiskFull fills the database to a limit: the turn is refused as unavailable,
// nothing of it is there, and the store works again when there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", filepath.Join(t.TempDir(), "full.db")} {
		s := openTest(t, path)
		_, err := s.CreatePool(t.Context(), domain.Pool{
			PoolID: "p", Name: "p", State: domain.PoolActive, MaxUnits: 10, MaxQueueDepth: 1000, DefaultTimeout: time.Minute,
			QueueBackend: s.Backend(), MailboxBackend: s.Backend(), Runtime: domain.RuntimeNative, Policy: domain.PolicyFIFO,
			ResourceKind: domain.KindCPU, MaxAttempts: 1,
		}, time.Time{})
		require.NoError(t, err)
		turn := func(id domain.TaskID, size int) error {
			rq := &plan.Requests{TurnID: string(id), Submits: []plan.Submit{{
				TaskID: id, BodyHash: []byte("h"), Tenant: "t", Units: 1, Payload: []byte(`"` + strings.Repeat("x", size) + `"`),
			}}}
			_, err := s.Turn(t.Context(), store.TurnSpec{Pool: "p", Gather: func() *plan.Requests { return rq }, Decide: plan.Turn})
			return err
		}
		require.NoError(t, turn("before", 10))
		var pages int
		require.NoError(t, s.writer.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages))
		limit := func(n int) {
			var got int
			require.NoError(t, s.writer.QueryRowContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", n)).Scan(&got))
		}
		limit(pages + 4)
		require.ErrorIs(t, turn("big", 1<<20), store.ErrUnavailable)
		view, err := s.Pool(t.Context(), "p")
		require.NoError(t, err)
		require.Equal(t, int64(1), view.TurnNo)
		limit(1 << 30)
		require.NoError(t, turn("big", 1<<20))
		diffs, err := s.Reconcile(t.Context(), "p")
		require.NoError(t, err)
		require.Empty(t, diffs)
	}
}

// TestPlans: no query walks over a table that grows.
func TestPlans(t *testing.T) {
	t.Parallel()
	s := openTest(t, "")
	files, err := filepath.Glob("../../../queries/sqlite/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	param, embed := regexp.MustCompile(`sqlc\.n?arg\(\w+\)`), regexp.MustCompile(`sqlc\.embed\((\w+)\)`)
	scan := regexp.MustCompile(`SCAN (\w+)`)
	alive := regexp.MustCompile(`INDEX pl_queue_jobs_live`) // bounded by what is queued and running
	// ListOutbox, ListSources and the heads read their whole table in order on purpose;
	// Tickets pages through all facilities in order, and its filters are optional.
	whole := map[string]bool{"ListOutbox": true, "ListSources": true, "MessageHeads": true, "EventHeads": true, "Tickets": true}
	uses := map[string]string{
		"Candidates": "pl_queue_jobs_order (pool_id=? AND lane=?)", "CountAhead": "pl_queue_jobs_order (pool_id=? AND lane=? AND priority=?",
		"DueJobs": "pl_queue_jobs_deadline", "RestedJobs": "pl_queue_jobs_backoff",
		"HeldJobs": "pl_queue_jobs_live (pool_id=? AND status=? AND job_id>?)", "OldestQueued": "pl_queue_jobs_live (pool_id=? AND status=?)",
		"EventsOfTask": "pl_audit_events_task (task_id=? AND source=? AND seq>?)", "EventsOfTenant": "pl_audit_events_tenant (tenant=?",
		"MessagesOfUser":    "pl_mailbox_messages_user (tenant=? AND user_id=? AND source=? AND seq>?)",
		"AckMessagesOfUser": "pl_mailbox_messages_user (tenant=? AND user_id=? AND source=? AND seq<?)",
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, query := range strings.Split(string(text), "-- name: ")[1:] {
			name, body, _ := strings.Cut(query, " ")
			_, body, _ = strings.Cut(body, "\n")
			body = embed.ReplaceAllString(param.ReplaceAllString(body, "?"), "$1.*")
			for _, step := range explain(t, s, body) {
				scanned := scan.FindStringSubmatch(step)
				walks := scanned != nil && grows(body, scanned[1]) && !alive.MatchString(step) && !strings.Contains(step, "VIRTUAL TABLE")
				require.False(t, walks && !whole[name], "%s: %s", name, step)
				require.False(t, name == "Candidates" && strings.Contains(step, "TEMP B-TREE"), "the order is the index's")
			}
			require.Contains(t, strings.Join(explain(t, s, body), "\n"), uses[name], name)
		}
	}
}

// grows reports whether a name in a plan stands for a table that grows without
// bound: pools, tenants, workers and facilities are few, and what a WITH names is no
// table. A name that a query uses for both counts as the latter.
func grows(query, name string) bool {
	small := map[string]bool{"pl_pools": true, "pl_tenants": true, "pl_workers": true, "pl_facilities": true, "pl_parking_sources": true}
	tables := regexp.MustCompile(`(?:FROM|JOIN) (\w+) AS `+name+`\b`).FindAllStringSubmatch(query, -1)
	for _, table := range tables {
		if small[table[1]] || !strings.HasPrefix(table[1], "pl_") {
			return false
		}
	}
	return len(tables) > 0 || strings.HasPrefix(name, "pl_") && !small[name]
}

// explain returns the steps of a query's plan.
func explain(t *testing.T, s *Store, query string) []string {
	t.Helper()
	rows, err := s.writer.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?"))...)
	require.NoError(t, err, query)
	defer func() { require.NoError(t, rows.Close()) }()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	require.NoError(t, rows.Err())
	return steps
}
