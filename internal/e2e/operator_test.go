package e2e

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api/client"
)

// TestCancelReachesWhoRunsIt: a cancellation goes to a process that neither holds the task
// nor started it, and reaches the one that does at once.
func TestCancelReachesWhoRunsIt(t *testing.T) {
	t.Parallel()
	dir, args := postgres(t)
	one := serve(t, dir, append(args, "--concurrency", "0")...)
	w := start(t, dir, append([]string{"work"}, args...)...)
	w.await()
	two := serve(t, dir, append(args, "--concurrency", "0")...)
	for _, pool := range []string{"native", "fleet"} {
		var slowest time.Duration
		for i := range 5 {
			id := fmt.Sprintf("c%d", i)
			one.submit(pool, id, 1, time.Minute)
			require.Eventually(t, func() bool { return pool == "native" || one.explain(pool, id).Code == "running" }, patience, 20*time.Millisecond)
			// A native task may be started by the turn of either: ask the one that does not hold it.
			began := time.Now()
			_, err := client.Read[client.Task](two.api.CancelTask(soon(t), pool, id))
			require.NoError(t, err)
			task := one.ended(pool, id)
			slowest = max(slowest, time.Since(began))
			require.Equal(t, client.TaskStatus("failed"), task.Status)
			require.Equal(t, "cancelled", task.Reason.Code)
		}
		t.Logf("%s: the slowest of five cancellations took %s", pool, slowest)
		require.Less(t, slowest, 10*time.Second, "a second on a machine that is not busy")
	}
}

// TestDrainOneOfTwo: one process ends while it holds tasks; what does not end in its
// grace runs on the other one, and nobody who asks that one sees an error.
func TestDrainOneOfTwo(t *testing.T) {
	t.Parallel()
	dir, args := postgres(t)
	one, two := serve(t, dir, append(args, "--grace", "1s")...), serve(t, dir, args...)
	one.submit("native", "short", 1, 300*time.Millisecond)
	one.submit("native", "long", 1, 3*time.Second)
	for i := range 6 {
		two.submit("native", fmt.Sprintf("busy%d", i), 1, 500*time.Millisecond)
	}

	stop := make(chan struct{})
	failures := make(chan error, 1)
	taken := 0
	var submitter sync.WaitGroup
	submitter.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if _, err := two.trySubmit("native", fmt.Sprintf("s%d", taken), 1, 5*time.Millisecond); err != nil {
				failures <- err
				return
			}
			taken++
		}
	})
	began := time.Now()
	one.signal(syscall.SIGTERM)
	require.Zero(t, one.exit())
	t.Logf("ended in peace after %s", time.Since(began))
	close(stop)
	submitter.Wait()
	select {
	case err := <-failures:
		require.NoError(t, err)
	default:
	}
	require.Positive(t, taken)

	short, long := two.ended("native", "short"), two.ended("native", "long")
	require.Equal(t, client.TaskStatus("completed"), short.Status)
	require.EqualValues(t, 1, short.Attempt, "it ended in the grace")
	require.Equal(t, client.TaskStatus("completed"), long.Status)
	require.EqualValues(t, 2, long.Attempt, "it was handed back")
	for i := range taken {
		require.Equal(t, client.TaskStatus("completed"), two.ended("native", fmt.Sprintf("s%d", i)).Status)
	}
	require.Zero(t, two.events("native", "lost"), "nothing had to be taken from a dead process")
	require.Len(t, two.mailbox(), 2+6+taken)
}

// TestPoolVerbs: an operator drains, disables and resumes a pool by hand.
func TestPoolVerbs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir, "--config", write(t, dir, "c.yaml",
		"pools: [{pool_id: p, max_units: 1, executors: {default: {type: sleep}}}]"))
	verb := func(args ...string) string {
		out, stderr, status := run(t, dir, nil, append(args, "--server", s.url)...)
		require.Zero(t, status, "%v: %s%s", args, out, stderr)
		return out
	}
	s.submit("p", "runs", 1, 1500*time.Millisecond)
	s.submit("p", "waits", 1, time.Millisecond)

	require.Contains(t, verb("pool", "disable", "p"), "disabled")
	_, err := s.trySubmit("p", "refused", 1, time.Millisecond)
	require.ErrorContains(t, err, "pool_disabled")
	require.Equal(t, client.ExplanationCode("pool_disabled"), s.explain("p", "waits").Code)
	require.Equal(t, client.TaskStatus("completed"), s.ended("p", "runs").Status)
	require.Equal(t, client.TaskStatus("queued"), s.task("p", "waits").Status, "a disabled pool starts nothing")

	require.Contains(t, verb("pool", "drain", "p"), "draining")
	require.Equal(t, client.TaskStatus("completed"), s.ended("p", "waits").Status, "a draining pool runs its queue dry")
	_, err = s.trySubmit("p", "refused", 1, time.Millisecond)
	require.ErrorContains(t, err, "pool_draining")

	require.Contains(t, verb("pool", "resume", "p"), "active")
	s.submit("p", "refused", 1, time.Millisecond)
	require.Equal(t, client.TaskStatus("completed"), s.ended("p", "refused").Status)
	require.Equal(t, 3, strings.Count(verb("audit", "--pool", "p", "--kind", "pool_change"), "pool_change"))
}
