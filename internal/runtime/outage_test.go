package runtime_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/workers"
)

// Connections that break at any moment, a commit's included, lose no task and never
// let more run than the pool has units for.
func TestLostConnectionsLoseNothing(t *testing.T) {
	t.Parallel()

	onlyOnPostgres(t, func(t *testing.T, open opener) {
		s := open(t, attemptsOf(10))
		var now, peak atomic.Int64
		p := s.start(t, does(func(ctx context.Context, task workers.Task) (string, error) {
			n := now.Add(task.Units)
			defer now.Add(-task.Units)
			for old := peak.Load(); n > old && !peak.CompareAndSwap(old, n); old = peak.Load() {
			}
			select {
			case <-time.After(10 * time.Millisecond):
				return strconv.Itoa(task.Attempt), nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}))

		const tasks = 60
		submitted := make(chan struct{})
		go func() {
			defer close(submitted)
			for i := range tasks {
				s.insist(t, p, "t"+strconv.Itoa(i))
			}
		}()
		for range 10 {
			time.Sleep(60 * time.Millisecond)
			_, err := s.db.Pool.Exec(context.Background(), `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a
				WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()`)
			if err != nil {
				t.Log("the test's own connection was among them:", err)
			}
		}
		<-submitted
		for i := range tasks {
			task := s.ended(t, domain.TaskID("t"+strconv.Itoa(i)))
			require.Equal(t, domain.StatusCompleted, task.Status, task.Reason)
			require.Equal(t, strconv.Itoa(task.Attempt), string(task.Result), "the result is the last attempt's")
		}
		require.LessOrEqual(t, peak.Load(), int64(10))
		s.balanced(t)
	})
}

// insist submits as a good client does: until it has an answer.
func (s *site) insist(t *testing.T, p *process, id string) {
	submit := p.request(id)
	for deadline := time.Now().Add(soon); ; time.Sleep(5 * time.Millisecond) {
		answers, err := p.Submit(context.Background(), poolID, []plan.Submit{submit})
		if err == nil && answers[0].Err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s was not taken: %v %v", id, err, answers)
			return
		}
	}
}
