package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

func TestOriginTellsWhatRetentionLeft(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	f := &fake{pools: []store.PoolView{{Pool: domain.Pool{PoolID: "llm"}}}}
	b := setup(t, f)
	require.JSONEq(t, `{"poolId": "llm", "acknowledgedDeleted": 0}`, b.do(t, get, "/pools/llm/origin", "").body)

	f.origin = store.Origin{
		Audit: at, Tasks: at.Add(time.Hour), Unread: at.Add(2 * time.Hour), Acknowledged: at.Add(3 * time.Hour), AcknowledgedDeleted: 4,
		Checkpoint: &domain.Counters{
			At: at.Add(-time.Second), EventSeq: 70, JobSeq: 20, ActiveUnits: 8, Running: 2, Queued: 3, Waiting: 1,
		},
	}
	require.JSONEq(t, `{
		"poolId": "llm", "auditFrom": "2026-03-01T00:00:00Z", "tasksFrom": "2026-03-01T01:00:00Z",
		"unreadFrom": "2026-03-01T02:00:00Z", "acknowledgedFrom": "2026-03-01T03:00:00Z", "acknowledgedDeleted": 4,
		"checkpoint": {"at": "2026-02-28T23:59:59Z", "eventSeq": 70, "jobSeq": 20, "activeUnits": 8, "running": 2, "queued": 3, "waiting": 1}
	}`, b.do(t, get, "/pools/llm/origin", "").body)
	b.do(t, get, "/pools/nope/origin", "").problem(t, http.StatusNotFound, domain.CodeUnknownPool)
}
