package telemetry

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
)

func TestLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := NewLogger(&out, "warn")
	require.NoError(t, err)
	log.Info("quiet")
	log.Warn("loud", "pool", "llm")
	require.Contains(t, out.String(), `"msg":"loud","pool":"llm"`, "JSON when nobody watches")
	require.NotContains(t, out.String(), "quiet")

	for _, level := range []string{"", "loud", "info+3"} {
		_, err := NewLogger(&out, level)
		require.ErrorContains(t, err, "use debug, info, warn or error", level)
	}
}

func TestTurnReportsBecomeCounters(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	started := created.Add(2 * time.Second)
	running := domain.Task{Status: domain.StatusRunning, Attempt: 1, CreatedAt: created, StartedAt: &started}
	m.Turn(scheduler.TurnReport{
		Pool: "llm", Outcome: scheduler.OutcomeCommitted, Requests: 3, Duration: time.Millisecond,
		Decisions: &plan.Decisions{
			Answers: plan.Answers{Submits: []plan.Answer{
				{Task: &running}, {Task: &running, Known: true}, {Err: domain.Errorf(domain.CodeQueueFull, "full")},
			}},
			Started: []domain.Task{running},
			Events:  []domain.Event{{Kind: domain.EventRetry}, {Kind: domain.EventSubmit}},
			Ended:   []domain.Task{{Status: domain.StatusCompleted}, {Status: domain.StatusCompleted}, {Status: domain.StatusFailed}},
		},
	})
	page := scrape(t, m)
	for _, line := range []string{
		`parkinglot_submissions_total{outcome="running",pool="llm"} 1`,
		`parkinglot_submissions_total{outcome="known",pool="llm"} 1`,
		`parkinglot_submissions_total{outcome="queue_full",pool="llm"} 1`,
		`parkinglot_starts_total{pool="llm"} 1`,
		`parkinglot_retries_total{pool="llm"} 1`,
		`parkinglot_ended_total{pool="llm",status="completed"} 2`,
		`parkinglot_wait_seconds_sum{pool="llm"} 2`,
	} {
		require.Contains(t, page, line)
	}
}

type fixedPools []store.PoolView

func (p fixedPools) PoolViews(context.Context) []store.PoolView { return p }

func (p fixedPools) OutboxBacklog() []scheduler.Backlog {
	return []scheduler.Backlog{{Backend: domain.BackendFile, Messages: 4}}
}

func TestPoolGauges(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	queuedAt := now.Add(-90 * time.Second)
	collector := NewPoolCollector(fixedPools{{
		Pool:     domain.Pool{PoolID: "llm", State: domain.PoolDraining, MaxUnits: 80},
		Counters: domain.Counters{ActiveUnits: 7, Running: 3, Queued: 2, Waiting: 1}, OldestQueuedAt: &queuedAt,
	}})
	collector.now = func() time.Time { return now }
	m.Register(collector)
	page := scrape(t, m)
	for _, line := range []string{
		`parkinglot_pool_max_units{pool="llm"} 80`, `parkinglot_pool_active_units{pool="llm"} 7`,
		`parkinglot_pool_running{pool="llm"} 3`, `parkinglot_pool_queued{pool="llm"} 2`,
		`parkinglot_pool_waiting{pool="llm"} 1`, `parkinglot_pool_accepting{pool="llm"} 0`,
		`parkinglot_pool_oldest_queued_seconds{pool="llm"} 90`, `parkinglot_outbox_messages{backend="file"} 4`,
	} {
		require.Contains(t, page, line)
	}
}

func TestReconciledForgetsWhatIsRightAgain(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	m.Reconciled("llm", []store.Difference{{What: "queued", Counter: 5, Rows: 3}})
	require.Contains(t, scrape(t, m), `parkinglot_reconcile_difference{pool="llm",what="queued"} 2`)
	m.Reconciled("llm", nil)
	page := scrape(t, m)
	require.NotContains(t, page, `what="queued"`)
	require.Contains(t, page, `parkinglot_reconcile_difference{pool="llm",what="any"} 0`)
}

func TestRequestsCountByRoute(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	m.Request(http.MethodGet, "/pools/{poolId}", http.StatusOK, time.Millisecond)
	m.Request("BREW", "", http.StatusNotFound, time.Millisecond)
	page := scrape(t, m)
	require.Contains(t, page, `parkinglot_http_request_seconds_count{method="GET",route="/pools/{poolId}",status="200"} 1`)
	require.Contains(t, page, `parkinglot_http_request_seconds_count{method="other",route="none",status="404"} 1`)
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, recorder.Code)
	return recorder.Body.String()
}
