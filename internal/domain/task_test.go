package domain_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
)

func TestLifecycle(t *testing.T) {
	t.Parallel()
	allowed := map[domain.Status][]domain.Status{
		domain.StatusSubmitted: {domain.StatusRunning, domain.StatusQueued, domain.StatusRejected},
		domain.StatusQueued:    {domain.StatusRunning, domain.StatusExpired, domain.StatusDropped},
		domain.StatusRunning:   {domain.StatusCompleted, domain.StatusFailed, domain.StatusExpired, domain.StatusQueued},
	}
	for _, from := range domain.Statuses() {
		for _, to := range domain.Statuses() {
			want := false
			for _, next := range allowed[from] {
				want = want || next == to
			}
			require.Equal(t, want, from.CanBecome(to), "%s to %s", from, to)
			if from.Terminal() {
				require.False(t, from.CanBecome(to), "%s is final", from)
			}
		}
		require.Equal(t, len(allowed[from]) == 0, from.Terminal(), "%s", from)
	}
	require.False(t, domain.Status("").Terminal())
	require.False(t, domain.Status("").CanBecome(domain.StatusQueued))
}

func TestRef(t *testing.T) {
	t.Parallel()
	task := domain.Task{PoolID: "p", JobID: 7, Attempt: 2, TaskID: "t"}
	require.Equal(t, domain.Ref{PoolID: "p", JobID: 7, Attempt: 2}, task.Ref())
}

func TestPriorities(t *testing.T) {
	t.Parallel()
	for p := range domain.Priority(domain.PriorityClasses) {
		got, err := domain.ParsePriority(p.String())
		require.NoError(t, err)
		require.Equal(t, p, got)
	}
	got, err := domain.ParsePriority("")
	require.NoError(t, err)
	require.Equal(t, domain.PriorityNormal, got)
	_, err = domain.ParsePriority("urgent")
	require.ErrorContains(t, err, "urgent")
	require.Equal(t, "priority(9)", domain.Priority(9).String())
}

func TestTenantPolicies(t *testing.T) {
	t.Parallel()
	pool := domain.Pool{Tenants: map[domain.Tenant]domain.TenantPolicy{
		"capped": {MaxUnits: 4, Weight: 3}, "short": {MaxQueueDepth: 2, Weight: -1},
	}}
	require.Equal(t, "capped", pool.TenantLane("capped"))
	require.Empty(t, pool.TenantLane("short"))
	require.Empty(t, pool.TenantLane("other"))
	require.Equal(t, int64(3), pool.TenantWeight("capped"))
	require.Equal(t, int64(1), pool.TenantWeight("short"))
	require.Equal(t, int64(1), pool.TenantWeight("other"))
}
