package riverrt

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Inserter inserts the River jobs of started tasks. It is safe for concurrent use.
type Inserter struct {
	client *river.Client[pgx.Tx]
	driver *riverpgxv5.Driver
	schema string
}

// NewInserter returns an Inserter for River's tables in schema (empty: the
// connection's search path).
func NewInserter(schema string, log *slog.Logger) (*Inserter, error) {
	if log == nil {
		log = slog.Default()
	}
	conf := config(schema, log)
	// River's own announcement drops those that come soon after another, and the job
	// then waits for a poll. Ours is sent with every turn instead; see announce.
	conf.FetchCooldown, conf.FetchPollInterval = never, never
	driver := riverpgxv5.New(nil)
	client, err := river.NewClient(driver, conf)
	if err != nil {
		return nil, fmt.Errorf("make a River client that inserts: %w", err)
	}
	return &Inserter{client: client, driver: driver, schema: schema}, nil
}

// InsertJobs inserts one River job for each task into tx, announces them to the
// workers with the commit, and returns the jobs' ids in the order of the tasks.
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
	if err := i.announce(ctx, tx, queues); err != nil {
		return nil, err
	}
	ids := make([]int64, len(inserted))
	for n, job := range inserted {
		ids[n] = job.Job.ID
	}
	return ids, nil
}

// topicInsert is the topic on which River's clients listen for new jobs.
const topicInsert = "river_insert"

func (i *Inserter) announce(ctx context.Context, tx pgx.Tx, queues map[domain.PoolID]string) error {
	payloads := make([]string, 0, len(queues))
	for _, queue := range queues {
		payloads = append(payloads, fmt.Sprintf(`{"queue": %q}`, queue))
	}
	err := i.driver.UnwrapExecutor(tx).NotifyMany(ctx, &riverdriver.NotifyManyParams{
		Payload: payloads,
		Schema:  i.schema,
		Topic:   topicInsert,
	})
	if err != nil {
		return fmt.Errorf("announce River jobs: %w", err)
	}
	return nil
}
