package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// A turn decides by what it would read, whether it reads that or recalls it: with a store
// that has taken no turn yet as the witness.
func TestWhatIsRecalledIsWhatWouldBeRead(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	first := b.turn(t, plan.Requests{Submits: tasks("a", 6, func(s *plan.Submit) { s.Labels = map[string]string{"k": "v"} })})
	require.Len(t, first.Started, 6)
	b.turn(t, plan.Requests{Settles: settled(first.Started[:1])})

	held := func(s *postgres.Store) (seen plan.Snapshot) {
		look := spec(plan.Requests{Settles: settled(first.Started)})
		look.Decide = func(snap plan.Snapshot, _ *plan.Requests) plan.Decisions {
			seen = snap
			return plan.Decisions{Now: snap.Now, Counters: snap.Counters, Idle: true}
		}
		_, err := s.Turn(t.Context(), look)
		require.NoError(t, err)
		return seen
	}
	recalled, read := held(b.Store), held(open(t, b.db, postgres.Options{}))
	require.Len(t, recalled.Held, 6)
	require.Equal(t, read.Held, recalled.Held)
	require.Equal(t, read.Tenants, recalled.Tenants)
	require.Equal(t, read.Counters, recalled.Counters)
	require.Equal(t, read.Candidates, recalled.Candidates)
	require.Equal(t, read.CandidatesCut, recalled.CandidatesCut)
	require.Equal(t, read.LaneLimit, recalled.LaneLimit)
}

// Another process's turn makes what is recalled worthless, and that is noticed: nothing
// of it is decided by, in either process.
func TestATurnOfAnotherProcessIsNoticed(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	other := &bundle{Store: open(t, b.db, postgres.Options{}), db: b.db}
	started := b.turn(t, plan.Requests{Submits: tasks("a", 10)}).Started
	require.Len(t, started, 10)
	for i := range 4 { // both recall something, and are wrong about it every time
		name := []string{"w", "x", "y", "z"}[i]
		asked := other.turn(t, plan.Requests{
			Cancels: []plan.Cancel{{TaskID: started[2*i].TaskID, Actor: "op"}}, Submits: tasks(name, 2),
		})
		require.Len(t, asked.Stopping, 1)

		d := b.turn(t, plan.Requests{Settles: []plan.Settle{
			{Ref: started[2*i].Ref(), Units: 1, Verdict: plan.VerdictCancelled},
			{Ref: started[2*i+1].Ref(), Units: 1, Verdict: plan.VerdictCompleted},
		}})
		require.Len(t, d.Ended, 2)
		require.NotNil(t, d.Ended[0].CancelAsked, "what the other process wrote")
		require.Equal(t, domain.StatusFailed, d.Ended[0].Status)
		require.Len(t, d.Started, 2, "what the other process queued")
		b.agrees(t)
	}
}

// What is recalled of a task and is no longer so, because somebody changed the row by hand, is noticed:
// the turn is decided again by the rows.
func TestAChangedRowIsNotDecidedByHeart(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.Options{})
	started := b.turn(t, plan.Requests{Submits: tasks("a", 4)}).Started
	b.exec(t, "UPDATE pl_queue_jobs SET attempt = 2, max_attempts = 2 WHERE job_id = $1", int64(started[0].JobID))
	d := b.turn(t, plan.Requests{Settles: settled(started[:2])})
	require.NotNil(t, d.Answers.Settles[0].Err, "attempt 1 is not live")
	require.Len(t, d.Ended, 1)

	b.exec(t, "UPDATE pl_queue_jobs SET cancel_asked_at = now() WHERE job_id = $1", int64(started[2].JobID))
	d = b.turn(t, plan.Requests{Settles: []plan.Settle{{Ref: started[2].Ref(), Units: 1, Verdict: plan.VerdictCancelled}}})
	require.Len(t, d.Ended, 1)
	require.NotNil(t, d.Ended[0].CancelAsked)
	b.agrees(t)
}
