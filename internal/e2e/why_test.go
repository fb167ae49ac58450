package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
)

func (s *server) explain(pool, id string) client.Explanation {
	s.t.Helper()
	why, err := client.Read[client.Explanation](s.api.ExplainTask(soon(s.t), pool, id))
	require.NoError(s.t, err)
	return why
}

// TestWhyAcrossTheFleet: every process explains the same, and one that has just started
// knows the drain from the turns of the others.
func TestWhyAcrossTheFleet(t *testing.T) {
	t.Parallel()
	dir, args := postgres(t)
	one := serve(t, dir, args...)
	// Two at a time run, each for a fifth of a second: ten leave the queue in a second.
	const tasks = 40
	for i := range tasks {
		one.submit("native", fmt.Sprintf("t%d", i), 4, 200*time.Millisecond)
	}
	one.submit("native", "last", 8, 10*time.Millisecond)
	one.ended("native", "t11")
	two := serve(t, dir, args...)
	for _, s := range []*server{one, two} {
		var why client.Explanation
		require.Eventually(t, func() bool { // a process that has just started knows the drain from its first turn on
			var err error
			why, err = client.Read[client.Explanation](s.api.ExplainTask(soon(t), "native", "last"))
			return err == nil && (why.Drain != nil || why.Code != "order")
		}, 5*time.Second, 10*time.Millisecond)
		if why.Code == "running" || why.Code == "ended" {
			t.Log("the queue was empty before it was looked at")
			continue
		}
		require.Equal(t, client.ExplanationCode("order"), why.Code, why.Message)
		require.Equal(t, int64(len(why.Ahead)), min(why.Position-1, 20))
		require.Positive(t, why.ShortUnits)
		require.NotEmpty(t, why.Holders)
		require.NotNil(t, why.Drain, "%+v", why)
		require.NotNil(t, why.EstimatedStart)
		require.Greater(t, why.Drain.TasksPerSec, 0.5)
		require.Less(t, why.Drain.TasksPerSec, 15.0)
	}
	require.Equal(t, client.TaskStatus("completed"), two.ended("native", "last").Status)
	out, _, status := run(t, dir, nil, "why", "native", "last", "--server", two.url)
	require.Zero(t, status)
	require.Contains(t, out, "It has ended: completed.")
}
