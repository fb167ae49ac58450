package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

func TestWhyShowsEverything(t *testing.T) {
	t.Parallel()
	started := now.Add(-time.Second)
	first := domain.Task{PoolID: "llm", TaskID: "first", JobID: 2, Tenant: "other", Requested: domain.PriorityHigh, Status: domain.StatusQueued, Units: 5, CreatedAt: now, Overtaken: 3, Rank: 1}
	waits := domain.Task{PoolID: "llm", TaskID: "t-1", JobID: 3, Tenant: "acme", Status: domain.StatusQueued, Units: 4, CreatedAt: now, Rank: 2}
	b := setup(t, &fake{scene: plan.Scene{
		Task: waits, Position: 2, Drain: plan.Drain{PerSecond: 0.5, Over: time.Minute},
		Snapshot: plan.Snapshot{
			Now:  now,
			Pool: domain.Pool{PoolID: "llm", State: domain.PoolActive, MaxUnits: 10, MaxOvertakes: 16, Tenants: map[domain.Tenant]domain.TenantPolicy{"acme": {MaxUnits: 8}}},
			Counters: domain.Counters{
				ActiveUnits: 7, Running: 1, Queued: 2, QueuedBy: [domain.PriorityClasses]int64{2, 0, 0, 0},
			},
			Tenants:    map[domain.Tenant]domain.TenantUsage{"acme": {Tenant: "acme", ActiveUnits: 2, Queued: 1}},
			Candidates: []domain.Task{first, waits},
		},
		Holders: []domain.Task{{TaskID: "runs", Tenant: "acme", Units: 7, Attempt: 1, StartedAt: &started, Timeout: time.Minute, Holder: "w-1"}},
	}})
	res := b.do(t, get, tasksPath+"/t-1/why", "")
	require.Equal(t, http.StatusOK, res.status, res.body)
	require.JSONEq(t, `{"taskId":"t-1","poolId":"llm","status":"queued","code":"order",
		"message":"1 tasks go first. It needs 4 units itself; 3 are free.","units":4,"shortUnits":6,"position":2,
		"estimatedStart":"2026-03-01T12:00:04Z","drain":{"tasksPerSec":0.5,"overSecs":60},
		"pool":{"state":"active","maxUnits":10,"activeUnits":7,"freeUnits":3,"running":1,"queued":2},
		"tenant":{"tenant":"acme","activeUnits":2,"maxUnits":8,"queued":1},
		"ahead":[{"taskId":"first","tenant":"other","priority":"high","units":5,"createdAt":"2026-03-01T12:00:00Z","overtaken":3}],
		"holders":[{"taskId":"runs","tenant":"acme","units":7,"attempt":1,"startedAt":"2026-03-01T11:59:59Z",
			"endsBy":"2026-03-01T12:00:59Z","holder":"w-1"}]}`, res.body)

	b.err = domain.Errorf(domain.CodeUnknownTask, "none")
	b.do(t, get, tasksPath+"/t-1/why", "").problem(t, http.StatusNotFound, domain.CodeUnknownTask)
}

func TestEstimatesAndAdviceAreTold(t *testing.T) {
	t.Parallel()
	start := now.Add(90 * time.Second)
	b := setup(t, &fake{answer: func(s plan.Submit) plan.Answer {
		if s.TaskID == "full" {
			return plan.Answer{Err: &domain.Error{Code: domain.CodeQueueFull, Message: "full", RetryAfter: 7200 * time.Millisecond}}
		}
		return plan.Answer{Position: 3, EstimatedStart: &start, Task: &domain.Task{TaskID: s.TaskID, PoolID: "llm", Status: domain.StatusQueued}}
	}})
	res := b.do(t, post, tasksPath, `{"taskId":"waits","resourceCost":{"units":1}}`)
	require.Equal(t, http.StatusAccepted, res.status, res.body)
	require.Contains(t, res.body, `"estimatedStart":"2026-03-01T12:01:30Z"`)

	res = b.do(t, post, tasksPath, `{"taskId":"full","resourceCost":{"units":1}}`)
	require.Equal(t, "8", res.header.Get("Retry-After"))
	require.Contains(t, res.body, `"retryAfterSecs":8`)

	res = b.do(t, post, batchPath, `{"tasks":[{"taskId":"waits","resourceCost":{"units":1}},{"taskId":"full","resourceCost":{"units":1}}]}`)
	require.Contains(t, res.body, `"estimatedStart":"2026-03-01T12:01:30Z"`)
	require.Contains(t, res.body, `"retryAfterSecs":8`)
}
