package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

var workerTests = map[string]func(*testing.T, *bundle){
	"heartbeats":           testWorkerHeartbeat,
	"the dead stay dead":   testWorkerReap,
	"orphans":              testWorkerOrphans,
	"forgotten":            testWorkerForget,
	"refused":              testWorkerRefused,
	"now may be the clock": testWorkerClock,
}

// worker returns a process that started now.
func (b *bundle) worker(id domain.WorkerID) store.Worker {
	return store.Worker{ID: id, Role: "serve", Host: "höst", PID: 4711, StartedAt: b.clock.Now()}
}

func (b *bundle) beat(t *testing.T, id domain.WorkerID) {
	t.Helper()
	require.NoError(t, b.Heartbeat(t.Context(), b.worker(id), b.clock.Now()))
}

func (b *bundle) register(t *testing.T) []store.Worker {
	t.Helper()
	list, err := b.ListWorkers(t.Context())
	require.NoError(t, err)
	return list
}

func (b *bundle) reap(t *testing.T, ttl time.Duration) []domain.WorkerID {
	t.Helper()
	dead, err := b.Reap(t.Context(), ttl, b.clock.Now())
	require.NoError(t, err)
	var list []domain.WorkerID
	for _, w := range dead {
		require.NotNil(t, w.DeadAt)
		list = append(list, w.ID)
	}
	return list
}

func testWorkerHeartbeat(t *testing.T, b *bundle) {
	require.Empty(t, b.register(t))
	want := b.worker("w1")
	require.NoError(t, b.Heartbeat(t.Context(), want, b.clock.Now()))
	want.HeartbeatAt = b.clock.Now()
	require.Equal(t, []store.Worker{want}, b.register(t))
	want.HeartbeatAt = b.clock.Advance(2 * time.Second)
	b.beat(t, "w1")
	require.Equal(t, []store.Worker{want}, b.register(t), "it still started when it did")
}

func testWorkerReap(t *testing.T, b *bundle) {
	b.beat(t, "old")
	b.clock.Advance(4 * time.Second)
	b.beat(t, "young")
	require.Empty(t, b.reap(t, 6*time.Second))
	b.clock.Advance(2 * time.Second)
	require.Empty(t, b.reap(t, 6*time.Second), "six seconds are not more than six seconds")
	at := b.clock.Advance(time.Microsecond)
	require.Equal(t, []domain.WorkerID{"old"}, b.reap(t, 6*time.Second))

	err := b.Heartbeat(t.Context(), b.worker("old"), b.clock.Now())
	require.ErrorIs(t, err, store.ErrGuard)
	b.beat(t, "young")
	b.beat(t, "aaa")
	list := b.register(t)
	require.Len(t, list, 3)
	require.Equal(t, domain.WorkerID("old"), list[2].ID, "the living first")
	require.Equal(t, at, *list[2].DeadAt)
	b.clock.Advance(time.Second)
	require.Equal(t, []domain.WorkerID{"old"}, b.reap(t, 6*time.Second), "all dead whose row is still there")
	require.Equal(t, at, *b.register(t)[2].DeadAt, "once dead, the time stays")
}

func testWorkerOrphans(t *testing.T, b *bundle) {
	b.pool(t, "p", func(p *domain.Pool) { p.MaxUnits = 100 })
	b.pool(t, "q")
	b.beat(t, "w1")
	b.clock.Advance(time.Second)
	b.beat(t, "w2")
	for i, who := range []domain.WorkerID{"w1", "w2", "unknown", "w1", "w2", "w1"} {
		_, err := b.try(t.Context(), "p", plan.Requests{Worker: who, Submits: []plan.Submit{many("t", i+1)[i]}})
		require.NoError(t, err)
	}
	_, err := b.try(t.Context(), "q", plan.Requests{Worker: "w1", Submits: []plan.Submit{task("x"), task("waits", units(10))}})
	require.NoError(t, err)
	orphans := func(pool domain.PoolID, after domain.JobID, limit int) []domain.TaskID {
		tasks, err := b.Orphans(t.Context(), pool, after, limit)
		require.NoError(t, err)
		return ids(tasks)
	}
	require.Equal(t, []domain.TaskID{"t-0002"}, orphans("p", 0, 100), "of nobody who is known")
	require.Empty(t, orphans("q", 0, 100))

	b.clock.Advance(6 * time.Second)
	require.Equal(t, []domain.WorkerID{"w1"}, b.reap(t, 6*time.Second))
	require.Equal(t, []domain.TaskID{"t-0000", "t-0002", "t-0003", "t-0005"}, orphans("p", 0, 100))
	require.Equal(t, []domain.TaskID{"t-0000", "t-0002"}, orphans("p", 0, 2))
	require.Equal(t, []domain.TaskID{"t-0003", "t-0005"}, orphans("p", 3, 2))
	require.Equal(t, []domain.TaskID{"x"}, orphans("q", 0, 100))

	lost, err := b.Orphans(t.Context(), "p", 0, 100)
	require.NoError(t, err)
	var rq plan.Requests
	for i := range lost {
		rq.Losts = append(rq.Losts, plan.Lost{Ref: lost[i].Ref(), Holder: lost[i].Holder})
	}
	d := b.turn(t, "p", rq)
	for _, a := range d.Answers.Losts {
		require.Nil(t, a.Err)
	}
	require.Empty(t, orphans("p", 0, 100))
	held, err := b.Held(t.Context(), "p", "w2", 0, 100)
	require.NoError(t, err)
	require.Equal(t, []domain.TaskID{"t-0001", "t-0004"}, ids(held), "the living keep what they have")
	b.agrees(t, "p")
}

func testWorkerForget(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.beat(t, "w1")
	b.beat(t, "w2")
	d, err := b.try(t.Context(), "p", plan.Requests{Worker: "w1", Submits: []plan.Submit{task("a")}})
	require.NoError(t, err)
	b.clock.Advance(time.Minute)
	b.reap(t, time.Second)
	require.NoError(t, b.Forget(t.Context(), "w2"))
	require.NoError(t, b.Forget(t.Context(), "w1"))
	require.Len(t, b.register(t), 1, "w1 still holds a task")
	b.turn(t, "p", plan.Requests{Losts: []plan.Lost{{Ref: d.Started[0].Ref(), Holder: "w1"}}})
	require.NoError(t, b.Forget(t.Context(), "w1"))
	require.NoError(t, b.Forget(t.Context(), "never"))
	require.Empty(t, b.register(t))
}

func testWorkerRefused(t *testing.T, b *bundle) {
	w := b.worker("w\x00")
	require.ErrorIs(t, b.Heartbeat(t.Context(), w, b.clock.Now()), store.ErrData)
	require.Empty(t, b.register(t))
}

func testWorkerClock(t *testing.T, b *bundle) {
	require.NoError(t, b.Heartbeat(t.Context(), b.worker("w1"), time.Time{}))
	dead, err := b.Reap(t.Context(), time.Hour, time.Time{})
	require.NoError(t, err)
	require.Empty(t, dead)
	require.WithinDuration(t, b.clock.Now(), b.register(t)[0].HeartbeatAt, 100*365*24*time.Hour)
}
