package riverrt

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Inserter inserts the River jobs of started tasks and announces them to the
// workers. It is safe for concurrent use.
type Inserter struct {
	client *river.Client[pgx.Tx]
	driver *riverpgxv5.Driver
	schema string
	log    *slog.Logger
	later  *announcer // nil: announcements go with the commit
}

// NewInserter returns an Inserter for River's tables in schema (empty: the
// connection's search path).
func NewInserter(schema string, log *slog.Logger) (*Inserter, error) {
	if log == nil {
		log = slog.Default()
	}
	conf := config(schema, log)
	// River's own announcement drops those that come soon after another, and the job
	// then waits for a poll. Ours follows every turn. (Its first one
	// of each queue still goes out.)
	conf.FetchCooldown, conf.FetchPollInterval = never, never
	driver := riverpgxv5.New(nil)
	client, err := river.NewClient(driver, conf)
	if err != nil {
		return nil, fmt.Errorf("make a River client that inserts: %w", err)
	}
	return &Inserter{client: client, driver: driver, schema: schema, log: log}, nil
}

// AnnounceThrough lets jobs be announced through db after their commit, when
// JobsCommitted says so, instead of with it: all commits with a notification wait
// for each other's disk, which halves the turns of 16 pools (measured), and one
// pool's hardly at all. An announcement that gets lost costs a worker's poll, a second.
// Call it before the first InsertJobs.
func (i *Inserter) AnnounceThrough(db *pgxpool.Pool) {
	i.later = newAnnouncer(db, i.schema, i.log)
}

// JobsCommitted tells that jobs of the pool have been committed. It never blocks.
func (i *Inserter) JobsCommitted(pool domain.PoolID) {
	if i.later != nil {
		i.later.announce(QueueName(pool))
	}
}

// InsertJobs inserts one River job for each task into tx and returns the jobs' ids
// in the order of the tasks. Without AnnounceThrough it announces them, too.
func (i *Inserter) InsertJobs(ctx context.Context, tx pgx.Tx, tasks []domain.Task) ([]int64, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	params := make([]river.InsertManyParams, len(tasks))
	queues := make(map[domain.PoolID]string, 1)
	for n := range tasks {
		t := &tasks[n]
		if _, known := queues[t.PoolID]; !known {
			queues[t.PoolID] = QueueName(t.PoolID)
		}
		params[n] = river.InsertManyParams{
			Args: Args{PoolID: t.PoolID, JobID: t.JobID, Attempt: t.Attempt},
			InsertOpts: &river.InsertOpts{
				MaxAttempts: 1,
				Priority:    riverPriority(t.Requested),
				Queue:       queues[t.PoolID],
			},
		}
	}
	inserted, err := i.client.InsertManyTx(ctx, tx, params)
	if err != nil {
		return nil, fmt.Errorf("insert %d River jobs: %w", len(tasks), err)
	}
	if i.later == nil {
		names := slices.Collect(maps.Values(queues))
		if err := announce(ctx, i.driver.UnwrapExecutor(tx), i.schema, names); err != nil {
			return nil, err
		}
	}
	ids := make([]int64, len(inserted))
	for n, job := range inserted {
		ids[n] = job.Job.ID
	}
	return ids, nil
}
