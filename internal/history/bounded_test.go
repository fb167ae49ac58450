package history_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/store"
)

// endless is a Source that makes up a long history as it is read: task n is submitted at
// slot n, starts after one slot and completes after alive slots.
type endless struct{ tasks, alive int64 }

const endlessPage = 1000

func (s endless) id(job int64) domain.TaskID {
	return domain.TaskID(fmt.Sprintf("task-%d", job*7919%s.tasks))
}

func (s endless) Pools(context.Context) ([]history.Pool, error) {
	return []history.Pool{{ID: pool, MaxUnits: domain.Units(s.alive), MaxOvertakes: 16, Counters: history.Counters{EventSeq: 4 * s.tasks}}}, nil
}

func (s endless) Others(context.Context) ([]domain.Source, error) { return nil, nil }

func (s endless) Origin(context.Context, domain.Source) (store.Origin, error) {
	return store.Origin{}, nil
}

func (s endless) end(job int64) time.Time { return time.Unix(1_700_000_000+job+s.alive, 0).UTC() }

func (s endless) Events(query history.EventQuery) history.Stream[domain.Event] {
	slot, seq := int64(1), int64(0)
	return stream[domain.Event](func() []domain.Event {
		var page []domain.Event
		for query.Kind == "" && slot <= s.tasks+s.alive && len(page) < endlessPage {
			add := func(kind domain.EventKind, job int64, attempt int) {
				if job < 1 || job > s.tasks {
					return
				}
				seq++
				page = append(page, domain.Event{
					Source: domain.Source(pool), Seq: seq, At: s.end(slot - s.alive), Kind: kind, PoolID: pool, TaskID: s.id(job),
					JobID: domain.JobID(job), Submission: 1, Units: 1, Attempt: attempt,
				})
			}
			add(domain.EventComplete, slot-s.alive, 1)
			add(domain.EventStart, slot-1, 1)
			add(domain.EventSubmit, slot, 0)
			add(domain.EventEnqueue, slot, 0)
			slot++
		}
		return page
	})
}

func (s endless) Tasks(_ context.Context, _ domain.PoolID, each func(*domain.Task)) error {
	for job := s.tasks; job > 0; job-- {
		each(&domain.Task{
			PoolID: pool, JobID: domain.JobID(job), TaskID: s.id(job), Submission: 1, Units: 1, Attempt: 1, Status: domain.StatusCompleted,
			FinishedAt: new(s.end(job)), Mailbox: &domain.MailboxKey{Tenant: "acme"},
		})
	}
	return nil
}

func (s endless) Messages(domain.PoolID) history.Stream[domain.Message] {
	job := int64(0)
	return stream[domain.Message](func() []domain.Message {
		var page []domain.Message
		for job < s.tasks && len(page) < endlessPage {
			job++
			page = append(page, domain.Message{
				Source: domain.Source(pool), Seq: job, PoolID: pool, TaskID: s.id(job), JobID: domain.JobID(job), Submission: 1,
				Status: domain.StatusCompleted, CreatedAt: s.end(job),
			})
		}
		return page
	})
}

// TestCheckKeepsWhatIsAlive: a history fifty times as long keeps no more in memory.
func TestCheckKeepsWhatIsAlive(t *testing.T) { // not in parallel: it looks at the memory of the process
	const alive, spill = 40, 64 << 10
	heap := func(tasks int64) (most uint64) {
		report, err := history.Check(t.Context(), endless{tasks, alive}, history.Options{
			Keep: 10, Spill: spill, Progress: func(done, _ int64) {
				if done%(64*endlessPage) > 2*endlessPage {
					return
				}
				var stats runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&stats)
				most = max(most, stats.HeapAlloc)
			},
		})
		require.NoError(t, err)
		require.Empty(t, report.First)
		require.Equal(t, tasks, report.Tasks)
		require.Equal(t, tasks, report.Messages)
		require.LessOrEqual(t, report.Pools[0].MostAlive, alive+1)
		return most
	}
	short := heap(4_000)
	long := heap(200_000)
	t.Logf("%d KiB for 4,000 tasks, %d KiB for 200,000", short>>10, long>>10)
	require.Less(t, long, short+8<<20, "300 bytes a task would be 60 MB")
}
